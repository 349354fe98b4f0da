"""The models that are fetched: noise with the head of a real format, the same bytes every time."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1024, 1024**2, 1024**3
COMMIT = hashlib.sha1(b"the only commit", usedforsecurity=False).hexdigest()

_PIECE = 4 * MIB
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
    title, seed = repo.removesuffix("-GGUF"), f"{repo}{size}"
    names = [f"{title}-Q4_K_M-{n:05}-of-{shards:05}.gguf" for n in range(1, shards + 1)]
    if shards == 1:
        names = [f"{title}-Q4_K_M.gguf"]
    folder = root / "bench" / repo
    files = [_write(folder, name, size, seed=f"{seed}{name}", head=_GGUF_HEAD[:size]) for name in names]
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
    files = [_write_text(folder, name, json.dumps(content)) for name, content in texts.items()]
    data = [f"data-{n:04}.txt" for n in range(count - shards - len(files))]
    files += [_write(folder, name, _small_size(chance), seed=name, large=False) for name in data]
    for name in weights:
        size = _small_size(chance)
        files.append(_write(folder, name, size, seed=name, head=_safetensors_head(name, size)))
    return Repository(f"bench/{repo}", tuple(files))


def _small_size(chance: random.Random) -> int:
    return chance.randint(1_000, 200_000)


def _tensor(name: str) -> str:
    return name.removesuffix(".safetensors")


def _safetensors_head(name: str, size: int) -> bytes:
    """One tensor of bytes that fills the file: u64 length of the header, the header in JSON, then the data."""
    room = 8 + 256
    tensor = {"dtype": "U8", "shape": [size - room], "data_offsets": [0, size - room]}
    header = json.dumps({"__metadata__": {"format": "mlx"}, _tensor(name): tensor}).encode()
    return (256).to_bytes(8, "little") + header.ljust(256)


def _write_text(folder: Path, name: str, text: str) -> File:
    return _write(folder, name, len(text.encode()), head=text.encode(), large=False)


def _write(folder: Path, name: str, size: int, *, seed: str = "", head: bytes = b"", large: bool = True) -> File:
    folder.mkdir(parents=True, exist_ok=True)
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with (folder / name).open("wb") as file:
        for piece in _pieces(head, size, seed):
            sha256.update(piece)
            if not large:
                sha1.update(piece)
            file.write(piece)
    return File(name, size, sha256.hexdigest(), sha1.hexdigest(), large)


def _pieces(head: bytes, size: int, seed: str) -> Iterator[bytes]:
    yield head
    chance, left = random.Random(seed), size - len(head)
    while left > 0:
        yield chance.randbytes(min(left, _PIECE))
        left -= _PIECE
