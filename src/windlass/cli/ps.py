"""`windlass ps`: the jobs, once or for as long as somebody looks."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from windlass.cli import collector
from windlass.cli.backend import Backend
from windlass.cli.patience import patient
from windlass.cli.tables import NO_JOBS, fitted, jobs_table, output, show_jobs
from windlass.cli.watch import is_live

EVERY = 1.0  # seconds

Jobs = Sequence[Mapping[str, Any]]
Wait = Callable[[float], object]


def jobs_of(behind: Backend, *, everything: bool) -> list[Mapping[str, Any]]:
    """The jobs; those that are completed or cancelled only where `everything` is wanted.

    First those that run, then the queue as it will run, then what waits for a person; of what is over the newest first.
    """
    lists = behind.jobs()
    oldest_first = lists.get("downloading", ())[::-1]
    others = (job for status in ("paused", "failed", "completed") for job in lists.get(status, ()))
    found = [*sorted(oldest_first, key=_place), *others]
    return [job for job in found if everything or not (job["status"] == "completed" or is_cancelled(job))]


def _place(job: Mapping[str, Any]) -> tuple[bool, int]:
    """By which jobs are sorted that come oldest first: `jobs.queue` decides so. LM Studio's list tells no priority."""
    return job.get("phase") == "queued", -job.get("priority", 0)


def is_cancelled(job: Mapping[str, Any]) -> bool:
    """A cancelled job is a failed one, to LM Studio's clients."""
    return bool(job.get("error_code") == "cancelled")


def watch_jobs(
    ask: Callable[[], Jobs], *, as_json: bool, wait: Wait = time.sleep,
    console: Console | None = None, clock: Callable[[], float] = time.monotonic,
) -> NoReturn:  # fmt: skip
    """Show what `ask` answers, again and again: until Ctrl-C, or until whoever reads has gone.

    A terminal shows it in place; elsewhere there is a table whenever a job has come, gone or got on to something else;
    as JSON, the whole list on one line each time that anything is new. A server that goes is waited for.

    Raises:
        ServerUnreachable: it has not come back.
    """
    collector.carry_on()
    console = console or output()
    show, say = _display(console, as_json=as_json)
    answer = patient(ask, say, wait, clock)
    try:
        while True:
            show(answer())
            wait(EVERY)
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            sys.stdout.write("\n")  # what the shell prints next begins on a line of its own
        raise


def _display(console: Console, *, as_json: bool) -> tuple[Callable[[Jobs], None], Callable[[str], None]]:
    """What shows the jobs, and what says a line to whoever looks."""
    if as_json or not is_live(console):
        return _as_json() if as_json else _as_tables(), _aside
    from windlass.cli.foot import Foot

    foot = Foot(console)
    return lambda jobs: foot.show(_lines(console, jobs)), foot.say


def _aside(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _lines(console: Console, jobs: Jobs) -> list[Text]:
    if not jobs:
        return [Text(NO_JOBS)]
    room = max(1, console.height - 2)  # a row for the head, and one for the cursor
    shown = jobs if len(jobs) <= room else jobs[: room - 1]
    with console.capture() as drawn:
        console.print(fitted(jobs_table(shown), console.width))
    more = [Text(f"… and {len(jobs) - len(shown)} more")] if len(shown) < len(jobs) else []
    return [*Text.from_ansi(drawn.get()).split("\n"), *more]


def _as_tables() -> Callable[[Jobs], None]:
    def news(jobs: Jobs) -> object:
        return [(job["job_id"], job["status"], job["phase"]) for job in jobs]

    return _when_new(news, lambda jobs: show_jobs(jobs, as_json=False))


def _as_json() -> Callable[[Jobs], None]:
    return _when_new(json.dumps, lambda jobs: sys.stdout.write(json.dumps(jobs) + "\n"))


def _when_new(news: Callable[[Jobs], object], show: Callable[[Jobs], object]) -> Callable[[Jobs], None]:
    last: list[object] = []

    def shown(jobs: Jobs) -> None:
        found = [news(jobs)]
        if found != last:
            last[:] = found
            show(jobs)
            sys.stdout.flush()

    return shown
