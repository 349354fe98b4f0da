"""Which files of a folder may be served. The one place that looks at the disk by name.

A request never names a path: it is looked up among the names that a scan found. So `..`, encoded slashes and NUL bytes
have nothing to reach, and there is no path to clean.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from windlass.unfinished import is_unfinished

CATALOG = "catalog"  # DIR/catalog holds the catalog, so no owner of repositories can have that name


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another without reading it. Times in nanoseconds."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The state that a `stat` shows."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be served: its path within the repository, where it really lies, and its state when seen."""

    path: str
    real: Path
    stamp: Stamp

    def open(self) -> IO[bytes] | None:
        """The file, or None when it is no longer the one that was seen.

        The open file is compared and not the name, so a link that was put there in the meantime changes nothing.
        """
        try:
            file = self.real.open("rb", buffering=0)
        except OSError:
            return None
        if Stamp.of(os.fstat(file.fileno())) == self.stamp:
            return file
        file.close()
        return None


@dataclass(frozen=True, slots=True)
class Folder:
    """`owner/repo/files…` and `catalog/owner/name/files…` below `root`, an absolute path without links."""

    root: Path

    def repositories(self) -> list[str]:
        """Every `owner/repo`, sorted."""
        owners = [owner for owner in self._folders(self.root) if owner != CATALOG]
        return [f"{owner}/{repo}" for owner in owners for repo in self._folders(self.root / owner)]

    def entries(self) -> list[str]:
        """Every `owner/name` of the catalog, sorted."""
        catalog = self.root / CATALOG
        owners = self._folders(catalog) if self._inside(catalog.resolve()) else []
        return [f"{owner}/{name}" for owner in owners for name in self._folders(catalog / owner)]

    def files(self, name: str) -> list[Found]:
        """The files of a repository (`owner/repo`), or of a catalog entry (`catalog/owner/name`), by path.

        `name` must have come from `repositories` or `entries`.
        """
        return sorted(self._walk((self.root / name).resolve(), ""), key=lambda found: found.path)

    def _walk(self, folder: Path, prefix: str) -> Iterator[Found]:
        """The files below a real folder. Links to folders are left out: they may go in circles."""
        for entry in _visible(folder):
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), f"{path}/")
            elif not is_unfinished(entry.name) and (found := self._found(path, entry)):
                yield found

    def _found(self, path: str, entry: os.DirEntry[str]) -> Found | None:
        """A regular file, or a link to one below the root."""
        real = Path(entry.path)
        try:
            if entry.is_symlink():
                real = real.resolve(strict=True)
            status = real.lstat()
        except (OSError, RuntimeError):
            return None
        return Found(path, real, Stamp.of(status)) if stat.S_ISREG(status.st_mode) and self._inside(real) else None

    def _folders(self, folder: Path) -> list[str]:
        return sorted(
            entry.name for entry in _visible(folder) if entry.is_dir() and self._inside(Path(entry.path).resolve())
        )

    def _inside(self, real: Path) -> bool:
        return real.is_relative_to(self.root) and not _hidden(real.relative_to(self.root))


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and _is_text(entry.name)]
    except OSError:
        return []


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_text(name: str) -> bool:
    """Whether a name can stand in JSON and in an address: bytes that are not UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
