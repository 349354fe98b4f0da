"""What stands in a models folder: files by repository, with their stamps, and what does not belong there.

<models>/<owner>/<repo>/<path in the repository>
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from windlass.library.known import Stamp
from windlass.quantization import is_gguf
from windlass.unfinished import is_unfinished

_DEEPEST = 8
_MOST = 100_000  # files of one repository: a link may lead to a whole disk
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OF_FILES = (".gguf", ".safetensors", "config.json")
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

_CIRCLE = "it leads back to a folder that it stands in"

Files = dict[str, Stamp]
Entry = os.DirEntry[str]


class Oddity(NamedTuple):
    """Something on the shelf that is no model: its path below the models folder, and why, in words for people."""

    path: str
    reason: str


@dataclass(slots=True)
class Stock:
    """The files of each repository (`owner/repo` → path in it → stamp), and the oddities met on the way."""

    repos: dict[str, Files] = field(default_factory=dict)
    oddities: list[Oddity] = field(default_factory=list)

    def stamp(self, repo: str, path: str) -> Stamp | None:
        """The stamp of one file, None where there is none."""
        return self.repos.get(repo, {}).get(path)

    def note(self, path: str, reason: str) -> None:
        """Add an oddity."""
        self.oddities.append(Oddity(path, reason))


def take_stock(root: Path) -> Stock:
    """Walk a folder laid out as the models folder is. Links are followed, hidden folders left out; raises nothing."""
    stock = Stock()
    for owner in _list(os.fspath(root), "", stock):
        if not _is_folder(owner):
            _note_outsider(owner, owner.name, stock)
            continue
        if _leads_back(owner):
            stock.note(owner.name, _CIRCLE)
            continue
        for repo in _list(owner.path, owner.name, stock):
            name = f"{owner.name}/{repo.name}"
            if not _is_folder(repo):
                _note_outsider(repo, name, stock)
            elif files := dict(_Walk(name, stock).files(repo, "")):
                stock.repos[name] = files
    return stock


def _note_outsider(entry: Entry, path: str, stock: Stock) -> None:
    if entry.name.startswith("."):
        return
    if is_gguf(path) and _stamp(entry, path, stock):
        stock.note(path, "it does not stand in a folder owner/repo; `windlass import` moves it to one")
    elif not is_gguf(path) and _stamp(entry, path, stock):
        stock.note(path, "it is no model, and does not stand in a folder owner/repo")


def _list(folder: str, shown: str, stock: Stock) -> list[Entry]:
    """What is in a folder, hidden folders left out; a folder that cannot be read is an oddity."""
    try:
        with os.scandir(folder) as entries:
            # Plain names, which nearly all are, are told without a call: this is where a list spends its time.
            return [e for e in entries if (e.name[0] != "." and e.name.isprintable()) or _is_shown(e, shown, stock)]
    except FileNotFoundError:
        return []
    except OSError as error:
        stock.note(shown or ".", f"it cannot be read: {os.strerror(error.errno or 0)}")
        return []


def _is_shown(entry: Entry, shown: str, stock: Stock) -> bool:
    if entry.name.startswith(".") and _is_folder(entry):
        return False
    if not _UNSHOWABLE.search(entry.name):
        return True
    # Not UTF-8, or made of control characters: no JSON and no terminal could show it.
    stock.note(f"{shown}/{ascii(entry.name)[1:-1]}".lstrip("/"), "its name cannot be shown")
    return False


class _Walk:
    """The walk through one repository. It ends whatever links there are: each of their targets is entered once."""

    def __init__(self, repo: str, stock: Stock) -> None:
        self._repo = repo
        self._stock = stock
        self._entered: set[str] = set()
        self._left = _MOST

    def files(self, folder: Entry, prefix: str) -> Iterator[tuple[str, Stamp]]:
        """The finished files below a folder of the repository, by their paths in it."""
        if self._is_barred(folder, prefix):
            return
        for entry in _list(folder.path, f"{self._repo}/{prefix}".rstrip("/"), self._stock):
            path = f"{prefix}{entry.name}"
            if _is_folder(entry):
                yield from self._below(entry, path)
            elif stamp := _stamp(entry, f"{self._repo}/{path}", self._stock):
                self._left -= 1
                if self._left < 0:
                    self._stock.note(self._repo, f"it holds more than {_MOST} files: the others are not looked at")
                    return
                yield path, stamp

    def _below(self, folder: Entry, path: str) -> Iterator[tuple[str, Stamp]]:
        before = len(self._stock.oddities)
        found = list(self.files(folder, f"{path}/"))
        if not found and len(self._stock.oddities) == before and folder.name.lower().endswith(_OF_FILES):
            self._stock.note(f"{self._repo}/{path}", "it is a folder, where a file is expected")
        yield from found

    def _is_barred(self, folder: Entry, prefix: str) -> bool:
        """Whether a folder is not entered; the reason is noted."""
        reason = None
        if prefix.count("/") > _DEEPEST:
            reason = f"it stands too deep: {_DEEPEST} folders below a repository are looked into"
        elif folder.is_symlink():
            reason = self._bar_of_link(folder)
        if reason:
            self._stock.note(f"{self._repo}/{prefix}".rstrip("/"), reason)
        return reason is not None or self._left < 0

    def _bar_of_link(self, link: Entry) -> str | None:
        if _leads_back(link):
            return _CIRCLE
        target = os.path.realpath(link.path)
        if target in self._entered:
            return "it leads to a folder that another link leads to"
        self._entered.add(target)
        return None


def _leads_back(folder: Entry) -> bool:
    """Whether it is a link to a folder that it stands in: following it would go in a circle."""
    if not folder.is_symlink():
        return False
    path = Path(folder.path)
    # Not Path.resolve: until Python 3.13 it answers a circle of links with a RuntimeError.
    return Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(path))


def _stamp(entry: Entry, shown: str, stock: Stock) -> Stamp | None:
    """The stamp of a finished file; what is none is noted, unless it is hidden."""
    if is_unfinished(entry.name):
        reason = "another program has not finished bringing it"
    else:
        try:
            found = entry.stat()
        except OSError as error:
            reason = _why_no_file(entry, error)
        else:
            if stat.S_ISREG(found.st_mode):
                return Stamp(found.st_size, found.st_mtime_ns)
            reason = f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no file')}"
    if not entry.name.startswith("."):
        stock.note(shown, reason)
    return None


def _why_no_file(entry: Entry, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a link that leads in a circle"
    if entry.is_symlink() and error.errno == errno.ENOENT:
        return "it is a link to nothing"
    return f"it cannot be read: {os.strerror(error.errno or 0)}"


def _is_folder(entry: Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
