"""A command, run to its end and measured."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 900.0

_SAMPLE_SECONDS = 0.01
_KILL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took: seconds of wall and CPU (its children's too), bytes at its fattest; `code` is its exit's.

    `said` is the last line that it wrote.
    """

    wall: float
    cpu: float
    peak: int
    code: int
    said: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `folder` is where it starts and where `output.txt` keeps what it writes."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


def run(command: Command, kill_when: Callable[[int], bool] | None = None) -> Usage:
    """Run to the end, or SIGKILL as soon as `kill_when(pid)` holds."""
    output = command.folder / "output.txt"
    with output.open("wb") as said:
        begun = time.perf_counter()
        # A group of its own, so that a kill reaches children as well.
        process = subprocess.Popen(
            command.words,
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            peak = _watch(process.pid, kill_when, begun + PATIENCE)
        except BaseException:  # Ctrl-C does not reach a group of its own
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        wall = time.perf_counter() - begun
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # else Popen would look for a child that is gone
    return Usage(wall, usage.ru_utime + usage.ru_stime, peak, process.returncode, _last_line(output))


def written_by(pid: int) -> int:
    """Bytes that a process and its children have handed to write calls (proc(5), `wchar`); 0 when it is gone."""
    own = _number(Path(f"/proc/{pid}/io"), "wchar:")
    return own + sum(written_by(child) for child in _children(pid))


def _watch(pid: int, kill_when: Callable[[int], bool] | None, end: float) -> int:
    """Wait without reaping; the peak of resident memory.

    That is sampled: `ru_maxrss` starts at what the parent had when it forked, more than curl ever takes.
    """
    ended, peak = os.pidfd_open(pid), 0
    try:
        while not select.select([ended], [], [], _SAMPLE_SECONDS if kill_when is None else _KILL_SECONDS)[0]:
            peak = max(peak, _resident(pid))
            if time.perf_counter() > end or (kill_when is not None and kill_when(pid)):
                os.killpg(pid, signal.SIGKILL)
                kill_when = None
                select.select([ended], [], [])
    finally:
        os.close(ended)
    return peak


def _resident(pid: int) -> int:
    """The most that a process, or one of its children, has held so far, in bytes."""
    own = _number(Path(f"/proc/{pid}/status"), "VmHWM:") * 1024
    return max([own, *(_resident(child) for child in _children(pid))])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _number(path: Path, label: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
