"""A models folder: whether it is there, whether it may be made, and how much of its disk one more job may use."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from windlass.errors import StorageUnavailable
from windlass.library.disk import PRIVATE, storage_errors


class Condition(StrEnum):
    """How a models folder is found."""

    READY = "ready"  # it can be written to, or made
    READ_ONLY = "read_only"
    OFFLINE = "offline"  # it should be there and is not: most often its disk is not mounted


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class ModelsFolder:
    """The folder at `path`.

    Attributes:
        path: where weights go.
        known: a file that keeps the names of all folders that were made or found so far.
        min_free: bytes of its disk that always stay free.
        look: tells the free bytes of the disk that holds a folder; raises OSError.
        may_be_made: whether it may be made where it never was. Else, with its disk not mounted, models would go to the
            disk of the mount point.
    """

    path: Path
    known: Path
    min_free: int
    look: Callable[[Path], int] = _free_bytes
    may_be_made: bool = True

    def condition(self) -> Condition:
        """How it is found right now."""
        # In this order: another thread may make it between the two looks, and notes it after.
        known = self._is_known()
        if (known or not self.may_be_made) and not _exists(self.path):
            return Condition.OFFLINE
        if known and not self.may_be_made and _is_empty(self.path):  # the mount point alone
            return Condition.OFFLINE
        return Condition.READY if _is_writable(self._standing()) else Condition.READ_ONLY

    def check(self) -> None:
        """Refuse to go on without a folder that should be there.

        Raises:
            StorageUnavailable: it is not.
        """
        if self.condition() is Condition.OFFLINE:
            raise StorageUnavailable(
                f"The models folder {self.path} is {'gone' if self._is_known() else 'not there'}.",
                hint="Is its disk plugged in and mounted? If it is, make the folder (again).",
            )

    def make(self) -> None:
        """Have it, and remember that it was there.

        Raises:
            StorageUnavailable: it is gone, or cannot be made.
        """
        self.check()
        with storage_errors("making the models folder", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.may_be_made:  # so that it is never empty again, and an empty one is known for a mount point
                (self.path / PRIVATE).mkdir(exist_ok=True)
            if not self._is_known():
                self.known.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with self.known.open("a", encoding="utf-8") as file:
                    file.write(f"{self.path}\n")

    def usable(self, promised: int) -> int:
        """Bytes that one more job may use, where `promised` bytes will go to others."""
        return max(0, self.free() - self.min_free - promised)

    def spare(self) -> int | None:
        """Bytes that may be used, below 0 where less than `min_free` is left; None where it cannot be seen."""
        try:
            return self.look(self.path) - self.min_free
        except OSError:
            return None

    def free(self) -> int:
        """Bytes that are free on the disk where it stands, or would; none where that cannot be seen."""
        try:
            return self.look(self._standing())
        except OSError:
            return 0

    def disk(self) -> int:
        """The number of the disk where it stands, or would: folders of one number share their room. 0 for unknown."""
        try:
            return self._standing().stat().st_dev
        except OSError:
            return 0

    def _standing(self) -> Path:
        there = self.path
        while not _exists(there) and there != there.parent:
            there = there.parent
        return there

    def _is_known(self) -> bool:
        try:
            return str(self.path) in self.known.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False


def _exists(path: Path) -> bool:
    """Of a disk that does not answer, or what may not be looked at, no."""
    return os.path.exists(path)  # noqa: PTH110 - Path's own raises there


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _is_writable(folder: Path) -> bool:
    """By its rights, and by how its disk is mounted, which rights say nothing of to the one who may do everything."""
    try:
        return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY
    except OSError:
        return False
