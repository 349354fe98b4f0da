"""A repository: commits, each a listing of files, as Hugging Face shows them."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from standin.content import Bytes, Content, OnDisk, git_sha1, sha256

LFS_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt", ".onnx", ".model")
LFS_SIZE = 10_000_000

Files = Mapping[str, bytes | Path | Content]


@dataclass
class File:
    """One file at one commit. Setting `listed_*` makes the listing lie about it."""

    path: str
    content: Content
    known_sha256: str | None = None  # hashing 5 GiB takes seconds; a test may know the answer
    listed_size: int | None = None
    listed_sha256: str | None = None

    @property
    def lfs(self) -> bool:
        return self.path.endswith(LFS_SUFFIXES) or self.content.size >= LFS_SIZE

    @cached_property
    def sha256(self) -> str:
        return self.known_sha256 or sha256(self.content)

    @cached_property
    def xet_hash(self) -> str:
        """Not the content's sha256, as on the real hub."""
        return hashlib.sha256(b"xet " + self.sha256.encode()).hexdigest()

    @property
    def pointer(self) -> bytes:
        """The text that git keeps in place of a large file (git-lfs specification, version 1)."""
        size = self.content.size
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {size}\n".encode()

    @cached_property
    def oid(self) -> str:
        return git_sha1(Bytes(self.pointer) if self.lfs else self.content)

    @property
    def size(self) -> int:
        return self.content.size if self.listed_size is None else self.listed_size

    def entry(self, xet: bool) -> dict[str, Any]:
        """As in the answer of `/tree`."""
        entry: dict[str, Any] = {"type": "file", "oid": self.oid, "size": self.size, "path": self.path}
        if self.lfs:
            oid = self.listed_sha256 or self.sha256
            entry["lfs"] = {"oid": oid, "size": self.size, "pointerSize": len(self.pointer)}
            if xet:
                entry["xetHash"] = self.xet_hash
        return entry

    def sibling(self, blobs: bool) -> dict[str, Any]:
        """As in the answer of `/api/models/{repo}`."""
        if not blobs:
            return {"rfilename": self.path}
        sibling = {"rfilename": self.path, "size": self.size, "blobId": self.oid}
        if self.lfs:
            oid = self.listed_sha256 or self.sha256
            sibling["lfs"] = {"sha256": oid, "size": self.size, "pointerSize": len(self.pointer)}
        return sibling


def _file(path: str, content: bytes | Path | Content) -> File:
    if isinstance(content, bytes):
        return File(path, Bytes(content))
    return File(path, OnDisk(content) if isinstance(content, Path) else content)


def files_of(folder: Path) -> dict[str, Path]:
    """Every file of a folder by its path in it."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass
class Repository:
    """`granted`: the tokens that may have the bytes of a gated one, or see a private one."""

    name: str
    gated: str | bool = False
    private: bool = False
    disabled: bool = False
    granted: set[str] = field(default_factory=set)
    card: dict[str, Any] = field(default_factory=dict)  # tags, pipeline_tag, library_name, gguf …
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def push(self, files: Files, ref: str = "main", without: Collection[str] = ()) -> str:
        """A new commit on top of the last: the given files replace or join those there are, but for those `without`."""
        last = self.commits.get(self.refs.get(ref, ""), {})
        tree = {path: file for path, file in last.items() if path not in without}
        tree.update({path: _file(path, content) for path, content in files.items()})
        commit = hashlib.sha1(f"{self.name} {len(self.commits)}".encode()).hexdigest()
        self.commits[commit] = dict(sorted(tree.items()))
        self.refs[ref] = commit
        return commit

    def squash(self) -> None:
        """Forget every commit that no ref points to, as a force-push does."""
        self.commits = {commit: self.commits[commit] for commit in self.refs.values()}

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, `refs/…` or a commit stands for."""
        revision = {"HEAD": "main"}.get(revision, revision).removeprefix("refs/heads/")
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def file(self, path: str, revision: str = "main") -> File:
        return self.commits[self.resolve(revision) or ""][path]

    def info(self, commit: str, blobs: bool) -> dict[str, Any]:
        tree = self.commits[commit].values()
        state = {"gated": self.gated, "private": self.private, "disabled": self.disabled}
        about = {"_id": self.name, "id": self.name, "modelId": self.name, "sha": commit, "tags": [], **self.card}
        return {**about, **state, "siblings": [file.sibling(blobs) for file in tree]}

    def listing(self, commit: str, under: str, recursive: bool, xet: bool) -> list[dict[str, Any]]:
        """Files and folders below `under`, by path."""
        prefix = f"{under}/" if under else ""
        rows: dict[str, dict[str, Any]] = {}
        for path, file in self.commits[commit].items():
            parts = path.removeprefix(prefix).split("/") if path.startswith(prefix) else []
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                folder = prefix + "/".join(parts[:depth])
                rows[folder] = {"type": "directory", "oid": git_sha1(Bytes(folder.encode())), "size": 0, "path": folder}
            if parts and (recursive or len(parts) == 1):
                rows[path] = file.entry(xet)
        return [rows[path] for path in sorted(rows)]
