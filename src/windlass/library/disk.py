"""Files written so that a power cut leaves the old or the new, and never outside the folder they belong to."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from windlass.errors import InsufficientStorage, StorageUnavailable

PRIVATE = ".windlass"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF}


@contextmanager
def storage_errors(doing: str, root: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the operating system says about the disk at `root` into our errors.

    Args:
        doing: what was under way, to follow "while", in words for people.
        root: the folder whose disk is meant.
        needed: bytes that the work wants, for the message when there is no room.

    Raises:
        InsufficientStorage: the disk or the quota is full.
        StorageUnavailable: any other refusal; the hint says what to look at.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"The disk of {root} is full, while {doing}."
            hint = "Free some space, then ask for the model again: it goes on from where it stopped."
            raise InsufficientStorage(message, needed=needed, free=_free(root), hint=hint) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageUnavailable(f"{reason}, while {doing}.", hint=_hint(error, root)) from error


def _free(root: Path) -> int:
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return 0


def _hint(error: OSError, root: Path) -> str:
    if error.errno == errno.EROFS:
        return f"The disk of {root} is mounted read-only; choose another folder with WINDLASS_MODELS_DIR."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"Check who may write to {root}, or choose another folder with WINDLASS_MODELS_DIR."
    if error.errno == errno.ENOENT and not root.is_dir():
        return f"{root} is not there: is its disk plugged in and mounted?"
    if error.errno in {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY}:
        return f"Something else stands at {error.filename2 or error.filename}; move it away."
    return f"Check the disk of {root}."


def folder_below(root: Path, relative: str) -> Path:
    """Make the folder `relative` below `root`, parents too, never through a link that leads out of `root`.

    `root` itself may be a link, and is not made here: one that is gone is most often a disk that is not mounted, and a
    new folder in its place would take 40 GB on the wrong disk.

    Raises:
        StorageUnavailable: the path leads out of `root`.
        OSError: as the operating system has it.
    """
    # Not Path.resolve: until Python 3.13 it answers a circle of links with a RuntimeError.
    real_root = Path(os.path.realpath(root, strict=True))
    parts = PurePosixPath(relative).parts
    folder = Path(os.path.realpath(real_root.joinpath(*parts)))
    if "/" in parts[:1] or ".." in parts or not folder.is_relative_to(real_root):
        raise StorageUnavailable(
            f"{root / relative} leads to {folder}, outside {root}, so nothing is written there.",
            hint="Put a real folder in the place of the link, or make the other place the models folder.",
        )
    _make(folder, real_root)
    return folder


def _make(folder: Path, root: Path) -> None:
    """Make missing folders top down, each made durable in its parent."""
    missing = [parent for parent in (folder, *folder.parents) if parent.is_relative_to(root) and not parent.is_dir()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        sync_folder(parent.parent)


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


def write_atomically(path: Path, text: str) -> None:
    """Write the text under `path` as a whole or not at all, durably. The folder must be there.

    Raises:
        OSError: as the operating system has it; the old file, if any, is untouched.
    """
    temporary = path.with_name(
        f".{secrets.token_hex(6)}.part"
    )  # not the final name plus a suffix: that may be too long
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)
