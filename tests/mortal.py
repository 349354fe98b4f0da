"""Processes that die at a chosen step of their work on the disk, for tests of what a crash leaves behind.

Used by programs of one thread, which fork for each step: a test process has threads, and must not.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEAD = 9
_STEPS = ("fsync", "mkdir", "replace", "unlink", "utime")


class Steps:
    """Counts a process's steps from `begin` on and ends it at the last; notes which inodes have been synced."""

    def __init__(self, last: int, synced: Path) -> None:
        self._left = last
        self._synced = os.open(synced, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._lock = threading.Lock()

    def begin(self) -> None:
        """From now on, the process dies instead of doing its last step."""
        for name in _STEPS:
            setattr(os, name, self._step(name, getattr(os, name)))

    def _step(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    os._exit(DEAD)
            answer = call(*args, **more)
            if name == "fsync":
                os.write(self._synced, b"%d\n" % os.fstat(args[0]).st_ino)
            return answer

        return step


def dies_at_each_step(root: Path, work: Callable[[Path, Steps], None]) -> None:
    """Do the work in `<root>/1`, `<root>/2` and so on, each time in a process that dies one step later.

    The last is the one that lived to the end. Beside each is `<number>.synced`: the inodes whose content was on the
    disk for sure by then.
    """
    number, status = 0, DEAD
    while status == DEAD:
        number += 1
        folder = root / str(number)
        folder.mkdir()
        child = os.fork()
        if child == 0:
            work(folder, Steps(number, folder.with_suffix(".synced")))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0


def lose_what_was_not_synced(folder: Path, kept: set[int]) -> None:
    """What a power cut may do at worst: names, sizes and times stay, contents that nobody has synced are zeros."""
    kept = kept | {int(line) for line in folder.with_suffix(".synced").read_text().split()}
    for path in folder.rglob("*"):
        found = path.stat()
        if path.is_file() and found.st_ino not in kept:
            path.write_bytes(bytes(found.st_size))
            os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
