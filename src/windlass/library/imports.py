"""Files that somebody brings by hand, or that another program keeps: which of them are models, and where they belong.

Decided here, done by `Importing`. What comes in is as whole as its head says; it is hashed once it stands in its place,
so that `verify` can tell later whether it has changed.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from windlass.errors import InvalidRequest
from windlass.library import gguf, safetensors
from windlass.manifest import Digest, ManifestFile
from windlass.names import is_repository, safe_path
from windlass.quantization import is_gguf, shard_of

Way = Literal["move", "copy", "hardlink", "symlink"]

NOBODY = "imported-models"  # the owner of what nobody says whose it is, as LM Studio has it
_DATA = re.compile(r".+\.(?:json|txt|jinja|model|tiktoken|md)", re.IGNORECASE)
_BLOB = re.compile(r"(?:sha256-)?([0-9a-f]{64}|[0-9a-f]{40})")
_CACHED = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/[^/]+/")


@dataclass(frozen=True, slots=True)
class Import:
    """One file and where it goes: `owner/repo/path` below the models folder; and what a listing knows it to be."""

    source: Path
    shelf_path: str
    known: "Recognized | None" = None

    @property
    def named(self) -> Digest | None:
        """What it must hash to by its name: Hugging Face's cache and Ollama keep files as blobs under their hashes.

        Of a link that leads there, the name that it leads to: what may come after that is named by another hash (Xet).
        """
        blob = self.source.readlink() if self.source.is_symlink() else self.source
        found = _BLOB.fullmatch(blob.name)
        return Digest("sha256" if len(found[1]) == 64 else "git-sha1", found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Recognized:
    """A file that a listing has: as what, the digests of its chunks, and its state (`state_of`) when it was hashed."""

    file: ManifestFile
    chunks: tuple[str, ...]
    state: tuple[int, ...]


def state_of(path: Path) -> tuple[int, ...]:
    """By which a file is known to be the same, unchanged: disk, number, size and time. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def plan_import(source: Path, repository: str | None) -> list[Import]:
    """The files that make the model or models at a path, each with its place; none where there is no model.

    Args:
        source: a GGUF file (with its other shards beside it), or a folder of a model.
        repository: `owner/repo`; without one it is told from where the file stands, if that says it.

    Raises:
        InvalidRequest: a model is not whole, or the repository is none.
    """
    files = _files(source)
    if not files:
        return []
    for path in files:
        _look(path)
    root = source if source.is_dir() else source.parent
    place = repository or _told_by(source) or f"{NOBODY}/{_plain(source)}"
    owner, _, name = place.partition("/")
    if not is_repository(owner, name):
        raise InvalidRequest(f"{place!r} is no repository.", hint="Say --user-repo owner/name.")
    return [Import(path, _safe(f"{place}/{path.relative_to(root).as_posix()}")) for path in files]


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return _shards(source) if is_gguf(source.name) else []
    if not source.is_dir():
        return []
    weights = sorted(path for path in source.glob("*.safetensors") if path.is_file())
    if weights and (source / "config.json").is_file():
        return [*weights, *sorted(path for path in source.iterdir() if path.is_file() and _DATA.fullmatch(path.name))]
    return sorted(path for path in source.rglob("*") if path.is_file() and is_gguf(path.name))


def _shards(source: Path) -> list[Path]:
    shard = shard_of(source.name)
    if shard is None:
        return [source]
    beside = [path for path in source.parent.iterdir() if is_gguf(path.name)]
    found = [path for path in beside if (other := shard_of(path.name)) and other.stem == shard.stem]
    if len(found) != shard.count:
        raise InvalidRequest(
            f"{source.name} is one of {shard.count} shards, and {len(found)} are here.", hint="Bring the others, too."
        )
    return sorted(found)


def _look(path: Path) -> None:
    """Refuse weights whose head cannot be read: they are cut off, or something else."""
    try:
        if is_gguf(path.name):
            gguf.scan(path)
        elif path.suffix == ".safetensors":
            safetensors.scan(path)
    except gguf.Damaged as error:
        raise InvalidRequest(f"{path} is damaged: {error}.", hint="Nothing was imported.") from error


def _told_by(source: Path) -> str | None:
    """`owner/repo`, where the path says so: in a cache of Hugging Face's, or in a models folder."""
    text = f"{source.absolute().as_posix()}/"
    if match := _CACHED.search(text):
        return f"{match['owner']}/{match['name']}"
    parts = (source if source.is_dir() else source.parent).absolute().parts
    if len(parts) > 3 and parts[-3] == "models":
        return f"{parts[-2]}/{parts[-1]}"
    return None


def _plain(source: Path) -> str:
    shard = shard_of(source.name)
    name = shard.stem if shard else source.name.removesuffix(".gguf")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def _safe(shelf_path: str) -> str:
    if not safe_path(shelf_path):
        raise InvalidRequest(f"{shelf_path!r} cannot be a file's name on every system.", hint="Rename it first.")
    return shelf_path


# Other programs' stores


def in_hub_cache(cache: Path) -> Iterator[tuple[Path, str]]:
    """The newest snapshot of each repository in a cache of Hugging Face's, with the repository's name."""
    for folder in sorted(cache.glob("models--*--*")):
        owner, _, name = folder.name.removeprefix("models--").partition("--")
        try:
            commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
        except OSError:
            continue
        if (folder / "snapshots" / commit).is_dir():
            yield folder / "snapshots" / commit, f"{owner}/{name}"


def in_ollama(models: Path) -> Iterator[Import]:
    """The weights and projectors of Ollama's models: layers of a manifest, each a blob under its hash."""
    for manifest in sorted((models / "manifests").rglob("*")):
        if not manifest.is_file():
            continue
        try:
            layers = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
            kinds = {str(layer["mediaType"]).rpartition(".")[2]: str(layer["digest"]) for layer in layers}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        *_, owner, name, tag = manifest.parts
        owner = "ollama" if owner == "library" else owner
        for kind, prefix in (("model", ""), ("projector", "mmproj-")):
            if kind in kinds and is_repository(owner, f"{name}-GGUF"):
                blob = models / "blobs" / kinds[kind].replace(":", "-")
                yield Import(blob, f"{owner}/{name}-GGUF/{prefix}{name}-{tag}.gguf")
