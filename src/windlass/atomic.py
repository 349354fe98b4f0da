"""Small files written as a whole or not at all: a kill or a power cut leaves the old text or the new one."""

import errno
import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF}


def write(path: Path, text: str, mode: int = 0o666) -> None:
    """Write the text under `path` durably. The folder must be there; `mode` is what the umask leaves of it.

    Raises:
        OSError: as the operating system has it; the old file, if any, is untouched.
    """
    _write(path, text, mode, durably=True)
    sync_folder(path.parent)


def write_soon(path: Path, text: str, mode: int = 0o666) -> None:
    """As `write`, but durable only when `path` and its folder have been synced.

    Until then a power cut may leave a file that is torn or empty, in the place of the old one too: for texts that are
    known as damaged when they are read.
    """
    _write(path, text, mode, durably=False)


def keep(path: Path, text: str, mode: int = 0o600) -> str:
    """What stands in a file that is made once: `text`, where there is none yet. Of several at once all get the same.

    One without a word counts as none: a crash or a full disk leaves it, as the lock is on the file itself. (A file for
    the lock would lie beside it for good, and a hard link, which only the first can make, is not to be had everywhere.)

    Raises:
        OSError: as the operating system has it.
        ValueError: what stands there is no text.
    """
    while not (kept := _read(path)):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                # Whoever had the lock before us has put another file in the place of this one.
                if os.path.samestat(os.fstat(fd), path.stat()) and not _read(path):
                    write(path, text, mode)
        finally:
            os.close(fd)
    return kept


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def sync_file(path: Path) -> None:
    """Return when the file's bytes are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Return when the folder's names are on the disk; where a filesystem cannot promise that, do without."""
    try:
        sync_file(folder)
    except OSError as error:
        if error.errno not in _NO_FSYNC:  # SMB, FUSE and Windows refuse to open or sync a folder
            raise


def _write(path: Path, text: str, mode: int, *, durably: bool) -> None:
    # Not the final name plus a suffix: that may be too long.
    temporary = path.with_name(f".{secrets.token_hex(6)}.part")
    content = text.encode()
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(content)
            if durably:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
