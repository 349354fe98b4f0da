"""One pull that runs here: how far it is, what it has to say, and how it is told to end."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from windlass.jobs.job import Job
from windlass.jobs.states import Phase
from windlass.masking import mask
from windlass.pull import Progress
from windlass.transfer.meter import Speed
from windlass.transfer.throttle import Lane

_log = logging.getLogger(__name__)

_LOGGED = 100  # lines that one pull has to say

Work = Callable[[], None]


def nothing() -> None:
    """Nothing is to be done."""


@dataclass(slots=True)
class Totals:
    """What all pulls of this process have done so far; see `Meter`."""

    thrown_away: int = 0
    mismatches: int = 0
    connections: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)

    def add(self, progress: Progress) -> None:
        """Count a pull's files, too."""
        for meter in progress.files.values():
            self.thrown_away += meter.thrown_away
            self.mismatches += meter.mismatches
            self.sources.update(meter.sources)
            self.causes.update(meter.causes)
            self.connections += meter.connections


@dataclass(eq=False, slots=True)
class Running:
    """A pull that runs here; `job` is as it was when it began, `lane` its share of the network."""

    job: Job
    progress: Progress
    task: "asyncio.Task[None]"
    lane: Lane
    speed: Speed = field(default_factory=Speed)
    then: Work = nothing
    ended: bool = False
    log: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_LOGGED))
    _heard: dict[str, str] = field(default_factory=dict)

    @property
    def wants_room(self) -> int:
        """Bytes that it still wants to put on the disk; 0 where it does not write now."""
        if self.progress.phase is not Phase.TRANSFERRING or self.task.cancelling():
            return 0
        return self.job.total - self.progress.downloaded

    @property
    def goes_on(self) -> bool:
        """Whether it runs, and nobody has told it to end."""
        return not self.ended and not self.task.cancelling()

    def listen(self, at: float) -> None:
        """Take down what the transfer has to say; `at` is Unix time."""
        for path, meter in self.progress.files.items():
            if meter.note and self._heard.get(path) != meter.note:
                self._heard[path] = meter.note
                line = mask(f"{path}: {meter.note}")
                self.log.append((at, line))
                _log.info("%s: %s", self.job.id, line, extra={"job": self.job.id, "file": path})

    def end(self, then: Work = nothing) -> None:
        """Have it end, and `then` done when it has; what was to be done before stays so if nothing else is."""
        if then is not nothing:
            self.then = then
        if not self.task.cancelling():  # a second time would cut short the noting of how far it was
            self.task.cancel()
