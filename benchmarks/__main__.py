"""The command: `python -m benchmarks`, from the project's folder."""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import control, scenarios, shelves, trials
from benchmarks.machine import machine, versions
from benchmarks.memory import Memory, memory_of_this_machine
from benchmarks.origin import Origin, OriginFailure, can_delay, is_installed
from benchmarks.report import Results, Run, render
from benchmarks.scenarios import Scenario
from benchmarks.trials import Field

_SHRINK = 64  # of `--quick`

Say = Callable[[str], None]
Runs = Callable[[Scenario, Field, int, Say], Iterator[Run]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and write the results after each scenario; 1 when there is no nginx to fetch from."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nginx is ended too
    if not is_installed():
        _say("nginx is missing, and without it there is nothing to fetch from: sudo apt install nginx")
        return 1
    output = asked.output or Path(".make/bench-quick.md" if asked.quick else "benchmarks/RESULTS.md")
    asked.folder.mkdir(parents=True, exist_ok=True)
    try:
        # Not /tmp: that may be memory, and what is measured is a disk.
        with TemporaryDirectory(prefix="bench-", dir=asked.folder.absolute()) as folder:
            _measure(asked, Path(folder), output)
    except OriginFailure as failure:
        _say(f"nginx did not start: {failure}")
        return 1
    _say(f"Written: {output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each tool runs (5)")
    parser.add_argument("--quick", action="store_true", help=f"sizes divided by {_SHRINK}, one round: to try it")
    parser.add_argument("--only", default="", help="scenarios by key, with commas: 0,1,1t,2,3,4,5,6,7,8,9")
    parser.add_argument("--folder", type=Path, default=Path(".make"), help="where a temporary folder is made (.make)")
    parser.add_argument("--output", type=Path, help="the results (benchmarks/RESULTS.md)")
    return parser


def _measure(asked: argparse.Namespace, folder: Path, output: Path) -> None:
    rounds, shrink = (1, _SHRINK) if asked.quick else (asked.rounds, 1)
    begun = time.monotonic()
    results = Results(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine(folder), versions(), rounds)
    results.memory = "this was a quick run" if asked.quick else _memory(folder)
    chosen = set(asked.only.split(",")) - {""}
    for scenario, runs in _programme(shrink):
        if not chosen or scenario.key in chosen:
            _run(scenario, runs, folder, results)
            results.seconds = time.monotonic() - begun
            output.write_text(render(results), encoding="utf-8")


def _memory(folder: Path) -> Memory | str:
    """What fills memory before each run, or why nothing does."""
    memory = memory_of_this_machine(folder / "memory")
    if memory is None:
        return "the system does not say how much of it is free (/proc/meminfo)"
    _say("Filling memory, and measuring what that is worth: a minute or two")
    memory.measure(folder)
    return memory


def _programme(shrink: int) -> list[tuple[Scenario, Runs]]:
    """Every scenario with what runs it."""
    raced: list[tuple[Scenario, Runs]] = [(one, trials.race) for one in (scenarios.start(), *scenarios.races(shrink))]
    resumed, damaged = scenarios.resume(shrink), scenarios.damage(shrink)
    served = scenarios.service(shrink), partial(control.watch, control.load(shrink))
    listed = scenarios.lists(shrink), partial(shelves.watch, shrink)
    return [*raced, (resumed, trials.kill_and_resume), (damaged, trials.damage_and_mend), served, listed]


def _run(scenario: Scenario, runs: Runs, folder: Path, results: Results) -> None:
    """One scenario: its models are written, served, and removed at the end."""
    if scenario.network.delay and not can_delay():
        results.skipped.append(
            f"({scenario.key}) {scenario.title}: nginx's lua module is missing, which delays answers."
        )
        return
    _say(f"({scenario.key}) {scenario.title}")
    able = _able(scenario, results)
    served = folder / "origin"
    repository = scenario.build(served / "content")
    results.scenarios.append(able)
    results.sizes[scenario.key] = repository.size
    with closing(Origin(served, repository, scenario.network)) as origin:
        field = Field(origin, repository, folder / "errand", lambda: _fill(results.memory, served / "content"))
        for run in runs(able, field, results.rounds, _say):
            results.add(run)
    shutil.rmtree(served)


def _fill(memory: Memory | str, served: Path) -> None:
    if isinstance(memory, Memory):
        memory.fill(served)


def _able(scenario: Scenario, results: Results) -> Scenario:
    """The scenario with those tools that are installed; the others are named."""
    for tool in scenario.tools:
        for program in tool.missing():
            line = f"{tool.name}: {program} is missing."
            results.skipped += [] if line in results.skipped else [line]
    return replace(scenario, tools=tuple(tool for tool in scenario.tools if not tool.missing()))


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


if __name__ == "__main__":
    sys.exit(main())
