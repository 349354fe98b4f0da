"""One exchange of one segment: takes the body as it comes, puts it in its place, and digests what it put there."""

from typing import Protocol

import xxhash

from windlass.transfer.ledger import Piece
from windlass.transfer.network import Head
from windlass.transfer.reply import Accept, Asked, Verdict
from windlass.transfer.segments import CHUNK, Segment

Turns = tuple[int, ...]  # one for each limit that applies (pace.py)


class Enough(Exception):
    """All that was wanted has come; the rest of the reply is not needed."""


class Unwelcome(Exception):
    """The reply is not one to read: `verdict` says what it is, `head` is the reply's."""

    def __init__(self, verdict: Verdict, head: Head) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        self.head = head


class Store(Protocol):
    """What a run needs of the file it writes into."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def judge(self, head: Head, asked: Asked) -> Verdict:
        """Decide about the reply."""

    def queue(self) -> Turns:
        """Line up at the limits."""

    def hold_back(self, turns: Turns) -> float:
        """Seconds to wait before taking more, 0 for none."""

    def came(self, size: int) -> Turns:
        """Bytes came over the network; answers when it is our turn again."""

    def write(self, offset: int, data: memoryview) -> None:
        """Put bytes in their place."""

    def closed(self, piece: Piece) -> None:
        """A piece is complete."""

    def another(self, finished: Segment) -> Segment | None:
        """The next segment of a reply that goes on, None if there is none."""


class Run:
    """The `Receiver` of one exchange. Bytes of the reply that lie before the segment are skipped."""

    def __init__(self, store: Store, segment: Segment) -> None:
        self.segment = segment
        self.taken = 0
        self.accepted = False
        self._store = store
        self._turns = store.queue()
        self._asked = self.ask(redirected=False)
        self._position = segment.position
        self._start = segment.position
        self._digest = xxhash.xxh3_64()

    def ask(self, *, redirected: bool) -> Asked:
        """What to ask for now: the segment as far as it reaches at this moment."""
        self._asked = Asked(self.segment.position, self.segment.end - 1, self._store.size, redirected)
        return self._asked

    def head(self, head: Head) -> None:
        """Let the reply in, or raise `Unwelcome`."""
        verdict = self._store.judge(head, self._asked)
        if not isinstance(verdict, Accept):
            raise Unwelcome(verdict, head)
        self.accepted = True
        self._position = verdict.first

    def body(self, data: bytes) -> float:
        """Take a piece of the body; see `Receiver`."""
        wait = self._store.hold_back(self._turns)
        if wait > 0:
            return wait
        self._turns = self._store.came(len(data))
        view = memoryview(data)
        while view:
            view = view[self._take(view) :]
        if self.segment.left == 0 and self.segment.end <= self._asked.last:
            raise Enough  # a split has taken the rest of what was asked for
        return 0.0

    def growing(self) -> Piece | None:
        """The piece that is being received, as far as it is."""
        length = self.segment.position - self._start
        return Piece(self._start, length, self._digest.hexdigest()) if length else None

    def close(self) -> None:
        """End the piece that is being received, as no more of it will come here."""
        piece = self.growing()
        if piece:
            self._store.closed(piece)
        self._start = self.segment.position
        self._digest.reset()

    def _take(self, view: memoryview) -> int:
        if self.segment.left == 0:
            self._go_on()
        skip = min(self.segment.position - self._position, len(view))
        if skip > 0:
            self._position += skip
            return skip
        segment = self.segment
        size = min(len(view), segment.left, CHUNK - segment.position % CHUNK)
        part = view[:size]
        self._store.write(segment.position, part)
        self._digest.update(part)
        segment.position += size
        self._position += size
        self.taken += size
        if segment.left == 0 or segment.position % CHUNK == 0:
            self.close()
        return size

    def _go_on(self) -> None:
        segment = self._store.another(self.segment)
        if segment is None:
            raise Enough
        self.segment = segment
        self._start = segment.position
        if segment.position < self._position:
            raise Enough  # it lies behind us: another reply has to bring it
