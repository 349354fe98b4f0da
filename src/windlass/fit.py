"""Whether a model fits into this machine's memory: a guess from its size and from what the system says of itself.

It is a guess. What a program needs besides the weights depends on the length of the context, on the architecture and on
the program. Llama.cpp can split a model between graphics card and memory, so both together count as well.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Place = Literal["gpu", "gpu+ram", "ram", "nowhere", "unknown"]

_BUFFERS = 500_000_000  # bytes for the program itself and its buffers
_SYSTEM = 0.85  # of the memory is what the system leaves to one program
_WIRED = 0.75  # of a shared memory is what Apple's systems let the graphics have, if nobody has changed that
_SECONDS = 5.0  # for nvidia-smi, which takes one to wake a card

Run = Callable[[list[str]], str]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: `ram` in all, `gpu` of all graphics cards together; None where the system does not say.

    `shared` says that both are one, as on Apple silicon.
    """

    ram: int | None = None
    gpu: int | None = None
    shared: bool = False


def needed(size: int) -> int:
    """Bytes of memory that a model of `size` bytes takes: a tenth more for a context of some thousand tokens."""
    return size + size // 10 + _BUFFERS


def place_of(size: int, memory: Memory) -> Place:
    """Where a model of `size` bytes could run: the fastest place that it fits into."""
    want, ram, gpu = needed(size), int((memory.ram or 0) * _SYSTEM), memory.gpu or 0
    if memory.shared:
        gpu = min(ram, int((memory.ram or 0) * _WIRED))
    if want <= gpu:
        return "gpu"
    if want <= ram:
        return "gpu+ram" if gpu and not memory.shared else "ram"
    if gpu and not memory.shared and want <= gpu + ram:
        return "gpu+ram"
    return "unknown" if memory.ram is None else "nowhere"


def largest(memory: Memory) -> int | None:
    """Bytes of the largest model that could run; None where the memory is not known."""
    if memory.ram is None:
        return None
    room = int(memory.ram * _SYSTEM) + (0 if memory.shared else memory.gpu or 0)
    return max(0, (room - _BUFFERS) * 10 // 11)


def memory_here(platform: tuple[str, str], run: Run | None = None, root: Path = Path("/")) -> Memory:
    """What this machine has.

    Args:
        platform: (`sys.platform`, `platform.machine()`).
        run: runs a command and answers what it says; raises OSError or subprocess.SubprocessError where it cannot.
        root: below which the system tells of itself.
    """
    ram, shared = _ram(root), platform == ("darwin", "arm64")
    return Memory(ram, None if shared else _gpu(run or _run), shared)


def _ram(root: Path) -> int | None:
    """What the machine has, or the container that we are in if that is less (cgroup v2, then v1)."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    limits = (_number(root / "sys/fs/cgroup" / name) for name in ("memory.max", "memory/memory.limit_in_bytes"))
    return min([machine, *(limit for limit in limits if limit)])


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _gpu(run: Run) -> int | None:
    """All cards that NVIDIA's driver knows, in bytes; it counts in MiB."""
    try:
        said = run(["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"])
    except (OSError, subprocess.SubprocessError):
        return None
    cards = [int(line) for line in said.split() if line.isdecimal()]
    return sum(cards) * 1024 * 1024 or None


def _run(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(command[0])
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S603 - ours
    return done.stdout
