"""Where the jobs are kept, as far as that can be told without opening it, and how a file makes way that cannot be."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FILE, _MEMORY = "sqlite:///", ":memory:"
# The log first: one that is left behind would be taken for the next database's own.
_PARTS = ("-wal", "-shm", "-journal", "")


def file_of(url: str) -> Path | None:
    """The file of a SQLite database; None for one that is no file of this machine."""
    path = url.removeprefix(_FILE)
    return None if path in (url, _MEMORY) else Path(path.partition("?")[0])


def has_database(url: str) -> bool:
    """Whether there is a database at this address; one that is not a file of this machine is taken to be there."""
    path = file_of(url)
    return path is None or path.exists()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from making or moving a database in the same folder meanwhile.

    The lock is the folder's own: to open the database's file and close it again would end all locks that SQLite holds
    on it in this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def set_aside(path: Path, mark: str) -> Path:
    """Give a database another name, `mark` at its end, so that a new one can be begun in its place; where it is now."""
    for part in _PARTS:
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{path}.{mark}{part}")
    return Path(f"{path}.{mark}")
