"""What stands among the partials, name by name, and how a name is cleared that nobody writes to.

Whether a partial is still wanted is not known here: that is for those to say who know the jobs.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from windlass.errors import StorageFailure
from windlass.transfer.partial import discard, disk_errors, is_held, open_locked

_PART, _OVER = ".part", ".over"
_BESIDE = (".ledger", ".ledger~", ".whole", ".whole~")
_BLOCK = 512  # bytes, whatever the file system's own blocks are


@dataclass(frozen=True, slots=True)
class Leftover:
    """A partial with what lies beside it, or that alone, or a file that is being brought over from elsewhere.

    Attributes:
        path: of the file that says what it is: `.part`, `.over`, or the first of those that lie beside no `.part`.
        frees: bytes of the disk that come free with it: none for a link, nor for a file that has another name too.
        changed_at: Unix time, by the kernel's clock, of the last change of anything of it.
        inodes: by which it is known again.
    """

    path: Path
    frees: int
    changed_at: float
    inodes: frozenset[int]

    @property
    def name(self) -> str:
        """The partial's name."""
        return self.path.stem

    @property
    def is_part(self) -> bool:
        """Whether it holds bytes of a file, for one writer at a time."""
        return self.path.suffix == _PART

    @property
    def is_over(self) -> bool:
        """Whether it was to be brought over; those who do that hold no lock."""
        return self.path.suffix == _OVER

    def is_held(self) -> bool:
        """Whether a writer has it right now; of a disk that does not let that be asked, no."""
        try:
            return self.is_part and is_held(self.path)
        except StorageFailure:
            return False


def look(folder: Path) -> list[Leftover]:
    """What there is, in order of name; nothing where there is no such folder, or none that can be read."""
    found: dict[str, dict[str, os.stat_result]] = defaultdict(dict)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.name)
            if path.suffix in (_PART, _OVER, *_BESIDE) and not entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):  # gone in this moment
                    found[path.stem][path.suffix] = entry.stat(follow_symlinks=False)
    return [one for name in sorted(found) for one in _told_apart(folder / name, found[name])]


def clear(one: Leftover) -> bool:
    """Remove it, if it still is what was seen and no writer has it; whether it was removed.

    The lock of a `.part` is taken also where there is none: who begins with that name in this moment waits, and does
    not lose the ledger that he has just begun.

    Raises:
        StorageFailure: the disk refuses.
    """
    with disk_errors(one.path):
        if not _is_there(one):
            return False
        if one.is_over:
            one.path.unlink(missing_ok=True)
            return True
    fd = open_locked(one.path.with_suffix(_PART))
    if fd < 0:
        return False
    try:
        found = os.fstat(fd)
        idle = found.st_ino in one.inodes if one.is_part else not found.st_size
        if idle:
            discard(one.path.parent, one.name)
    finally:
        os.close(fd)
    return idle


def _is_there(one: Leftover) -> bool:
    try:
        return one.path.lstat().st_ino in one.inodes
    except FileNotFoundError:
        return False


def _told_apart(path: Path, files: dict[str, os.stat_result]) -> Iterator[Leftover]:
    """What is of the partial, and what is being brought over in its place."""
    over = files.pop(_OVER, None)
    if files:
        first = _PART if _PART in files else min(files)
        yield _leftover(Path(f"{path}{first}"), files.values())
    if over:
        yield _leftover(Path(f"{path}{_OVER}"), [over])


def _leftover(path: Path, files: Collection[os.stat_result]) -> Leftover:
    # By blocks and not by size: a partial has its full size from the start, and holes where nothing has come.
    blocks = sum(found.st_blocks for found in files if found.st_nlink == 1 and stat.S_ISREG(found.st_mode))
    changed_at = max(found.st_ctime for found in files)
    return Leftover(path, blocks * _BLOCK, changed_at, frozenset(found.st_ino for found in files))
