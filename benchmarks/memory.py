"""Memory as it is on a machine that has been in use for a while: full, mostly of pages that can be given away at once.

On an idle machine much of it is free. A virtual machine may have given back to its host what was free for a moment
(free page reporting), and whoever touches that next waits until it is there again: a run would be as quick as the one
before it happens to have left things. So memory is filled before each run, and what the run needs comes from the cache.
"""

import io
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.content import GIB, MIB
from benchmarks.machine import labelled

WRITTEN = 2 * GIB
PAUSE = 2.0  # seconds that pass between a fill and a run's first write, about

_STEP = 16 * MIB
_SAMPLES = 3
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that writing `size` bytes took: into memory `found` free before the first fill, and after fills.

    `free` is empty where there was not enough of it to compare with.
    """

    size: int
    found: int
    free: tuple[float, ...]
    filled: tuple[float, ...]


class Memory:
    """Fills memory by reading a file that is larger, and takes no room on the disk.

    Args:
        folder: where that file is made; on a disk, not in memory.
        total: bytes of memory.
        free: how many of them nobody uses, not even for a cache, at this moment.
        in_vain: bytes that are read without less being free until that is enough: a container, say, may not use all
            that its machine has.

    Attributes:
        little: bytes that may stay free: what the system keeps for itself, and something over.
        at: where in the file it reads on.
        left: bytes that were free after each fill.
        cost: what it is worth, once that has been measured.
    """

    def __init__(self, folder: Path, total: int, free: Callable[[], int], in_vain: int = 4 * GIB) -> None:
        self.little = max(400 * MIB, total // 50)
        self.left: list[int] = []
        self.cost: Cost | None = None
        self._free = free
        self._in_vain = in_vain
        self._path = folder / "larger-than-memory"
        self._size = total * 5 // 4
        self.at = 0
        folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("wb") as file:
            file.truncate(self._size)

    def fill(self, kept: Path | None = None) -> None:
        """Read on where the last time ended, round the file; at last what is below `kept`, so that it stays at hand."""
        self._read_on()
        self.left.append(self._free())
        for path in kept.rglob("*") if kept else ():
            if path.is_file():
                _read(path)

    def _read_on(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            # In large blocks, which a run then gets back soonest. But to have such blocks at hand, Linux may begin to
            # keep gibibytes free (4 were seen); not so where it is asked for page by page.
            for advice in (os.POSIX_FADV_NORMAL, os.POSIX_FADV_RANDOM):
                os.posix_fadvise(file.fileno(), 0, 0, advice)
                self._read_until_full(file)

    def _read_until_full(self, file: io.FileIO) -> None:
        least, in_vain, piece = self._free(), 0, bytearray(_STEP)
        while least > self.little and in_vain < self._in_vain:
            file.seek(self.at)
            in_vain += file.readinto(piece) or self._in_vain
            self.at = file.tell() % self._size
            if (free := self._free()) < least:
                least, in_vain = free, 0

    def measure(self, folder: Path, size: int = WRITTEN, pause: float = PAUSE) -> None:
        """Find out what it is worth: writes into memory that is free as found, and, `pause` s after it, with each fill.

        The first ones stay until all are done, for each is to meet memory that the one before it has not touched.
        """
        places, found = [folder / f"written-{number}" for number in range(_SAMPLES)], self._free()
        free = [_write(place, size) for place in places if self._free() >= 2 * size]
        filled = []
        for place in places:
            place.unlink(missing_ok=True)
        for place in places:
            self.fill()
            time.sleep(pause)
            filled.append(_write(place, size))
            place.unlink()
        self.cost = Cost(size, found, tuple(free), tuple(filled))


def memory_of_this_machine(folder: Path, meminfo: Path = _MEMINFO) -> Memory | None:
    """What the system says of its memory (proc(5), `meminfo`); None where it says nothing."""
    if not labelled(meminfo, "MemFree"):
        return None
    return Memory(folder, _bytes(meminfo, "MemTotal"), lambda: _bytes(meminfo, "MemFree"))


def _bytes(meminfo: Path, label: str) -> int:
    return int(labelled(meminfo, label).split()[0]) * 1024


def _read(path: Path) -> None:
    with path.open("rb", buffering=0) as file, Path(os.devnull).open("wb", buffering=0) as nowhere:
        shutil.copyfileobj(file, nowhere, _STEP)


def _write(path: Path, size: int) -> float:
    """Seconds that it took, with nothing else to be written to the disk."""
    piece = os.urandom(4 * MIB)
    os.sync()
    begun = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for at in range(0, size, len(piece)):
            file.write(piece[: size - at])
    return time.perf_counter() - begun
