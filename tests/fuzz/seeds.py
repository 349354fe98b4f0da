"""What a target begins with: small examples, by the writers that write the real ones."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gguf import GGUFEndian, GGUFWriter
from numpy import float32, zeros

from fuzz.targets import CONFIG, EDITION, IDENTITY, MTIME, SIZE, WEIGHTS
from library.shelving import file_of, manifest_of, safetensors_bytes
from sample import MODEL_YAML, entry
from windlass.hub.model_yaml import HubSource, write_manifest, write_model_yaml
from windlass.library.known import Known, Stamp
from windlass.library.receipts import ModelReceipt, Receipt, Receipts
from windlass.transfer.ledger import Ledger, Piece, dump, loss
from windlass.transfer.ledger import entry as entry_of
from windlass.transfer.seal import Seal
from windlass.transfer.seal import dump as dump_seal

_BASES = (HubSource("unsloth/Qwen3-8B-GGUF", None, "unsloth/qwen3"), HubSource("mlx-community/Qwen3-8B-4bit"))


def seeds(name: str) -> list[bytes]:
    """The examples for a target."""
    with TemporaryDirectory() as folder:
        return list(_MAKERS[name](Path(folder)))


def _gguf(folder: Path) -> Iterator[bytes]:
    yield _gguf_of(folder / "plain.gguf", "qwen3")
    yield _gguf_of(folder / "facts.gguf", "nomic-bert", tokens=3, template="{{ tools }}", pooling=1, split=2)
    yield _gguf_of(folder / "tokens.gguf", "llama", tokens=5000)
    yield _gguf_of(folder / "big.gguf", "llama", tokens=3, order=GGUFEndian.BIG)


def _gguf_of(
    path: Path,
    architecture: str,
    *,
    tokens: int = 0,
    template: str = "",
    order: GGUFEndian = GGUFEndian.LITTLE,
    **numbers: int,
) -> bytes:
    writer = GGUFWriter(path, architecture, endianess=order)
    writer.add_name("A name")
    writer.add_context_length(40960)
    writer.add_file_type(15)
    if tokens:
        writer.add_token_list([f"t{number}" for number in range(tokens)])
        writer.add_token_types([1] * tokens)
        writer.add_bos_token_id(1)
    if template:
        writer.add_chat_template(template)
    for name, value in numbers.items():
        key = {"pooling": f"{architecture}.pooling_type", "split": "split.count"}[name]
        writer.add_uint32(key, value)
    writer.add_tensor("a.weight", zeros((2, 2), dtype=float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def _weights(_: Path) -> Iterator[bytes]:
    yield WEIGHTS
    yield safetensors_bytes({"w": ("BF16", [2, 2], 8), "s": ("F32", [1], 4)}, {"format": "mlx"})


def _config(_: Path) -> Iterator[bytes]:
    yield CONFIG
    yield _json(
        architectures=["Qwen3ForCausalLM"],
        text_config={"max_position_embeddings": 40960, "torch_dtype": "bfloat16"},
        vision_config={"depth": 1},
        quantization_config={"bits": 4, "quant_method": "awq"},
    )


def _template(_: Path) -> Iterator[bytes]:
    yield _json(chat_template="{% if tools %}{{ tool_calls }}{% endif %}")
    yield _json(chat_template=[{"name": "tool_use", "template": "{{ tools }}"}])


def _index(_: Path) -> Iterator[bytes]:
    yield _json(metadata={"total_size": 3}, weight_map={"x": "a.safetensors", "y": "b.safetensors"})


def _model_yaml(_: Path) -> Iterator[bytes]:
    yield MODEL_YAML.encode()
    yield write_model_yaml("qwen/qwen3-8b", _BASES).encode()
    yield b"base: unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf\nmetadataOverrides:\n  contextLengths: [4096, 0x10, 1_0]\n"
    yield b"base: qwen/other\nmetadataOverrides: {reasoning: mixed, vision: true, day: 2026-01-01, f: 1.5e3, n: ~}\n"


def _manifest(_: Path) -> Iterator[bytes]:
    yield entry().manifest_json.encode()
    yield write_manifest("qwen", "qwen3-8b", _BASES).encode()


def _receipt(folder: Path) -> Iterator[bytes]:
    receipts = Receipts(folder)
    kept = Receipt.of(file_of(b"abc"), source="https://hub.example", verified_at="2026", chunks=("0123456789abcdef",))
    receipts.write("o/M/x", kept)
    yield receipts.path("o/M/x").read_bytes()


def _model_receipt(folder: Path) -> Iterator[bytes]:
    receipts, overrides = Receipts(folder), {"paramsStrings": ["8B"], "reasoning": "mixed", "description": "Text."}
    files = file_of(b"abc"), file_of(b"de", "mmproj-F16.gguf", role="projector")
    receipts.write_model(ModelReceipt(manifest_of(*files, catalog=entry()), "2026", overrides))
    receipts.write_model(ModelReceipt(manifest_of(file_of(b"a", "model.safetensors"), format="mlx"), "2026"))
    yield from (path.read_bytes() for path in receipts.models_folder.iterdir())


def _cache(folder: Path) -> Iterator[bytes]:
    known = Known(folder, folder / "heads.json", EDITION)
    known.recall("x", Stamp(1, 2), lambda: "kept")
    known.keep()
    yield (folder / "heads.json").read_bytes()


def _ledger(_: Path) -> Iterator[bytes]:
    kept = Ledger(IDENTITY, SIZE)
    for start in (0, 16_777_216, 20_971_520):
        kept.add(Piece(start, 4_194_304, "2b8f4f0c9d1e33aa"))
    yield dump(kept).encode()
    yield (dump(kept) + loss(0) + entry_of(Piece(16_777_216, 1, "77aa01fe02bc9d10"))).encode()


def _seal(_: Path) -> Iterator[bytes]:
    yield dump_seal(Seal("9f" * 32, "9f" * 32, ("0123456789abcdef",), 3, MTIME)).encode()


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


_MAKERS: dict[str, Callable[[Path], Iterator[bytes]]] = {
    "gguf": _gguf,
    "weights": _weights,
    "config": _config,
    "template": _template,
    "index": _index,
    "model_yaml": _model_yaml,
    "manifest": _manifest,
    "receipt": _receipt,
    "model_receipt": _model_receipt,
    "cache": _cache,
    "ledger": _ledger,
    "seal": _seal,
}
