"""The models folder: whether it may be made, and how much of its disk one more job may use."""

import shutil
from pathlib import Path

from windlass.errors import StorageUnavailable
from windlass.library.disk import storage_errors


class ModelsFolder:
    """The folder at `path`.

    Args:
        path: where weights go.
        known: a file that keeps the names of all folders that were made or found so far.
        min_free: bytes of its disk that always stay free.
    """

    def __init__(self, path: Path, known: Path, min_free: int) -> None:
        self.path = path
        self.min_free = min_free
        self._known = known

    def look(self) -> None:
        """Refuse to go on without a folder that was there once: most often its disk is not mounted.

        Raises:
            StorageUnavailable: it is gone.
        """
        # In this order: another thread may make it between the two looks, and notes it after.
        if self._is_known() and not self.path.exists():
            raise StorageUnavailable(
                f"The models folder {self.path} is gone.",
                hint="Is its disk plugged in and mounted? If you removed the folder yourself, make it again.",
            )

    def make(self) -> None:
        """Have it, and remember that it was there.

        Raises:
            StorageUnavailable: it is gone, or cannot be made.
        """
        self.look()
        with storage_errors("making the models folder", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            if not self._is_known():
                self._known.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with self._known.open("a", encoding="utf-8") as file:
                    file.write(f"{self.path}\n")

    def usable(self, promised: int) -> int:
        """Bytes that one more job may use, where `promised` bytes will go to others."""
        return max(0, self.free() - self.min_free - promised)

    def free(self) -> int:
        """Bytes that are free on the disk where it stands, or would."""
        there = self.path
        while not there.exists():
            there = there.parent
        return shutil.disk_usage(there).free

    def _is_known(self) -> bool:
        try:
            return str(self.path) in self._known.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
