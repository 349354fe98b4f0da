"""What a running transfer shows of itself: plain numbers that the transfer turns and anyone may read at any time."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

_WINDOW = 8.0  # seconds that a speed is the mean of: long enough to be calm, short enough to be true


class Underway(NamedTuple):
    """What one connection is at: it stands at byte `position` of the file and goes on to `end`."""

    position: int
    end: int
    bytes_per_second: float


@dataclass(slots=True)
class Meter:
    """One file's counters.

    Attributes:
        size: bytes of the file.
        kept: bytes in the ledger, which a crash would not lose; goes down only when bytes turn out to be wrong.
        checked: bytes from the front that the digest has taken in.
        fetched: bytes that came over the network, thrown away ones included.
        connections: connections open right now.
        segments: where each of them was a moment ago; a small file has none.
        sources: those bytes by the host that sent them.
        causes: exchanges that ended badly and were tried again, by why.
        thrown_away: bytes that had come and were wrong.
        mismatches: how often that was found.
        note: the last thing worth telling, empty for nothing.
    """

    size: int
    kept: int = 0
    checked: int = 0
    fetched: int = 0
    connections: int = 0
    segments: tuple[Underway, ...] = ()
    sources: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    thrown_away: int = 0
    mismatches: int = 0
    note: str = ""

    @property
    def retries(self) -> int:
        """Exchanges that ended badly and were tried again."""
        return self.causes.total()

    def came(self, size: int, host: str) -> None:
        """Account for bytes from the network."""
        self.fetched += size
        self.sources[host] += size

    def failed(self, cause: str, why: str) -> None:
        """Account for an exchange that is to be tried again."""
        self.causes[cause] += 1
        self.note = why

    def was_wrong(self, size: int, why: str) -> None:
        """Account for bytes that are thrown away."""
        self.thrown_away += size
        self.mismatches += 1
        self.note = why


@dataclass(slots=True)
class Speed:
    """Bytes per second over the last few seconds. Samples are (time, count so far); the clock is handed in."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def sample(self, now: float, count: int) -> None:
        """Note a count; a count that went down starts anew."""
        if self.samples and count < self.samples[-1][1]:
            self.samples.clear()
        self.samples.append((now, count))
        while len(self.samples) > 2 and now - self.samples[1][0] >= _WINDOW:
            self.samples.popleft()

    def per_second(self) -> float:
        """0 until two samples are there."""
        if len(self.samples) < 2:
            return 0.0
        (start, before), (end, after) = self.samples[0], self.samples[-1]
        return (after - before) / (end - start) if end > start else 0.0
