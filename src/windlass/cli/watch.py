"""Shows a job until it is over: bars on a terminal, now and then a line elsewhere."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli import collector
from windlass.cli.patience import patient

POLL = 0.25
_FIRST_POLL = 0.02
_SHARE = 0.05  # of the time goes into asking at most: what is told of 100,000 files is not made four times a second
_LONGEST = 2.0
_LINE_EVERY = 15.0  # seconds between lines where there is no terminal

Job = Mapping[str, Any]
Until = Callable[[Job], bool]
Wait = Callable[[float], object]


def follow(
    console: Console,
    ask: Callable[[], Job],
    until: Until = lambda _: False,
    wait: Wait = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Job:
    """Show the job that `ask` answers until it is not `downloading` any more, or `until` says so; its last state.

    `wait` lets as many seconds pass, or fewer where it knows sooner that something has happened. A server that goes is
    waited for.

    Raises:
        ServerUnreachable: it has not come back.
    """
    collector.carry_on()
    pause, (show, say) = _FIRST_POLL, _display(console, clock)
    answer = patient(ask, say, wait, clock)
    while True:
        began = clock()
        job = answer()
        show(job)
        if job["status"] != "downloading" or until(job):
            return job
        pause = min(POLL, pause * 1.5)  # a small model is soon here; a large one need not be asked for so often
        wait(min(_LONGEST, max(pause, (clock() - began) / _SHARE)))


def _display(console: Console, clock: Callable[[], float]) -> tuple[Callable[[Job], None], Callable[[str], None]]:
    """What shows a job, and what says a line. Whatever is printed next begins on a line of its own."""
    if not is_live(console):
        return _Lines(console, clock).show, lambda text: console.print(text, markup=False, soft_wrap=True)
    from windlass.cli.bars import Rates, lines
    from windlass.cli.foot import Foot

    foot, rates = Foot(console), Rates(clock)
    return lambda job: foot.show(lines(job, console.width, rates)), foot.say


def is_live(console: Console) -> bool:
    """Whether lines can be drawn anew there; a build server's log keeps each of them, even where it is a terminal."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")


class _Lines:
    """A line when something has changed, or a while has passed: for pipes and logs."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._last = ("", "")
        self._next = 0.0

    def show(self, job: Job) -> None:
        """Print a line if it is time."""
        state = (job["status"], job["phase"])
        if state == self._last and self._clock() < self._next:
            return
        self._last, self._next = state, self._clock() + _LINE_EVERY
        done, total = words.size(job["downloaded_bytes"]), words.size(job["total_size_bytes"])
        line = f"{job['model']}: {done} of {total}  {words.tail(job)}"
        self._console.print(line.rstrip(), markup=False, soft_wrap=True)
