"""The models that are fetched: noise with the head of a real format, the same bytes every time."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1024, 1024**2, 1024**3
COMMIT = hashlib.sha1(b"the only commit", usedforsecurity=False).hexdigest()

_PIECE = 4 * MIB
_SAFETENSORS_HEADER = 256  # room for a header that names one tensor; JSON may be padded with spaces
_GGUF_HEAD = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)  # version 3, without tensors and pairs


@dataclass(frozen=True, slots=True)
class File:
    """A file of a repository; a `large` one is known by its sha256 (LFS), another by its git blob sha1."""

    path: str
    size: int
    sha256: str
    git_sha1: str
    large: bool

    @property
    def digest(self) -> str:
        """What the hub says about the content."""
        return self.sha256 if self.large else self.git_sha1


@dataclass(frozen=True, slots=True)
class Repository:
    """A model as the hub has it; `name` is `owner/repo`."""

    name: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def gguf(root: Path, repo: str, size: int, shards: int = 1) -> Repository:
    """A GGUF of `size` bytes a shard, below `root`."""
    if shards == 1:
        return quantized(root, repo, size, ["Q4_K_M"])
    return quantized(root, repo, size, [f"Q4_K_M-{n:05}-of-{shards:05}" for n in range(1, shards + 1)])


def quantized(root: Path, repo: str, size: int, quantizations: Iterable[str]) -> Repository:
    """A GGUF of `size` bytes for each quantization, of which each is a model by itself."""
    title, folder = repo.removesuffix("-GGUF"), root / "bench" / repo
    names = [f"{title}-{quantization}.gguf" for quantization in quantizations]
    files = [_write(folder / name, _filled(_GGUF_HEAD[:size], size, seed=name), large=True) for name in names]
    return Repository(f"bench/{repo}", tuple(files))


def mlx(root: Path, repo: str, count: int) -> Repository:
    """An MLX model of `count` files of 1 to 200 KB: two thirds of them weights (LFS), the others data (git)."""
    folder, chance = root / "bench" / repo, random.Random(count)
    shards = count * 2 // 3
    weights = [f"model-{n:05}-of-{shards:05}.safetensors" for n in range(1, shards + 1)]
    texts = {
        "config.json": {"model_type": "llama", "quantization": {"bits": 4, "group_size": 64}},
        "model.safetensors.index.json": {"weight_map": {_tensor(name): name for name in weights}},
    }
    files = [_write(folder / name, [json.dumps(content).encode()], large=False) for name, content in texts.items()]
    data = [f"data-{n:04}.txt" for n in range(count - shards - len(texts))]
    sizes = {name: chance.randint(1_000, 200_000) for name in (*data, *weights)}
    files += [_write(folder / name, _filled(b"", sizes[name], seed=name), large=False) for name in data]
    heads = {name: _safetensors_head(name, sizes[name]) for name in weights}
    files += [_write(folder / name, _filled(heads[name], sizes[name], seed=name), large=True) for name in weights]
    return Repository(f"bench/{repo}", tuple(files))


def _tensor(name: str) -> str:
    return name.removesuffix(".safetensors")


def _safetensors_head(name: str, size: int) -> bytes:
    """One tensor of bytes that fills the file: u64 length of the header, the header in JSON, then the data."""
    data = size - 8 - _SAFETENSORS_HEADER
    tensor = {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}
    header = json.dumps({"__metadata__": {"format": "mlx"}, _tensor(name): tensor}).encode()
    return _SAFETENSORS_HEADER.to_bytes(8, "little") + header.ljust(_SAFETENSORS_HEADER)


def _filled(head: bytes, size: int, seed: str) -> Iterator[bytes]:
    yield head
    chance, left = random.Random(seed), size - len(head)
    while left > 0:
        yield chance.randbytes(min(left, _PIECE))
        left -= _PIECE


def _write(path: Path, pieces: Iterable[bytes], *, large: bool) -> File:
    """A large file's git sha1 would be that of its LFS pointer: nobody looks at it, so any will do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            sha256.update(piece)
            file.write(piece)
    size = path.stat().st_size
    blob = b"" if large else path.read_bytes()
    sha1 = hashlib.sha1(b"blob %d\0" % size + blob, usedforsecurity=False)
    return File(path.name, size, sha256.hexdigest(), sha1.hexdigest(), large)
