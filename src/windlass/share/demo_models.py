"""Small real GGUF models for `windlass demo` and for tests: untrained, but whole, and the same bytes every time.

Import this module late: `gguf` and numpy take a fifth of a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

OWNER = "windlass-demo"

_WIDTH, _HIDDEN, _BLOCKS, _HEADS, _CONTEXT, _VOCABULARY = 256, 768, 4, 4, 2048, 512
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_README = """---
library_name: gguf
license: mit
tags: [gguf, demo]
---
# {title}

Made by `windlass demo` from random numbers: a whole GGUF file that has learnt nothing.
"""
_MODEL_YAML = """# A demo model: its weights are random numbers, made by `windlass demo`.
model: {owner}/{name}
base:
  - key: {owner}/{repo_key}
    sources:
      - type: huggingface
        user: {owner}
        repo: {repo}
metadataOverrides:
  domain: llm
  architectures: [llama]
  compatibilityTypes: [gguf]
  paramsStrings: [4M]
  minMemoryUsageBytes: 16000000
  contextLengths: [{context}]
  vision: {vision}
  reasoning: false
  trainedForToolUse: false
tags: [demo]
"""


@dataclass(frozen=True)
class _Model:
    """One repository of the demo. `shards` cuts the file into so many; `vision` puts a projector beside it."""

    name: str
    title: str
    quantizations: tuple[str, ...]
    shards: int = 1
    vision: bool = False

    @property
    def repo(self) -> str:
        return f"{self.name}-GGUF"


_MODELS = (
    # The K quantizations are missing because the gguf package cannot make them, and a file is called what it is.
    _Model("tiny-llama", "Tiny Llama", ("Q4_0", "Q5_1", "Q8_0", "F16")),
    _Model("tiny-llama-sharded", "Tiny Llama Sharded", ("Q8_0",), shards=3),
    _Model("tiny-vision", "Tiny Vision", ("Q4_0",), vision=True),
)


def write_demo_models(folder: Path) -> None:
    """Write the demo's repositories and catalog into `folder`, laid out as `windlass hub` serves it.

    `windlass-demo/tiny-llama-GGUF` comes in four quantizations of 2 to 8 MB, `tiny-llama-sharded-GGUF` in three
    shards, and `tiny-vision-GGUF` with a projector. Each has a catalog model of the same name without `-GGUF`.
    """
    tensors = list(_llama_tensors())
    for model in _MODELS:
        repository = folder / OWNER / model.repo
        repository.mkdir(parents=True, exist_ok=True)
        (repository / "README.md").write_text(_README.format(title=model.title), encoding="utf-8")
        for quantization in model.quantizations:
            _write_llama(repository / f"{model.name}-{quantization}.gguf", model, quantization, tensors)
        if model.vision:
            _write_projector(repository / f"mmproj-{model.name}-F16.gguf", model)
        _write_catalog_entry(folder, model)


def _write_catalog_entry(folder: Path, model: _Model) -> None:
    entry = folder / "catalog" / OWNER / model.name
    entry.mkdir(parents=True, exist_ok=True)
    names = {"owner": OWNER, "name": model.name, "repo": model.repo, "repo_key": model.repo.lower()}
    text = _MODEL_YAML.format(**names, context=_CONTEXT, vision=str(model.vision).lower())
    (entry / "model.yaml").write_text(text, encoding="utf-8")


def _write_llama(path: Path, model: _Model, quantization: str, tensors: list[tuple[str, Any]]) -> None:
    per_shard = -(-len(tensors) // model.shards) if model.shards > 1 else 0
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=per_shard)
    writer.add_name(model.title)
    writer.add_size_label("4M")
    writer.add_file_type(_file_type(quantization))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_shape(writer)
    _add_tokenizer(writer)
    for name, values in tensors:
        _add_tensor(writer, name, values, quantization)
    _finish(writer)


def _add_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_block_count(_BLOCKS)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(_VOCABULARY)


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """A SentencePiece vocabulary: three control tokens, the 256 bytes, and filler."""
    control, raw = ["<unk>", "<s>", "</s>"], [f"<0x{byte:02X}>" for byte in range(256)]
    filler = [f"▁word{number}" for number in range(_VOCABULARY - len(control) - len(raw))]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(raw) + [gguf.TokenType.NORMAL] * len(filler)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*control, *raw, *filler])
    writer.add_token_scores([float(-index) for index in range(_VOCABULARY)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(_CHAT_TEMPLATE)


def _add_tensor(writer: gguf.GGUFWriter, name: str, values: Any, quantization: str) -> None:
    """Matrices are quantized; norms stay F32, as llama.cpp wants them."""
    if values.ndim < 2:
        writer.add_tensor(name, values)
        return
    kind = gguf.GGMLQuantizationType[quantization]
    data = gguf.quants.quantize(values, kind)
    writer.add_tensor(name, data, raw_dtype=kind)


def _file_type(quantization: str) -> int:
    return int(gguf.LlamaFileType[f"MOSTLY_{quantization}"])


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _llama_tensors() -> Iterator[tuple[str, Any]]:
    """Every tensor that llama.cpp asks of the architecture, seeded."""
    random = np.random.default_rng(20260101)

    def matrix(rows: int, columns: int) -> Any:
        return (random.standard_normal((rows, columns)) * 0.02).astype(np.float32)

    ones = np.ones(_WIDTH, dtype=np.float32)
    yield "token_embd.weight", matrix(_VOCABULARY, _WIDTH)
    for block in range(_BLOCKS):
        yield f"blk.{block}.attn_norm.weight", ones
        for part in ("q", "k", "v", "output"):
            yield f"blk.{block}.attn_{part}.weight", matrix(_WIDTH, _WIDTH)
        yield f"blk.{block}.ffn_norm.weight", ones
        yield f"blk.{block}.ffn_gate.weight", matrix(_HIDDEN, _WIDTH)
        yield f"blk.{block}.ffn_up.weight", matrix(_HIDDEN, _WIDTH)
        yield f"blk.{block}.ffn_down.weight", matrix(_WIDTH, _HIDDEN)
    yield "output_norm.weight", ones
    yield "output.weight", matrix(_VOCABULARY, _WIDTH)


def _write_projector(path: Path, model: _Model) -> None:
    """A vision projector's file: the keys that tell it, and the layers that map patches to the model's width."""
    random = np.random.default_rng(20260102)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_name(f"{model.title} projector")
    writer.add_file_type(_file_type("F16"))
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_uint32("clip.vision.image_size", 224)
    writer.add_uint32("clip.vision.patch_size", 14)
    writer.add_uint32("clip.vision.projection_dim", _WIDTH)
    for name, shape in (("mm.0.weight", (_WIDTH, _HIDDEN)), ("mm.2.weight", (_WIDTH, _WIDTH))):
        _add_tensor(writer, name, random.standard_normal(shape).astype(np.float32), "F16")
    writer.add_tensor("mm.0.bias", np.zeros(_WIDTH, dtype=np.float32))
    _finish(writer)
