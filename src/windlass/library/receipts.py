"""Receipts: what was verified, so that it need not be hashed again, and which files make one model.

A file's is `<models>/.windlass/receipts/<shelf path>.json`, a model's `<models>/.windlass/models/<slug>.json`. One
that cannot be read counts as none: the file is then hashed again, which is slow but never wrong.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from windlass import atomic
from windlass.library.disk import PRIVATE, folder_below
from windlass.library.opening import read_file
from windlass.manifest import Digest, Manifest, ManifestFile
from windlass.names import safe_path

CHUNK_SIZE = 16 * 1024 * 1024
VERSION = 1
_LARGEST = 64 * 1024 * 1024  # bytes of one receipt; 16 TiB of chunk digests fit


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one file on the shelf was found to be.

    Attributes:
        digest: what its content hashed to.
        size: bytes.
        mtime_ns: of the published file; `Shelf.publish` and `Shelf.adopt` fill it in.
        source: the endpoint that the bytes came from; empty for a file that was there before.
        repo: `owner/repo`.
        commit: 40 hex digits.
        path: in the repository.
        verified_at: UTC, ISO 8601.
        chunks: xxh3-64 of each chunk of 16 MiB as 16 hex digits, front to back; empty when nobody took them.
        adopted: whether the file came by another way and was hashed where it stood.
        damaged: whether the file, as it stood at `mtime_ns`, was found to be something else since. All but that time
            goes on to say what it should be, so that it can be mended.
    """

    digest: Digest
    size: int
    mtime_ns: int
    source: str
    repo: str
    commit: str
    path: str
    verified_at: str
    chunks: tuple[str, ...] = ()
    adopted: bool = False
    damaged: bool = False

    @classmethod
    def of(cls, file: ManifestFile, *, source: str, verified_at: str, chunks: tuple[str, ...] = ()) -> "Receipt":
        """The receipt of a file that was fetched and agrees with the manifest."""
        return cls(file.digest, file.size, 0, source, file.repo, file.commit, file.path, verified_at, chunks)

    def agrees(self, size: int, mtime_ns: int) -> bool:
        """Whether the file is, as far as its size and time tell, still the one that was looked at."""
        return (self.size, self.mtime_ns) == (size, mtime_ns)


_FIELDS = tuple(field.name for field in fields(Receipt))


@dataclass(frozen=True, slots=True)
class ModelReceipt:
    """One model that was brought in whole: its manifest, when, and the catalog's `metadataOverrides` as they were."""

    manifest: Manifest
    finished_at: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


class Receipts:
    """The receipts of one models folder."""

    def __init__(self, models_dir: Path) -> None:
        self.models_dir = models_dir
        self.models_folder = models_dir / PRIVATE / "models"
        self.files_folder = models_dir / PRIVATE / "receipts"

    def path(self, shelf_path: str) -> Path:
        """Where the receipt of the file at `shelf_path` stands."""
        return self.files_folder / f"{shelf_path}.json"

    def read(self, shelf_path: str) -> Receipt | None:
        """The file's receipt, if there is one that can be read; whether it still agrees is for the caller to ask."""
        raw = _load(self.path(shelf_path))
        # Chunks of another size would show damage everywhere; without them a repair fetches the whole file.
        chunks, chunk_size = raw.pop("chunks", ()), raw.pop("chunk_size", None)
        chunks = chunks if chunk_size == CHUNK_SIZE else ()
        try:
            receipt = Receipt(digest=Digest(**raw.pop("digest")), chunks=tuple(map(str, chunks)), **raw)
        except (TypeError, KeyError, RecursionError):
            return None
        return receipt if _is_of_a_file(receipt) else None

    def write(self, shelf_path: str, receipt: Receipt) -> None:
        """Keep the receipt, durably.

        Raises:
            OSError, StorageUnavailable: as `disk.folder_below` and `atomic.write` have it.
        """
        folder = folder_below(self.models_dir, _folder_of(shelf_path))
        atomic.write(folder / _name_of(shelf_path), _dump(receipt))

    def write_soon(self, shelf_path: str, receipt: Receipt, below: Callable[[str], Path]) -> Path:
        """Keep the receipt, durably only once its path, which is answered, and the folder there have been synced.

        Args:
            shelf_path: the file's.
            receipt: what it was found to be.
            below: `disk.folder_below` the models folder, perhaps with a memory.

        Raises:
            OSError, StorageUnavailable: as `below` and `atomic.write_soon` have it.
        """
        path = below(_folder_of(shelf_path)) / _name_of(shelf_path)
        atomic.write_soon(path, _dump(receipt))
        return path

    def forget(self, shelf_path: str) -> None:
        """Drop the file's receipt, if there is one."""
        self.path(shelf_path).unlink(missing_ok=True)

    def write_model(self, receipt: ModelReceipt) -> None:
        """Keep the model's receipt, durably; raises as `write` does."""
        # The manifest in its own text, so that only `Manifest` knows how it is read back.
        value = {"manifest": receipt.manifest.to_json(), "finished_at": receipt.finished_at}
        folder = folder_below(self.models_dir, f"{PRIVATE}/models")
        text = _text({**value, "overrides": dict(receipt.overrides)})
        atomic.write(folder / f"{slug(receipt.manifest.key)}.json", text)

    def models(self) -> list[ModelReceipt]:
        """All models' receipts that can be read."""
        try:
            paths = sorted(self.models_folder.glob("*.json"))
        except OSError:  # its disk does not answer
            return []
        found = map(read_model, paths)
        return [receipt for receipt in found if receipt]

    def model_of(self, manifest: Manifest) -> ModelReceipt | None:
        """The model's receipt, None where there is none that can be read."""
        return read_model(self._model_path(manifest))

    def forget_model(self, manifest: Manifest) -> None:
        """Drop the model's receipt, if there is one."""
        self._model_path(manifest).unlink(missing_ok=True)

    def _model_path(self, manifest: Manifest) -> Path:
        return self.models_folder / f"{slug(manifest.key)}.json"


def _folder_of(shelf_path: str) -> str:
    """The folder of a file's receipt, below the models folder."""
    return f"{PRIVATE}/receipts/{shelf_path.rpartition('/')[0]}"


def _name_of(shelf_path: str) -> str:
    return f"{shelf_path.rpartition('/')[2]}.json"


def _dump(receipt: Receipt) -> str:
    # Not `asdict`, which copies the value of every field: 1,500 receipts are to be written while somebody waits.
    values = {name: getattr(receipt, name) for name in _FIELDS}
    digest = {"algorithm": receipt.digest.algorithm, "hex": receipt.digest.hex}
    return _text({**values, "digest": digest, "chunk_size": CHUNK_SIZE})


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps({"version": VERSION, **value}, separators=(",", ":"))


def read_model(path: Path) -> ModelReceipt | None:
    """The model's receipt in that file, None for one that cannot be read."""
    raw = _load(path)
    try:
        manifest = Manifest.from_json(raw["manifest"])
        receipt = ModelReceipt(manifest, str(raw["finished_at"]), dict(raw["overrides"]))
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        return None
    return receipt if _is_sound(manifest) else None


def _is_of_a_file(receipt: Receipt) -> bool:
    texts = [receipt.digest.algorithm, receipt.digest.hex, receipt.source, receipt.repo, receipt.commit, receipt.path]
    sizes = [receipt.size, receipt.mtime_ns]
    is_sound = all(map(_is_text, [*texts, receipt.verified_at, *receipt.chunks]))
    flags = [receipt.adopted, receipt.damaged]
    return is_sound and all(isinstance(flag, bool) for flag in flags) and all(isinstance(size, int) for size in sizes)


def _is_sound(manifest: Manifest) -> bool:
    texts = [manifest.id, manifest.publisher, manifest.display_name, manifest.format, manifest.quantization or ""]
    texts += [text for file in manifest.files for text in (file.repo, file.path, file.role, file.digest.hex)]
    sizes = [file.size for file in manifest.files]
    if not all(map(_is_text, texts)) or not all(isinstance(size, int) for size in sizes):
        return False
    return bool(sizes) and all(_is_inside(file) for file in manifest.files)


def _is_inside(file: ManifestFile) -> bool:
    """Whether it stands below the models folder: what a receipt names is looked at, and removed with its model."""
    return file.repo.count("/") == 1 and safe_path(file.repo) and safe_path(file.path)


def _is_text(value: Any) -> bool:
    """Whether it is text that can be shown: JSON may have half a character in it, which no answer can."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Trouble(NamedTuple):
    """Why a receipt counts as none, in words that follow a colon, and whether it always will."""

    reason: str
    for_good: bool


def trouble_with(path: Path) -> Trouble | None:
    """Why a receipt counts as none that does; None for one that is gone by now.

    What a newer Windlass wrote, or a disk will not give out now, may well be read again another day.
    """
    try:
        raw = json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST else None
    except FileNotFoundError:
        return None
    except OSError as error:
        return Trouble(f"the receipt cannot be read: {os.strerror(error.errno or 0)}", False)
    except (ValueError, RecursionError):
        raw = None
    version = raw.get("version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > VERSION:
        return Trouble("the receipt is of a newer Windlass", False)
    return Trouble("the receipt is damaged", True)


def slug(key: str) -> str:
    """A file name for a manifest's key: readable, and one only, though two keys may read alike."""
    readable = re.sub(r"[^a-z0-9.@-]+", "_", key.lower()).strip("._")[:100]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _load(path: Path) -> dict[str, Any]:
    """A receipt's fields, its version taken out; empty for a file that is missing, damaged or of a later version."""
    try:
        raw = json.loads(read_file(path, _LARGEST) or b"")
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(raw, dict) or raw.pop("version", None) != VERSION:
        return {}
    return raw
