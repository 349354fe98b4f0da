"""The runs: tools take turns, each into a fresh folder, from an nginx that has just started."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.content import MIB, Repository
from benchmarks.origin import Origin, Traffic
from benchmarks.process import Usage, run, written_by
from benchmarks.scenarios import Scenario
from benchmarks.tools import Errand, Tool

_ROUNDS_OF_ACCIDENTS = 2  # what is counted there are bytes, which vary little


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one tool.

    `right` says whether what was to come is there; `flush` is how long a sync(2) took afterwards, in seconds.
    """

    scenario: str
    tool: str
    round: int
    usage: Usage
    traffic: Traffic
    right: bool
    flush: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a tool did after an accident: `before` and `after` are the two runs, `sent` the files' bytes in each.

    `struck` says whether the accident came about at all; `wall` and `code` are the second run's.
    """

    scenario: str
    tool: str
    round: int
    accident: str
    before: int
    after: int
    wall: float
    code: int
    right: bool
    struck: bool


@dataclass(frozen=True, slots=True)
class Field:
    """Where runs take place: the hub, what it has, a folder for what comes from it, and what is done before each."""

    origin: Origin
    repository: Repository
    folder: Path
    prepare: Callable[[], None]

    @contextmanager
    def errand(self, scenario: Scenario) -> Iterator[Errand]:
        """A fresh folder, with everything that came before on the disk, and all prepared."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.sync()
        self.prepare()
        ca = self.origin.ca if scenario.network.tls else None
        try:
            yield Errand(self.repository, self.origin.url, self.folder, ca)
        finally:
            shutil.rmtree(self.folder)


def race(scenario: Scenario, field: Field, rounds: int, say: Callable[[str], None]) -> Iterator[Trial]:
    """Every tool in turn, then all of them again: A B C, A B C."""
    for number in range(rounds):
        for tool in scenario.tools:
            if number and tool.name in scenario.once:
                continue
            trial = _run(scenario, tool, field, number)
            say(f"  {tool.name:24} {trial.usage.wall:8.2f} s{'' if trial.right else '  FAILED: ' + trial.usage.said}")
            yield trial


def _run(scenario: Scenario, tool: Tool, field: Field, number: int) -> Trial:
    with field.errand(scenario) as errand:
        usage = _fetch(scenario, tool, field, errand)
        flush = _flush()
        right = usage.code == 0 and (not tool.fetches or errand.delivered())
        return Trial(scenario.key, tool.name, number, usage, field.origin.traffic(), right, flush)


def _flush() -> float:
    begun = time.perf_counter()
    os.sync()
    return time.perf_counter() - begun


def _fetch(
    scenario: Scenario, tool: Tool, field: Field, errand: Errand, kill_when: Callable[[int], bool] | None = None
) -> Usage:
    with field.origin.serving():
        return run(tool.command(errand, **scenario.settings), kill_when)


def kill_and_resume(scenario: Scenario, field: Field, rounds: int, say: Callable[[str], None]) -> Iterator[Recovery]:
    """SIGKILL at half of the way, then the same command once more."""
    for number in range(min(rounds, _ROUNDS_OF_ACCIDENTS)):
        for tool in scenario.tools:
            yield _said(_recover(scenario, tool, field, (number, "killed")), say)


def damage_and_mend(scenario: Scenario, field: Field, rounds: int, say: Callable[[str], None]) -> Iterator[Recovery]:
    """A byte flipped in a finished file, and one in what a killed run left; then the same command once more."""
    for number in range(min(rounds, _ROUNDS_OF_ACCIDENTS)):
        for tool in scenario.tools:
            for accident in ("finished file", "partial file"):
                yield _said(_recover(scenario, tool, field, (number, accident)), say)


def _said(recovery: Recovery, say: Callable[[str], None]) -> Recovery:
    outcome = "right" if recovery.right else "NOT right"
    fetched = f"{recovery.before / MIB:.0f} + {recovery.after / MIB:.0f} MiB"
    say(f"  {recovery.tool:24} {recovery.accident:14} {fetched}, exit {recovery.code}, {outcome}")
    return recovery


def _recover(scenario: Scenario, tool: Tool, field: Field, which: tuple[int, str]) -> Recovery:
    number, accident = which
    half = field.repository.size // 2
    with field.errand(scenario) as errand:
        kill_when = None if accident == "finished file" else (lambda pid: written_by(pid) >= half)
        first = _fetch(scenario, tool, field, errand, kill_when)
        before = field.origin.traffic().file_bytes
        flipped = accident == "killed" or flip_a_byte(errand.folder, at=half // 8)
        struck = flipped and first.code == (-signal.SIGKILL if kill_when else 0)
        usage = _fetch(scenario, tool, field, errand)
        after = field.origin.traffic().file_bytes
        right = errand.delivered(by_hash=True)
        return Recovery(scenario.key, tool.name, number, accident, before, after, usage.wall, usage.code, right, struck)


def flip_a_byte(folder: Path, at: int) -> bool:
    """Flip one in the file that takes the most room, and leave its times as they were; False if none reaches so far."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    path = max(files, key=lambda path: path.stat().st_blocks, default=None)
    if path is None or path.stat().st_size <= at:
        return False
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return True
