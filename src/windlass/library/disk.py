"""What the disk says as errors of ours, and folders that are never made outside the one they belong to."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from windlass import atomic
from windlass.errors import InsufficientStorage, StorageFailure, StorageUnavailable

PRIVATE = ".windlass"

sync_file, sync_folder = atomic.sync_file, atomic.sync_folder  # the rooms that sync what lies on a shelf ask here

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SYNCS_AT_ONCE = 8
_FEW = 4  # files that are not worth a thread
_WRITE = 2  # SYNC_FILE_RANGE_WRITE, as <fcntl.h> has it


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
        raise storage_error(error, doing, root, needed) from error


def storage_error(error: OSError, doing: str, root: Path, needed: int = 0) -> StorageFailure:
    """Our error for one of the operating system's; see `storage_errors`."""
    if error.errno in _FULL:
        message = f"The disk of {root} is full, while {doing}."
        hint = "Free some space, then ask for the model again: it goes on from where it stopped."
        return InsufficientStorage(message, needed=needed, free=_free(root), hint=hint)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StorageUnavailable(f"{reason}, while {doing}.", hint=_hint(error, root))


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


def sync_files(paths: Sequence[Path]) -> None:
    """Return when the bytes of all these files are on the disk; for many, far sooner than one after the other.

    The disk is asked to begin with all of them before any is waited for, so that one commit of the journal serves
    nearly all, and several are waited for at a time, so that they share flushes of the disk's cache. Not `syncfs`: it
    needs half the time, but waits for whatever else is being written to that disk, such as the 4 GB that another job
    has just received; through FUSE and SMB it need not reach the disk at the far end; and before Linux 5.8 it keeps
    the disk's errors to itself.
    """
    if len(paths) <= _FEW:
        _sync_each(paths)
        return
    # A share for each thread: a task for each file would cost as much as its flush.
    shares = [paths[start::_SYNCS_AT_ONCE] for start in range(_SYNCS_AT_ONCE)]
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
        for step in (_begin_each, _sync_each):
            for _ in threads.map(step, shares):
                pass


def _sync_each(paths: Sequence[Path]) -> None:
    for path in paths:
        sync_file(path)


def _begin_each(paths: Sequence[Path]) -> None:
    """Have the disk begin to write these files, where the system has a call for it; says nothing of how it goes."""
    import ctypes

    begin = getattr(ctypes.CDLL(None), "sync_file_range", None)  # Linux alone; Python does not offer it
    if begin is None:
        return
    begin.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            begin(handle, 0, 0, _WRITE)
        finally:
            os.close(handle)
