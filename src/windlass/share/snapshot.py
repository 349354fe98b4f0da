"""A repository at a commit, and how Hugging Face's answers show it. Pure: no disk, no network."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from windlass.share.digests import is_large
from windlass.share.folder import Found

Json = dict[str, Any]


@dataclass(frozen=True)
class File:
    """A file with its digest: sha256 where the hub would keep it in LFS, else git's blob sha1."""

    found: Found
    digest: str

    @property
    def path(self) -> str:
        """Within the repository, with forward slashes."""
        return self.found.path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.found.stamp.size

    @property
    def large(self) -> bool:
        """Whether the hub would keep it in LFS."""
        return is_large(self.path, self.size)

    @cached_property
    def pointer(self) -> bytes:
        """What git holds in place of a large file (git-lfs specification, "The Pointer")."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.digest}\nsize {self.size}\n".encode()

    @cached_property
    def oid(self) -> str:
        """The git blob sha1: of the pointer for a large file, else of the content."""
        return _blob_sha1(self.pointer) if self.large else self.digest

    def entry(self) -> Json:
        """As a row of `/tree`."""
        row: Json = {"type": "file", "oid": self.oid, "size": self.size, "path": self.path}
        if self.large:
            row["lfs"] = {"oid": self.digest, "size": self.size, "pointerSize": len(self.pointer)}
        return row

    def sibling(self, *, blobs: bool) -> Json:
        """As one of `siblings`."""
        if not blobs:
            return {"rfilename": self.path}
        row: Json = {"rfilename": self.path, "size": self.size, "blobId": self.oid}
        if self.large:
            row["lfs"] = {"sha256": self.digest, "size": self.size, "pointerSize": len(self.pointer)}
        return row


@dataclass(frozen=True)
class Snapshot:
    """A repository's files at one moment, by path."""

    name: str
    files: Mapping[str, File]
    mlx: bool = False

    @classmethod
    def of(cls, name: str, files: Iterable[File], *, mlx: bool = False) -> "Snapshot":
        """A snapshot of these files, in any order."""
        return cls(name, {file.path: file for file in sorted(files, key=lambda file: file.path)}, mlx)

    @cached_property
    def commit(self) -> str:
        """40 hex digits that change when any path or content does. Not a git commit: there is no history to hash."""
        text = "".join(f"{file.oid} {path}\n" for path, file in self.files.items())
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def has(self, revision: str) -> bool:
        """Whether a revision means this snapshot."""
        return revision in {"main", "HEAD", self.commit}

    def info(self, *, blobs: bool = False) -> Json:
        """As `/api/models/{repo}` answers."""
        siblings = [file.sibling(blobs=blobs) for file in self.files.values()]
        about = summary(self.name, [file.found for file in self.files.values()], mlx=self.mlx)
        return {**about, "sha": self.commit, "siblings": siblings}

    def listing(self, under: str = "", *, recursive: bool = False) -> list[Json]:
        """As `/tree` answers, all pages: files and folders below `under`, by path."""
        prefix = f"{under}/" if under else ""
        inner = [file for path, file in self.files.items() if path.startswith(prefix)]
        rows = {file.path: file.entry() for file in inner if recursive or "/" not in file.path[len(prefix) :]}
        folders = {folder for file in inner for folder in _folders(file.path, prefix)}
        shown = folders if recursive else {folder for folder in folders if "/" not in folder[len(prefix) :]}
        rows.update({folder: self._folder_entry(folder) for folder in shown})
        return [rows[path] for path in sorted(rows)]

    def _folder_entry(self, folder: str) -> Json:
        inner = (f"{file.oid} {path}\n" for path, file in self.files.items() if path.startswith(f"{folder}/"))
        oid = hashlib.sha1("".join(inner).encode(), usedforsecurity=False).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": folder}

    def last_commit(self) -> Json:
        """What `expand=true` adds to a row of `/tree`."""
        modified = _modified([file.found for file in self.files.values()])
        return {"id": self.commit, "title": "As it lies in the folder", "date": modified}


def summary(name: str, files: Sequence[Found], *, mlx: bool) -> Json:
    """As a row of the search, which needs no digests: the real hub's has no commit either."""
    tags, modified = tags_of((found.path for found in files), mlx=mlx), _modified(files)
    row: Json = {
        "_id": hashlib.sha256(name.encode()).hexdigest()[:24],
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "createdAt": modified,
        "lastModified": modified,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags,
    }
    return {**row, "library_name": tags[0]} if tags else row


def _modified(files: Sequence[Found]) -> str:
    """When the newest file was written, as the hub writes times."""
    newest = max((found.stamp.mtime_ns for found in files), default=0)
    return datetime.fromtimestamp(newest // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def page(rows: list[Json], cursor: str, limit: int) -> tuple[list[Json], str | None]:
    """The rows after the path `cursor`, at most `limit`, and the next cursor.

    A path instead of an offset: a push between two pages neither repeats nor skips what was there before and after.
    """
    start = bisect_right([row["path"] for row in rows], cursor) if cursor else 0
    end = start + limit
    return rows[start:end], rows[end - 1]["path"] if end < len(rows) else None


def tags_of(files: Iterable[str], *, mlx: bool) -> list[str]:
    """What a repository holds, by its files' names; the library that loads it comes first."""
    suffixes = {path.rsplit(".", 1)[-1].lower() for path in files}
    tags = ["gguf"] if "gguf" in suffixes else []
    if "safetensors" in suffixes:
        tags += ["mlx", "safetensors"] if mlx else ["safetensors"]
    return tags


def _folders(path: str, prefix: str) -> list[str]:
    """Every folder between the prefix and the file."""
    parts = path[len(prefix) :].split("/")
    return [prefix + "/".join(parts[:depth]) for depth in range(1, len(parts))]


def _blob_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
