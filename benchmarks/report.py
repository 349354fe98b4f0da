"""RESULTS.md: ratios first, then what they are made of. Only what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeVar

from benchmarks import control, shelves
from benchmarks.content import GIB, MIB
from benchmarks.control import Bound, Reading
from benchmarks.memory import Cost, Memory
from benchmarks.scenarios import GOALS, Goal, Measure, Scenario
from benchmarks.tools import WINDLASS
from benchmarks.trials import Recovery, Trial

_MEASURES: dict[Measure, str] = {"wall": "wall time", "settled": "wall time and the sync after it", "cpu": "CPU time"}
_RATIOS = """\
## Ratios

What `windlass get` took over what the tool took: the median of the rounds' own ratios, the least and the most in
brackets. Below 1 is less for Windlass."""
_FILLED = """\
Before each run a file that is larger than memory, and takes no room on the disk, is read until less than {little:.0f}
MiB are free, or until it does not get less; then what nginx serves is read, so that it is at hand. A run thus takes
memory from the cache, as on a machine that has been in use for a while. Otherwise it would depend on what the run
before it has left free, and for how long: a virtual machine may give such memory back to its host, and has to wait for
it when it is touched again."""
_ACCIDENTS = {"killed": "killed", "finished file": "in a finished file", "partial file": "in a killed run's partial"}


# Digits after the point, where it is not one.
_DIGITS = {control.SECONDS: 2, control.RATIO: 2, control.RATE: 0, control.SPEED: 0, control.ANSWERS: 0}

BOUNDS = (*control.GOALS, *shelves.GOALS)

Run = Trial | Recovery | Reading
R = TypeVar("R", Trial, Recovery, Reading)


@dataclass(slots=True)
class Results:
    """All that one run of the harness found out."""

    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    rounds: int
    memory: Memory | str = "nothing was measured"  # what fills it before each run, or why nothing does
    seconds: float = 0.0
    scenarios: list[Scenario] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Keep one more."""
        match run:
            case Trial():
                self.trials.append(run)
            case Recovery():
                self.recoveries.append(run)
            case Reading():
                self.readings.append(run)


def ratios(trials: Sequence[Trial], first: str, other: str, measure: Measure = "wall") -> list[float]:
    """What `first` took over what `other` took, for each round in which both did what they should."""
    taken = {(trial.tool, trial.round): _taken(trial, measure) for trial in trials if trial.right}
    rounds = sorted({number for tool, number in taken if tool == first and (other, number) in taken})
    return [taken[first, number] / taken[other, number] for number in rounds]


def _taken(trial: Trial, measure: Measure) -> float:
    """Seconds; `settled` is until all of it is on the disk."""
    settled = trial.usage.wall + trial.flush
    return {"wall": trial.usage.wall, "settled": settled, "cpu": trial.usage.cpu}[measure]


def render(results: Results) -> str:
    """The whole page, in Markdown."""
    parts = [_heading(results), _goals(results), *_ratio_tables(results), _machine(results), _memory(results.memory)]
    parts += [_section(scenario, results) for scenario in results.scenarios]
    return "\n\n".join(part for part in [*parts, _skipped(results)] if part) + "\n"


def _heading(results: Results) -> str:
    rounds = f"{results.rounds} round{'s' if results.rounds > 1 else ''}"
    return f"""# Results of `make bench`

{results.date}, {rounds}, {results.seconds / 60:.0f} minutes. Written by the harness; nothing here is from another run.

`windlass get` always verifies: each file's sha256 (or git's sha1, for small files) agrees before the file gets its
final name. It also flushes to the disk itself, within its time; how long a sync takes after each tool is a column.
Every tool starts as a person starts it, imports included, with nothing left from earlier runs. Each asks a hub, which
redirects to a CDN at another port; both are one nginx on this machine, restarted for each run, so that clients and
servers share the processor. The tools take turns (A B C, A B C). Before each run what came before is flushed, and
memory is filled (see Memory); neither is timed. `hf` runs with `HF_HUB_DISABLE_XET=1`: what is compared is HTTP. TLS is
with a CA made for the run."""


def _goals(results: Results) -> str:
    rows = [_goal(goal, results) for goal in GOALS] + [_bound(bound, results.readings) for bound in BOUNDS]
    return "## Goals\n\n" + _table(["", "goal", "measured", "reached"], rows)


def _goal(goal: Goal, results: Results) -> list[str]:
    found = ratios(_of(results.trials, goal.scenario), WINDLASS.name, goal.other.name, goal.measure)
    name = f"({goal.scenario}) {_MEASURES[goal.measure]}, against `{goal.other.name}`"
    measured = f"{median(found):.2f}" if found else "–"
    return [name, f"at most {goal.bound:.1f}", measured, _verdict(found, goal.bound, "over")]


def _bound(bound: Bound, readings: Iterable[Reading]) -> list[str]:
    cell = bound.table, bound.row
    found = [one.values[bound.column] for one in readings if (one.table, one.row) == cell and not one.said]
    goal = f"at {'least' if bound.more_is_better else 'most'} {bound.bound:,}"
    measured = f"{median(found):,.{_DIGITS.get(bound.column, 1)}f}" if found else "–"
    verdict = _verdict(found, bound.bound, "under" if bound.more_is_better else "over")
    return [f"({bound.scenario}) {bound.title}", goal, measured, verdict]


def _verdict(found: Sequence[float], bound: float, bad: Literal["over", "under"]) -> str:
    """Whether the median is on the good side of the bound, or by how much it is on the other."""
    if not found:
        return "not measured"
    missed = median(found) / bound - 1 if bad == "over" else 1 - median(found) / bound
    return "yes" if missed <= 0 else f"no, {missed:.1%} {bad}"


def _ratio_tables(results: Results) -> list[str]:
    """What Windlass took over what each other tool took."""
    raced = [(s, trials) for s in results.scenarios if (trials := _of(results.trials, s.key)) and s.key != "0"]
    if not raced:
        return []
    others = list(dict.fromkeys(tool.name for scenario, _ in raced for tool in scenario.tools[1:]))
    parts = [_RATIOS]
    for measure, title in _MEASURES.items():
        rows = [
            [f"({scenario.key}) {scenario.title}", *(_ratio(ratios(trials, WINDLASS.name, o, measure)) for o in others)]
            for scenario, trials in raced
        ]
        parts.append(f"### {title[0].upper()}{title[1:]}\n\n" + _table(["", *others], rows))
    return parts


def _ratio(found: Sequence[float]) -> str:
    if not found:
        return "–"
    spread = f" ({min(found):.2f}–{max(found):.2f})" if len(found) > 1 else " (1 round)"
    return f"**{median(found):.2f}**{spread}"


def _machine(results: Results) -> str:
    lines = [f"- {name}: {value}" for name, value in {**results.machine, **results.versions}.items()]
    return "## Machine and versions\n\n" + "\n".join(lines)


def _memory(memory: Memory | str) -> str:
    if isinstance(memory, str):
        return f"## Memory\n\nIt was not filled before the runs: {memory}. So each run met it as the last one left it."
    parts = [_FILLED.format(little=memory.little / MIB)]
    if memory.left:
        parts.append(f"Then {min(memory.left) / MIB:,.0f} to {max(memory.left) / MIB:,.0f} MiB were free.")
    return "## Memory\n\n" + " ".join([*parts, _worth(memory.cost)] if memory.cost else parts)


def _worth(cost: Cost) -> str:
    filled = f"Writing {cost.size / GIB:.3g} GiB took **{_spread(cost.filled, 2)} s** in memory filled so"
    if not cost.free:
        return f"{filled}; not enough of it was free at the beginning to compare with ({cost.found / GIB:.1f} GiB)."
    return (
        f"{filled}, and **{_spread(cost.free, 2)} s** in memory that was free at the beginning, before the first fill "
        f"({cost.found / GIB:.1f} GiB were). The figures are the median, the least and the most of "
        f"{len(cost.filled)} and {len(cost.free)} writes."
    )


def _section(scenario: Scenario, results: Results) -> str:
    size, trials = results.sizes[scenario.key], _of(results.trials, scenario.key)
    recoveries, readings = _of(results.recoveries, scenario.key), _of(results.readings, scenario.key)
    parts = [f"## ({scenario.key}) {scenario.title}", scenario.remark]
    if trials:
        parts.append(_trial_table(scenario, size, trials))
    if recoveries:
        parts.append(_recovery_table(scenario, size, recoveries))
    parts += [_reading_table(table, readings) for table in dict.fromkeys(one.table for one in readings)]
    return "\n\n".join(part for part in [*parts, _failures([*trials, *readings])] if part)


def _trial_table(scenario: Scenario, size: int, trials: Sequence[Trial]) -> str:
    per_gib = size >= 16 * MIB  # what a start takes must not be blown up to a gibibyte
    head = [
        "",
        "verified",
        "wall, s",
        f"CPU, s{' per GiB' if per_gib else ''}",
        "peak RSS, MiB",
        "sync, s",
        "answers",
        "rounds",
    ]
    rows = []
    for tool in scenario.tools:
        mine = [trial for trial in trials if trial.tool == tool.name and trial.right]
        if not mine:
            continue
        cpu = [trial.usage.cpu / (size / GIB if per_gib else 1) for trial in mine]
        rows.append(
            [
                tool.name,
                "yes" if tool.verified else "no" if tool.fetches else "",
                _spread([trial.usage.wall for trial in mine], 2),
                _spread(cpu, 2),
                _spread([trial.usage.peak / MIB for trial in mine], 0) if all(t.usage.peak for t in mine) else "–",
                _spread([trial.flush for trial in mine], 2),
                f"{median(trial.traffic.answers for trial in mine):.0f}",
                str(len(mine)),
            ]
        )
    return _table(head, rows)


def _recovery_table(scenario: Scenario, size: int, recoveries: Sequence[Recovery]) -> str:
    """For each accident: what came again, and whether the file is right in the end."""
    tables = []
    for accident in dict.fromkeys(recovery.accident for recovery in recoveries):
        rows = [
            _recovery_row(tool.name, size, mine)
            for tool in scenario.tools
            if (mine := [one for one in recoveries if (one.tool, one.accident) == (tool.name, accident)])
        ]
        head = [
            "",
            "first run, MiB",
            "second run, MiB",
            "fetched twice, MiB",
            "second run, s",
            "exit",
            "right in the end",
        ]
        tables.append(f"### {_ACCIDENTS[accident].capitalize()}\n\n" + _table(head, rows))
    return "\n\n".join(tables)


def _recovery_row(name: str, size: int, mine: Sequence[Recovery]) -> list[str]:
    right = sum(one.right for one in mine)
    spared = sum(not one.struck for one in mine)
    return [
        name,
        _spread([one.before / MIB for one in mine], 0),
        _spread([one.after / MIB for one in mine], 0),
        _spread([max(one.before + one.after - size, 0) / MIB for one in mine], 0),
        _spread([one.wall for one in mine], 2),
        ", ".join(str(code) for code in sorted({one.code for one in mine})),
        f"{right} of {len(mine)}" + (f" (in {spared} it did not come about)" if spared else ""),
    ]


def _reading_table(table: str, readings: Iterable[Reading]) -> str:
    """A row for each thing that was looked at, over all rounds."""
    mine = [one for one in readings if one.table == table and not one.said]
    columns = list(dict.fromkeys(column for one in mine for column in one.values))
    rows = []
    for row in dict.fromkeys(one.row for one in mine):
        found = [one.values for one in mine if one.row == row]
        rows.append([row, *(_cell(column, found) for column in columns), str(len(found))])
    return f"### {table}\n\n" + _table(["", *columns, "rounds"], rows)


def _cell(column: str, found: Iterable[Mapping[str, float]]) -> str:
    values = [one[column] for one in found if column in one]
    return _spread(values, _DIGITS.get(column, 1)) if values else ""


def _failures(runs: Iterable[Trial | Reading]) -> str:
    return "\n".join(f"- Not counted: {failure}" for run in runs if (failure := _failure(run)))


def _failure(run: Trial | Reading) -> str:
    if isinstance(run, Reading):
        return f"{run.table}, {run.row}, round {run.round + 1}: `{run.said[:200]}`" if run.said else ""
    last_words = f"{run.tool}, round {run.round + 1}, ended {run.usage.code}: `{run.usage.said[:200]}`"
    return "" if run.right else last_words


def _skipped(results: Results) -> str:
    return "## Not measured\n\n" + "\n".join(f"- {line}" for line in results.skipped) if results.skipped else ""


def _of(runs: Iterable[R], scenario: str) -> list[R]:
    return [run for run in runs if run.scenario == scenario]


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{median(values):.{digits}f}"
    return f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})" if len(values) > 1 else middle


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
