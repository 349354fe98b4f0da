"""What stands in a models folder: files by repository, with their stamps, and what does not belong there.

<models>/<owner>/<repo>/<path in the repository>
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from windlass.library.known import Stamp
from windlass.quantization import is_gguf

_DEEPEST = 8
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFINISHED = (".part", ".partial", ".incomplete", ".download", ".crdownload", ".tmp", ".aria2")

Files = dict[str, Stamp]


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


def is_unfinished(name: str) -> bool:
    """Whether the name is one that LM Studio, browsers and others give to what they are still bringing."""
    return name.startswith("downloading_") or name.lower().endswith(_UNFINISHED)


def take_stock(root: Path) -> Stock:
    """Walk a folder laid out as the models folder is. Links are followed, hidden folders left out; raises nothing."""
    stock = Stock()
    for owner in _list(os.fspath(root), "", stock):
        if not _is_folder(owner):
            _note_outsider(owner.name, stock)
            continue
        for repo in _list(owner.path, owner.name, stock):
            name = f"{owner.name}/{repo.name}"
            if not _is_folder(repo):
                _note_outsider(name, stock)
            elif files := dict(_files(repo.path, name, "", stock)):
                stock.repos[name] = files
    return stock


def _note_outsider(path: str, stock: Stock) -> None:
    if is_gguf(path):
        stock.oddities.append(
            Oddity(path, "it does not stand in a folder owner/repo; `windlass import` moves it to one")
        )


def _list(folder: str, shown: str, stock: Stock) -> list["os.DirEntry[str]"]:
    """What is in a folder, hidden folders left out; a folder that cannot be read is an oddity."""
    try:
        with os.scandir(folder) as entries:
            # Plain names, which nearly all are, are told without a call: this is where a list spends its time.
            return [e for e in entries if (e.name[0] != "." and e.name.isprintable()) or _is_shown(e, shown, stock)]
    except FileNotFoundError:
        return []
    except OSError as error:
        stock.oddities.append(Oddity(shown, f"it cannot be read: {os.strerror(error.errno or 0)}"))
        return []


def _is_shown(entry: "os.DirEntry[str]", shown: str, stock: Stock) -> bool:
    if entry.name.startswith(".") and _is_folder(entry):
        return False
    if not _UNSHOWABLE.search(entry.name):
        return True
    # Not UTF-8, or made of control characters: no JSON and no terminal could show it.
    stock.oddities.append(Oddity(f"{shown}/{ascii(entry.name)[1:-1]}".lstrip("/"), "its name cannot be shown"))
    return False


def _files(folder: str, repo: str, prefix: str, stock: Stock) -> Iterator[tuple[str, Stamp]]:
    """The finished files below a folder of the repository, by their paths in it."""
    for entry in _list(folder, f"{repo}/{prefix}".rstrip("/"), stock):
        path = f"{prefix}{entry.name}"
        if not _is_folder(entry):
            stamp = _stamp(entry, f"{repo}/{path}", stock)
            if stamp:
                yield path, stamp
        elif prefix.count("/") < _DEEPEST and not _leads_up(entry):
            yield from _files(entry.path, repo, f"{path}/", stock)


def _stamp(entry: "os.DirEntry[str]", shown: str, stock: Stock) -> Stamp | None:
    if is_unfinished(entry.name):
        return None
    try:
        found = entry.stat()
    except OSError as error:
        reason = "it is a link to nothing" if entry.is_symlink() else os.strerror(error.errno or 0)
        stock.oddities.append(Oddity(shown, reason))
        return None
    return Stamp(found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _leads_up(link: "os.DirEntry[str]") -> bool:
    """Whether it is a link to a folder that it stands in: following it would go in a circle until `_DEEPEST`."""
    if not link.is_symlink():
        return False
    path = Path(link.path)
    return path.parent.resolve().is_relative_to(path.resolve())
