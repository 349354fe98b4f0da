"""What the tests of the library put on shelves: files, their manifests, and files as a pull brings them."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windlass.library.arrivals import Arrival
from windlass.library.receipts import Receipt
from windlass.library.shelf import Shelf
from windlass.manifest import Digest, Manifest, ManifestFile

WriteGguf = Callable[..., bytes]
Put = Callable[..., Path]


def safetensors_bytes(tensors: dict[str, tuple[str, list[int], int]], metadata: dict[str, str] | None = None) -> bytes:
    """A whole *.safetensors file of zeros: name → (dtype, shape, bytes)."""
    head: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def file_of(content: bytes, path: str = "M-Q4_K_M.gguf", repo: str = "owner/M-GGUF", **more: Any) -> ManifestFile:
    """The manifest's file of that content."""
    digest = Digest("sha256", hashlib.sha256(content).hexdigest())
    return ManifestFile(repo, "c" * 40, path, len(content), digest, **more)


def manifest_of(*files: ManifestFile, **more: Any) -> Manifest:
    """A manifest of those files, a Hugging Face model unless told otherwise."""
    owner, _, name = files[0].repo.partition("/")
    values = {
        "id": files[0].repo,
        "publisher": owner,
        "display_name": name,
        "url": f"https://huggingface.co/{files[0].repo}",
        "format": "gguf",
        "quantization": "Q4_K_M",
    }
    return Manifest(**(values | more), files=files)


def arrival(shelf: Shelf, file: ManifestFile, content: bytes) -> Arrival:
    """A partial of that content, which waits for its name."""
    path = shelf.private_dir / "partial" / hashlib.sha256(file.shelf_path.encode()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Arrival(path, file, Receipt.of(file, source="https://hub.example", verified_at="2026-01-01T00:00:00.000Z"))


def bring(shelf: Shelf, file: ManifestFile, content: bytes) -> Receipt:
    """Publish a file as a pull does."""
    shelf.publish([arrival(shelf, file, content)])
    receipt = shelf.receipts.read(file.shelf_path)
    assert receipt
    return receipt
