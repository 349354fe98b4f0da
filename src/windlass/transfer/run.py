"""One exchange of one segment: takes the body as it comes, and cuts it into what belongs where."""

import asyncio
import math
from typing import Any, Protocol

from windlass.transfer.buffers import LEAST, Buffers
from windlass.transfer.meter import Underway
from windlass.transfer.network import Head
from windlass.transfer.reply import Accept, Asked, Verdict
from windlass.transfer.segments import CHUNK, Segment
from windlass.transfer.throttle import Lane
from windlass.transfer.writing import Writing


class Enough(Exception):
    """All that was wanted has come; the rest of the reply is not needed."""


class Unwelcome(Exception):
    """The reply is not one to read: `verdict` says what it is, `head` is the reply's."""

    def __init__(self, verdict: Verdict, head: Head) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        self.head = head


class Store(Protocol):
    """What a run needs of the file that it is a part of."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def judge(self, head: Head, asked: Asked) -> Verdict:
        """Decide about the reply."""

    def came(self, size: int) -> None:
        """Bytes came over the network."""

    def another(self, finished: Segment) -> Segment | None:
        """The next segment of a reply that goes on, None if there is none."""


class Allowance:
    """What a limit lets one exchange take; unbounded where there is none."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._credit = 0
        self._asked: asyncio.Future[int] | None = None
        self._counted = True  # whether there was a limit when room was asked for

    def wait(self) -> "asyncio.Future[int] | None":
        """What to wait for before more is taken, None where more may be."""
        while self._lane.limited and self._credit <= 0:
            self._asked = self._asked or self._lane.ask()
            if not self._asked.done():
                return self._asked
            self._credit, self._asked = self._credit + self._asked.result(), None
        return None

    def room(self, wanted: int) -> int:
        """How much of `wanted` bytes may be taken before `wait` has to be asked again."""
        self._counted = self._lane.limited
        return min(wanted, self._credit) if self._counted else wanted

    def take(self, size: int) -> None:
        """Account for bytes.

        Not for those that were let in before there was a limit: a MiB of each connection would be owed at once, and at
        100 kB/s nothing would come for a minute.
        """
        if self._counted and self._lane.limited:
            self._credit -= size

    def close(self) -> None:
        """Give back what was not needed."""
        if self._asked and not self._asked.cancel():
            self._credit += self._asked.result()
        self._lane.give_back(self._credit)
        self._asked, self._credit = None, 0


class Run:
    """The `Receiver` of one exchange. Bytes of the reply that lie before the segment are skipped."""

    shared = False

    def __init__(self, store: Store, segment: Segment, writing: Writing, lane: Lane) -> None:
        self.segment = segment
        self.writing = writing
        self.taken = 0  # bytes of the segment that this exchange has brought
        self.begun_at = math.inf  # when the first of them came, by the loop's clock
        self._enough = False  # nothing more of this reply can be used
        self._store = store
        self._allowance = Allowance(lane)
        self._asked = self.ask(redirected=False)
        self._position = segment.position
        self._buffers = Buffers(writing)
        self._begin = self._end = 0  # what is in the buffer and not yet said to be anybody's
        self._until = 0  # how far the buffer may be filled before what is in it must be looked at

    def ask(self, *, redirected: bool) -> Asked:
        """What to ask for now: the segment as far as it reaches at this moment."""
        self._asked = Asked(self.segment.position, self.segment.end - 1, self._store.size, redirected)
        return self._asked

    def head(self, head: Head) -> None:
        """Let the reply in, or raise `Unwelcome`."""
        verdict = self._store.judge(head, self._asked)
        if not isinstance(verdict, Accept):
            raise Unwelcome(verdict, head)
        self._position = verdict.first

    def body(self, data: bytes) -> "asyncio.Future[Any] | None":
        """Take a piece of the body; see `Receiver`."""
        end = self._end + len(data)
        if end < self._until:
            # The usual case, and all that is done 60,000 times a second at 1 GB/s: libcurl hands over 16 KiB at a time.
            self._buffers.filling[self._end : end] = data
            self._end = end
            return None
        held_back = self._hold()
        if held_back is None:
            self._accept(data)
        return held_back

    def underway(self, now: float) -> Underway:
        """What it is at, and how fast it was so far."""
        seconds = now - self.begun_at
        return Underway(self.segment.position, self.segment.end, self.taken / seconds if seconds > 0 else 0.0)

    def complete(self) -> bool:
        """The reply has ended: whether all has come that was asked for."""
        self._settle()
        return self.segment.left == 0

    def checkpoint(self) -> None:
        """Have all that has come be written soon; what of it is written already, `writing.growing` tells."""
        self._settle()
        self.writing.flush()

    async def close(self) -> None:
        """End the piece that is being received, as no more of it will come here; return when it is written."""
        try:
            self._settle()
            self.writing.end_piece(self.segment.position)
        finally:
            self._allowance.close()
            await self.writing.finish()

    def _hold(self) -> "asyncio.Future[Any] | None":
        self._settle()
        return self.writing.behind or self._make_space() or self._allowance.wait()

    def _make_space(self) -> "asyncio.Future[Any] | None":
        if len(self._buffers.filling) - self._end >= LEAST:
            return None
        held_back = self._buffers.turn()
        if held_back is None:
            self._begin = self._end = 0
        return held_back

    def _accept(self, data: bytes) -> None:
        self._cut(memoryview(data))
        if self._enough or (self.segment.left == 0 and self.segment.end <= self._asked.last):
            raise Enough  # the second: a split has taken the rest of what was asked for
        space = min(len(self._buffers.filling) - self._end, self.segment.left)
        self._until = self._end + self._allowance.room(space)

    def _settle(self) -> None:
        """Say of what is in the buffer where it belongs."""
        view = self._buffers.filling[self._begin : self._end]
        self._begin, self._until = self._end, 0
        self._cut(view)

    def _cut(self, view: memoryview) -> None:
        if not view:
            return
        self._store.came(len(view))
        self._allowance.take(len(view))
        while view and not self._enough:
            view = view[self._take(view) :]

    def _take(self, view: memoryview) -> int:
        segment = self.segment
        if segment.left == 0 and not self._go_on():
            return len(view)
        segment = self.segment
        skip = min(segment.position - self._position, len(view))
        if skip > 0:
            self._position += skip
            return skip
        size = min(len(view), segment.left, CHUNK - segment.position % CHUNK)
        if not self.taken:
            self.begun_at = asyncio.get_running_loop().time()
        self.writing.add(segment.position, view[:size])
        segment.position += size
        self._position += size
        self.taken += size
        if segment.left == 0 or segment.position % CHUNK == 0:
            self.writing.end_piece(segment.position)
        return size

    def _go_on(self) -> bool:
        """Go on into the next segment of a reply that holds more than one; whether there is one ahead of us."""
        segment = self._store.another(self.segment)
        if segment is not None:
            self.segment = segment
        # One that lies behind us has to be brought by another reply.
        self._enough = segment is None or segment.position < self._position
        return not self._enough
