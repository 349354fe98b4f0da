"""A place for files that are on their way into a folder, until all of them are right: the folder's own disk, hidden."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from windlass.errors import StorageUnavailable
from windlass.library.disk import folder_below


@contextmanager
def staging(root: Path, relative: str) -> Iterator[Path]:
    """An empty folder `relative` below `root`, for one process at a time; gone afterwards, with what is left in it.

    What a killed process left there is removed by the next: names at random would have to be told from those that
    somebody is at work on.

    Raises:
        StorageUnavailable: another is at work there, or the path leads out of `root`.
        OSError: as the operating system has it.
    """
    with _held(root):
        folder = folder_below(root, relative)
        _clear(folder)
        try:
            yield folder
        finally:
            with suppress(OSError):
                _clear(folder)
                folder.rmdir()


@contextmanager
def _held(root: Path) -> Iterator[None]:
    """Keep others out of the folder, who ask as well; the kernel lets them in when this process dies."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageUnavailable(
                f"Another import or export is at work in {root}.", hint="Wait until it is done, then try again."
            ) from error
        except OSError:
            pass  # a network's file system that locks no folders: there, do without
        yield
    finally:
        os.close(handle)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
