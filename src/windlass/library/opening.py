"""Files opened for reading, and never waited for: what stands among models may be a pipe that nobody writes to."""

import errno
import os
import stat
from io import FileIO
from pathlib import Path


def open_file(path: Path) -> FileIO:
    """Open a plain file, unbuffered.

    Looked at once it is open, for what was a file when the folder was listed may be a pipe by now; and opened without
    waiting, for a pipe would have us wait for its writer.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return FileIO(handle, "rb")
    os.close(handle)
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), os.fspath(path))


def read_file(path: Path, most: int) -> bytes | None:
    """The content of a plain file, None where it is longer than `most` bytes.

    Raises:
        OSError: as `open_file`.
    """
    with open_file(path) as file:
        return file.readall() if os.fstat(file.fileno()).st_size <= most else None
