"""Which bytes to ask for next: a plan over one file's ranges, pure and without I/O.

Front to back, so that the digest can follow; and when nothing is left to hand out, the longest remainder is halved, so
that one slow connection does not hold up the whole file. Spans are half open: [start, end).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MIB = 1024 * 1024
CHUNK = 16 * MIB  # what has a digest of its own in a receipt
LONGEST = 128 * MIB
SHORTEST_SPLIT = 4 * MIB  # below this a new request costs more than it gains


class Span(NamedTuple):
    """Bytes from `start` up to, but not including, `end`."""

    start: int
    end: int


@dataclass(eq=False, slots=True)
class Segment:
    """What one connection fetches: it stands at `position` and goes on to `end`, which a split may bring nearer."""

    position: int
    end: int

    @property
    def left(self) -> int:
        """Bytes still to come."""
        return self.end - self.position


def gaps(size: int, done: Iterable[Span]) -> list[Span]:
    """What is missing of `size` bytes when `done` is there; `done` may be unsorted and overlap."""
    missing, front = [], 0
    for start, end in sorted(done):
        if start > front:
            missing.append(Span(front, min(start, size)))
        front = max(front, end)
    if front < size:
        missing.append(Span(front, size))
    return missing


def segment_length(missing: int, connections: int) -> int:
    """How much the next request asks for: a third of each connection's share of what waits, in whole chunks.

    So segments get shorter towards the end (guided self-scheduling). All of one length would end all at once, and of
    the last round the digest has only followed the first by then. Longer ones waste the order, for the digest waits
    for the front; shorter ones waste a round trip each.
    """
    chunks = missing // (3 * max(1, connections) * CHUNK)
    return min(LONGEST, max(1, chunks) * CHUNK)


class Plan:
    """Who fetches what of one file. Every byte is done, waiting, or in exactly one active segment."""

    def __init__(self, waiting: Iterable[Span], connections: int) -> None:
        self._waiting = sorted(span for span in waiting if span.end > span.start)
        self._active: list[Segment] = []
        self._connections = connections

    @property
    def active(self) -> int:
        """How many segments are being fetched."""
        return len(self._active)

    def has_work(self) -> bool:
        """Whether one more connection would find something to do."""
        return bool(self._waiting) or self._longest() is not None

    def take(self) -> Segment | None:
        """The next segment to fetch: the first waiting bytes, else half of the longest remainder, else None."""
        segment = self._cut_first() if self._waiting else self._split_longest()
        if segment is not None:
            self._active.append(segment)
        return segment

    def give_back(self, segment: Segment) -> None:
        """End a segment: what it has not fetched waits again."""
        self._active.remove(segment)
        self.put(Span(segment.position, segment.end))

    def put(self, span: Span) -> None:
        """Bytes to fetch (again). They must be neither waiting nor active."""
        if span.end > span.start:
            self._waiting = sorted([*self._waiting, span])

    def _cut_first(self) -> Segment:
        length = segment_length(sum(end - start for start, end in self._waiting), self._connections)
        start, end = self._waiting.pop(0)
        # Cut at a whole chunk, so that a chunk's digest is made by as few connections as can be.
        cut = min(end, (start + length) // CHUNK * CHUNK)
        if cut < end:
            self._waiting.insert(0, Span(cut, end))
        return Segment(start, cut)

    def _longest(self) -> Segment | None:
        longest = max(self._active, key=lambda segment: segment.left, default=None)
        return longest if longest and longest.left >= 2 * SHORTEST_SPLIT else None

    def _split_longest(self) -> Segment | None:
        longest = self._longest()
        if longest is None:
            return None
        middle = longest.position + longest.left // 2
        half = Segment(middle, longest.end)
        longest.end = middle
        return half
