"""What an exported folder says of itself: `windlass-export.json`, and the sums that `sha256sum -c` reads.

The folder holds `owner/repo/path` for each file and `catalog/owner/name/{model.yaml,manifest.json}` for catalog models,
so that `windlass hub` serves it as it is. Whoever hands such a folder over may have written anything into it: nothing
of it is used before `read_export` has judged all of it.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass.errors import InvalidRequest
from windlass.library.receipts import CHUNK_SIZE
from windlass.manifest import FORMATS, CatalogEntry, Digest, Manifest, ManifestFile
from windlass.names import catalog_name, collision, is_repository, safe_path

NAME = "windlass-export.json"
SUMS = "SHA256SUMS"
CATALOG = "catalog"

_VERSION = 1
_LARGEST = 64 * 1024 * 1024  # bytes of the whole; chunk digests of 50 TiB fit
_LARGEST_FILE = 2**60
_LONGEST = 10_000  # characters of a text that says something
_LONGEST_NAME = 1500  # a part that was asked for has a path in it
_LONGEST_CATALOG_TEXT = 1024 * 1024
_DEEPEST = 32
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "git-sha1": re.compile(r"[0-9a-f]{40}")}
_COMMIT = re.compile(r"(?:[0-9a-f]{40}(?:[0-9a-f]{24})?)?")
_CHUNK = re.compile(r"[0-9a-f]{16}")
_ROLES = ("weights", "projector", "data")


@dataclass(frozen=True, slots=True)
class Record:
    """One file of an export.

    Attributes:
        digest: what it hashes to, in the hub's algorithm.
        sha256: 64 hex digits; the digest's own where that is one.
        commit: 40 or 64 hex digits, of its receipt; empty where nobody knows it. A manifest may name another one that
            has the same file.
        source: the endpoint that the bytes once came from; empty where nobody knows it.
        chunks: xxh3-64 of each chunk of 16 MiB.
    """

    size: int
    digest: Digest
    sha256: str
    commit: str
    source: str = ""
    chunks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """One model of an export.

    Attributes:
        manifest: its files; one that was made for a model without a receipt has what is known.
        finished_at: from its receipt; empty where it had none.
        overrides: from its receipt: the catalog's `metadataOverrides`.
    """

    manifest: Manifest
    finished_at: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    """What a folder holds: its models, and its files by their paths on the shelf."""

    models: tuple[Packed, ...] = ()
    files: Mapping[str, Record] = field(default_factory=dict)

    def plus(self, models: Iterable[Packed], files: Mapping[str, Record]) -> "Export":
        """With these models too, each in the place of one with the same key; files that no model has are left out."""
        new = {one.manifest.key: one for one in models}
        kept = [one for one in self.models if one.manifest.key not in new]
        all_models = (*kept, *new.values())
        wanted = {file.shelf_path for one in all_models for file in one.manifest.files}
        both = {**self.files, **files}
        return Export(all_models, {path: both[path] for path in sorted(wanted & both.keys())})

    def needs(self, shelf_path: str, others_than: Iterable[str]) -> bool:
        """Whether a model whose key is not among those has this file."""
        keys = set(others_than)
        return any(
            file.shelf_path == shelf_path
            for one in self.models
            if one.manifest.key not in keys
            for file in one.manifest.files
        )


class _WrongError(ValueError):
    """Why what was read is not believed."""


def write_export(export: Export) -> str:
    """The text of `windlass-export.json`."""
    models = [
        {
            "manifest": json.loads(one.manifest.to_json()),
            "finished_at": one.finished_at,
            "overrides": dict(one.overrides),
        }
        for one in export.models
    ]
    files = {path: _record_body(record) for path, record in export.files.items()}
    return f"{json.dumps({'version': _VERSION, 'models': models, 'files': files})}\n"


def sums_of(export: Export, text: str) -> str:
    """The text of `SHA256SUMS`: all files, the catalog's texts, and `text`, that of `windlass-export.json`."""
    sums = {path: record.sha256 for path, record in export.files.items()}
    for one in export.models:
        if one.manifest.catalog:
            sums |= {path: _sha256(content) for path, content in catalog_files(one.manifest.catalog).items()}
    sums[NAME] = _sha256(text)
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def catalog_files(entry: CatalogEntry) -> dict[str, str]:
    """The catalog's two texts by their paths in the folder; `model.yaml` last, which is the one that is looked for."""
    folder = f"{CATALOG}/{entry.id}"
    return {f"{folder}/manifest.json": entry.manifest_json, f"{folder}/model.yaml": entry.model_yaml}


def find_export(root: Path) -> Export | None:
    """What the folder says of itself; None where it is no export.

    Raises:
        InvalidRequest: it says what cannot be believed.
        OSError: it cannot be read.
    """
    path = root / NAME
    if not os.path.lexists(path):
        return None
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):  # a link may lead out, a pipe has no end
        raise _refusal(str(path), "it is no plain file")
    if found.st_size > _LARGEST:
        raise _refusal(str(path), f"it has {found.st_size:,} bytes")
    return read_export(path.read_bytes(), str(path))


def read_export(text: bytes, name: str = NAME) -> Export:
    """The inverse of `write_export`, for a text that anybody may have written; `name` is what to call it.

    Raises:
        InvalidRequest: there is anything in it that cannot be believed; the message says what.
    """
    try:
        return _export(json.loads(text))
    except _WrongError as error:
        raise _refusal(name, str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refusal(name, "it has not the form of one") from error


def _refusal(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name} is no manifest of an export that can be used: {why}.", hint="Nothing was written.")


def _export(raw: Any) -> Export:
    if not isinstance(raw, dict) or type(raw.get("version")) is not int:
        raise _WrongError("it states no version")
    if raw["version"] != _VERSION:
        raise _WrongError(f"it is of another version than {_VERSION}, the one that this Windlass reads")
    files = {_shelf_path(path): _record(path, value) for path, value in _dict(raw["files"]).items()}
    models = tuple(_packed(value, files) for value in _list(raw["models"]))
    if len({one.manifest.key for one in models}) != len(models):
        raise _WrongError("it has a model twice")
    # The folder's own names, so that no file of a model takes their place on any disk.
    if clash := collision([*files, NAME, SUMS, CATALOG]):
        raise _WrongError(f"{_shown(clash[0])} and {_shown(clash[1])} cannot both be there")
    return Export().plus(models, files)


def _packed(raw: Any, files: Mapping[str, Record]) -> Packed:
    manifest = Manifest.from_json(json.dumps(raw["manifest"]))
    if not manifest.files:
        raise _WrongError(f"{_shown(manifest.id)} has no files")
    _judge_names(manifest)
    _judge_catalog(manifest)
    for file in manifest.files:
        _judge_file(file, files)
    if len({file.shelf_path for file in manifest.files}) != len(manifest.files):
        raise _WrongError(f"{_shown(manifest.id)} has a file twice")
    overrides = _dict(raw["overrides"])
    if len(json.dumps(overrides, ensure_ascii=False).encode()) > _LONGEST_CATALOG_TEXT or _is_deep(overrides):
        raise _WrongError(f"the overrides of {_shown(manifest.id)} are too large")
    return Packed(manifest, _name(raw["finished_at"]), overrides)


def _judge_names(manifest: Manifest) -> None:
    """What a person and a program will see of the model."""
    for text in (manifest.id, manifest.publisher, manifest.quantization, manifest.subset):
        _name("" if text is None else text)
    if manifest.id is None or manifest.publisher is None:
        raise TypeError
    for text in (manifest.display_name, manifest.url, manifest.why):
        _text(text)
    if manifest.format not in FORMATS:
        raise _WrongError(f"{_shown(manifest.id)} is of no format that is known")
    repositories = {file.repo for file in manifest.files}
    if manifest.catalog is None and repositories != {manifest.id}:
        raise _WrongError(f"{_shown(manifest.id)} has files of another repository")


def _judge_catalog(manifest: Manifest) -> None:
    entry = manifest.catalog
    if entry is None:
        return
    if catalog_name(entry.owner, entry.name) != (entry.owner, entry.name) or entry.id != manifest.id:
        raise _WrongError(f"{_shown(manifest.id)} cannot be a name in the catalog")
    for text in (entry.model_yaml, entry.manifest_json):
        _text(text, _LONGEST_CATALOG_TEXT)


def _judge_file(file: ManifestFile, files: Mapping[str, Record]) -> None:
    record = files.get(_shelf_path(file.shelf_path))
    if record is None or file.size != record.size or not _agree(_judged(file.digest), record):
        raise _WrongError(f"it says two things of {_shown(file.shelf_path)}")
    # Though they are equal: True is equal to 1, and a path that is a number reads as one that is a text.
    kinds = [type(value) for value in (file.repo, file.path, file.size)]
    if kinds != [str, str, int] or file.role not in _ROLES or not _COMMIT.fullmatch(file.commit):
        raise _WrongError(f"what it says of {_shown(file.shelf_path)} is of the wrong kind")
    if file.repo.count("/") != 1:
        raise _WrongError(f"{_shown(file.repo)} is no repository")


def _judged(digest: Digest) -> Digest:
    if digest.algorithm not in _HEX or not _HEX[digest.algorithm].fullmatch(digest.hex):
        raise _WrongError(f"{_shown(digest.hex)} is no digest")
    return digest


def _agree(digest: Digest, record: Record) -> bool:
    """Whether they may be of the same bytes. A mirror may list a file by the other hash: that is told by hashing it."""
    if digest.algorithm == record.digest.algorithm:
        return digest == record.digest
    return digest.algorithm == "git-sha1" or digest.hex == record.sha256


def _record(path: str, raw: Any) -> Record:
    size, digest, chunks = raw["size"], _judged(Digest(**raw["digest"])), _list(raw["chunks"])
    if type(size) is not int or not 0 <= size < _LARGEST_FILE:
        raise _WrongError(f"{_shown(path)} cannot be of that size")
    if not _HEX["sha256"].fullmatch(raw["sha256"]) or not _COMMIT.fullmatch(raw["commit"]):
        raise _WrongError(f"{_shown(path)} has a sum or a commit that is none")
    if digest.algorithm == "sha256" and digest.hex != raw["sha256"]:
        raise _WrongError(f"it says two things of {_shown(path)}")
    if raw["chunk_size"] != CHUNK_SIZE or len(chunks) != -(-size // CHUNK_SIZE):
        chunks = []  # no harm: they only tell where damage is
    if not all(_CHUNK.fullmatch(chunk) for chunk in chunks):
        raise _WrongError(f"{_shown(path)} has chunks with digests that are none")
    return Record(size, digest, raw["sha256"], raw["commit"], _name(raw["source"]), tuple(chunks))


def _record_body(record: Record) -> dict[str, Any]:
    return {
        "size": record.size,
        "digest": {"algorithm": record.digest.algorithm, "hex": record.digest.hex},
        "sha256": record.sha256,
        "commit": record.commit,
        "source": record.source,
        "chunk_size": CHUNK_SIZE,
        "chunks": list(record.chunks),
    }


def _shelf_path(path: Any) -> str:
    """A path of at least three parts that stays below any folder, and means one file on any system."""
    if not isinstance(path, str) or not safe_path(path):
        raise _WrongError(f"{_shown(path)} does not stay below a models folder")
    owner, _, rest = path.partition("/")
    name, _, inner = rest.partition("/")
    if not inner or not is_repository(owner, name):
        raise _WrongError(f"{_shown(path)} is no file of a repository")
    return path


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _name(value: Any) -> str:
    """A short text that a terminal may be shown."""
    if not _text(value, _LONGEST_NAME).isprintable():
        raise _WrongError(f"{_shown(value)} cannot be shown")
    return str(value)


def _text(value: Any, most: int = _LONGEST) -> str:
    if not isinstance(value, str):
        raise TypeError
    if len(value) > most:
        raise _WrongError(f"{_shown(value)} is too long")
    value.encode()  # half of a surrogate pair can be in JSON, and in no file
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inner(one)]
    return bool(level)


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _shown(value: Any) -> str:
    return ascii(value if isinstance(value, str) else str(type(value)))[:120]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
