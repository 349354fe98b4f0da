"""A folder with many models as it is after a while: half of them brought by Windlass, half by others.

Three in five are a single GGUF, one is a GGUF in two shards, one an MLX model with what belongs to it.
"""

import json
import random
from collections.abc import Iterator
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from gguf import GGUFWriter
from numpy import float32, zeros

from benchmarks.content import COMMIT
from windlass.library.disk import folder_below
from windlass.library.receipts import ModelReceipt, Receipt, Receipts
from windlass.manifest import Digest, Manifest, ManifestFile

_LETTERS = "abcdefghijklmnopqrstuvwxyzĠ"
_WHEN = "2026-01-01T00:00:00.000Z"

Contents = dict[str, bytes]


def write_models(folder: Path, count: int, vocabulary: int, chance: random.Random) -> None:
    """Write so many models into a new folder, each GGUF with a vocabulary of so many texts, and as many merges."""
    folder.mkdir(parents=True)
    receipts = Receipts(folder)
    below = cache(partial(folder_below, folder))
    head, mlx = _gguf(vocabulary, chance), _mlx()
    for number in range(count):
        manifest, contents = _model(number, head, mlx)
        for file in manifest.files:
            path = folder / file.shelf_path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[file.path])
            if number % 2:
                receipts.write_soon(file.shelf_path, _receipt(file, path), below)
        if number % 2:
            receipts.write_model(ModelReceipt(manifest, _WHEN, {"paramsStrings": ["8B"], "contextLengths": [40960]}))


def _model(number: int, head: bytes, mlx: Contents) -> tuple[Manifest, Contents]:
    kind, owner, name = number % 5, f"owner-{number % 97}", f"model-{number}"
    if kind == 0:
        contents = mlx
    elif kind == 1:
        contents = {f"{name}-Q4_K_M-{part:05}-of-00002.gguf": head for part in (1, 2)}
    else:
        contents = {f"{name}-Q4_K_M.gguf": head}
    repo = f"{owner}/{name}-{'GGUF' if kind else 'MLX-4bit'}"
    return Manifest(
        id=f"{owner}/{name}",
        publisher=owner,
        display_name=name.title(),
        url=f"https://huggingface.co/{repo}",
        format="gguf" if kind else "mlx",
        quantization="Q4_K_M" if kind else "4bit",
        files=tuple(_files(repo, contents)),
    ), contents


def _files(repo: str, contents: Contents) -> Iterator[ManifestFile]:
    for path, content in contents.items():
        role = "weights" if path.endswith((".gguf", ".safetensors")) else "data"
        yield ManifestFile(
            repo, COMMIT, path, len(content), _digest(content), "weights" if role == "weights" else "data"
        )


@cache
def _digest(content: bytes) -> Digest:
    return Digest("sha256", sha256(content).hexdigest())


def _receipt(file: ManifestFile, path: Path) -> Receipt:
    return Receipt(
        digest=file.digest,
        size=file.size,
        mtime_ns=path.stat().st_mtime_ns,
        source="https://huggingface.co",
        repo=file.repo,
        commit=file.commit,
        path=file.path,
        verified_at=_WHEN,
        chunks=("0123456789abcdef",),
    )


def _gguf(vocabulary: int, chance: random.Random) -> bytes:
    """A whole file, of little but its head."""
    texts = ["".join(chance.choices(_LETTERS, k=chance.randint(1, 12))) for _ in range(vocabulary)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        writer = GGUFWriter(path, "qwen3")
        writer.add_name("Model")
        writer.add_context_length(40960)
        writer.add_file_type(15)
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(texts)
        writer.add_token_types([1] * vocabulary)
        writer.add_token_merges([f"{text} {text}" for text in texts])
        writer.add_eos_token_id(1)
        writer.add_chat_template("{% for tool in tools %}{{ tool }}{% endfor %}" * 50)
        for number in range(400):
            writer.add_tensor(f"blk.{number}.weight", zeros((4, 2), dtype=float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _mlx() -> Contents:
    tensors = {
        f"layer.{n}.weight": {"dtype": "U32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n in range(400)
    }
    head = json.dumps({"__metadata__": {"format": "mlx"}, **tensors}).encode()
    config = {"model_type": "qwen3", "max_position_embeddings": 40960, "quantization": {"bits": 4, "group_size": 64}}
    return {
        "model.safetensors": len(head).to_bytes(8, "little") + head + bytes(1600),
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": b"{}",
        "tokenizer_config.json": json.dumps({"chat_template": "{{ tools }}" * 50}).encode(),
        "model.safetensors.index.json": json.dumps(
            {"weight_map": dict.fromkeys(tensors, "model.safetensors")}
        ).encode(),
    }
