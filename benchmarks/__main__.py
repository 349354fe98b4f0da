"""The command: `python -m benchmarks`, from the project's folder."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import scenarios, trials
from benchmarks.machine import machine, versions
from benchmarks.origin import Origin, OriginFailure, can_delay
from benchmarks.report import Results, render
from benchmarks.scenarios import Scenario
from benchmarks.tools import find_program
from benchmarks.trials import Field, Recovery, Trial

_SHRINK = 64  # of `--quick`
_ROUNDS_OF_ACCIDENTS = 3  # what is counted there are bytes, which vary little

Runs = Iterator[Trial] | Iterator[Recovery]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and write the results after each scenario; 1 when there is no nginx to fetch from."""
    asked = _parser().parse_args(arguments)
    if find_program("nginx") is None and not Path("/usr/sbin/nginx").exists():
        _say("nginx is missing, and without it there is nothing to fetch from: sudo apt install nginx")
        return 1
    folder = asked.folder.absolute()
    try:
        _measure(asked, folder)
    except OriginFailure as failure:
        _say(f"nginx did not start: {failure}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _say(f"Written: {asked.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each tool runs (5)")
    parser.add_argument("--quick", action="store_true", help=f"sizes divided by {_SHRINK}, one round: to try it")
    parser.add_argument("--only", default="", help="scenarios by key, with commas: 0,1,1t,2,3,4,5,6,7")
    parser.add_argument("--folder", type=Path, default=Path(".make/bench"), help="for all that is written; removed")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/RESULTS.md"))
    return parser


def _measure(asked: argparse.Namespace, folder: Path) -> None:
    rounds, shrink = (1, _SHRINK) if asked.quick else (asked.rounds, 1)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    results = Results(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine(folder), versions(), rounds)
    chosen = set(asked.only.split(",")) - {""}
    for scenario, runs in _programme(shrink):
        if not chosen or scenario.key in chosen:
            _run(scenario, runs, folder, results)
            asked.output.write_text(render(results), encoding="utf-8")


def _programme(shrink: int) -> Iterator[tuple[Scenario, Callable[[Scenario, Field, int], Runs]]]:
    """Every scenario with what runs it."""
    yield scenarios.start(), lambda scenario, field, rounds: trials.race(scenario, field, rounds, _say)
    for one in scenarios.races(shrink):
        yield one, lambda scenario, field, rounds: trials.race(scenario, field, rounds, _say)
    yield scenarios.resume(shrink), _few(trials.kill_and_resume)
    yield scenarios.damage(shrink), _few(trials.damage_and_mend)


def _few(
    runs: Callable[[Scenario, Field, int, Callable[[str], None]], Iterator[Recovery]],
) -> Callable[[Scenario, Field, int], Runs]:
    return lambda scenario, field, rounds: runs(scenario, field, min(rounds, _ROUNDS_OF_ACCIDENTS), _say)


def _run(
    scenario: Scenario, runs: Callable[[Scenario, Field, int], Runs], folder: Path, results: Results
) -> None:
    """One scenario: its models are written, served, and removed at the end."""
    if scenario.network.delay and not can_delay():
        results.skipped.append(f"({scenario.key}) {scenario.title}: nginx's lua module is missing, which delays answers.")
        return
    _say(f"({scenario.key}) {scenario.title}")
    able = _able(scenario, results)
    served = folder / "origin"
    repository = scenario.build(served / "content")
    field = Field(Origin(served, [repository]), repository, folder / "errand")
    results.scenarios.append(able)
    results.sizes[scenario.key] = repository.size
    for run in runs(able, field, results.rounds):
        (results.trials if isinstance(run, Trial) else results.recoveries).append(run)  # type: ignore[arg-type]
    shutil.rmtree(served)


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
