"""A file's content under a second name, at the least cost: shared blocks, else the same file, else a copy."""

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from windlass.errors import Stopped
from windlass.library.digests import OnProgress, ShouldStop, never

Way = Literal["reflink", "hardlink", "copy"]

_FICLONE = 0x40049409  # <linux/fs.h>: share all blocks of another file, until one of the two is written to
_BLOCK = 64 * 1024 * 1024  # bytes that are copied in one go: under a second on most disks, so soon enough to stop


def clone(
    source: Path,
    target: Path,
    *,
    hard_links: bool,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop = never,
) -> Way:
    """Have `target` hold what `source` holds; `target` must not be there. What is theirs is only read.

    A shared block costs nothing and parts when one of the two is written to, so it is tried first. A hard link is the
    same file: whoever writes to one writes to both, which no program does that keeps a cache by content.

    Args:
        source: the file; a link is followed.
        target: the new name, most often on the same disk.
        hard_links: whether those will do.
        on_progress: told the bytes copied so far, after each 64 MiB.
        should_stop: asked before each 64 MiB that must be copied.

    Raises:
        Stopped: `should_stop` said so; there is no `target` then.
        OSError: it cannot be read, or there is no room.
    """
    real = Path(os.path.realpath(source, strict=True))
    if _reflink(real, target):
        return "reflink"
    if hard_links:
        with suppress(OSError):  # another disk, or a filesystem without them
            os.link(real, target)
            return "hardlink"
    _copy(real, target, on_progress or (lambda done: None), should_stop)
    return "copy"


def _reflink(source: Path, target: Path) -> bool:
    with source.open("rb") as here, target.open("xb") as there:
        try:
            fcntl.ioctl(there.fileno(), _FICLONE, here.fileno())
        except OSError:
            target.unlink()
            return False
    return True


def _copy(source: Path, target: Path, on_progress: OnProgress, should_stop: ShouldStop) -> None:
    try:
        with source.open("rb", buffering=0) as here, target.open("xb", buffering=0) as there:
            _copy_all(here.fileno(), there.fileno(), on_progress, should_stop)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy_all(here: int, there: int, on_progress: OnProgress, should_stop: ShouldStop) -> None:
    """In the kernel: no byte passes through this process. Where it cannot copy between the two, it sends."""
    try:
        _repeat(lambda: os.copy_file_range(here, there, _BLOCK), on_progress, should_stop)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM}:
            raise
        _repeat(lambda: os.sendfile(there, here, None, _BLOCK), on_progress, should_stop)


def _repeat(copy_block: Callable[[], int], on_progress: OnProgress, should_stop: ShouldStop) -> None:
    """Until there is nothing left to copy."""
    done = 0
    while not should_stop():
        count = copy_block()
        if not count:
            return
        done += count
        on_progress(done)
    raise Stopped("The copying was stopped.")
