"""One exchange of one segment: takes the body as it comes, puts it in its place, and digests what it put there."""

from collections.abc import Sequence
from typing import Protocol

import xxhash

from windlass.transfer.ledger import Piece
from windlass.transfer.network import Head
from windlass.transfer.reply import Accept, Asked, Verdict
from windlass.transfer.segments import CHUNK, Segment

Turns = tuple[int, ...]  # one for each limit that applies (pace.py)


_BATCH = 512 * 1024  # bytes held for one write; a tick writes what there is


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

    @property
    def limited(self) -> bool:
        """Whether a limit on the rate applies now."""

    def judge(self, head: Head, asked: Asked) -> Verdict:
        """Decide about the reply."""

    def queue(self) -> Turns:
        """Line up at the limits."""

    def hold_back(self, turns: Turns) -> float:
        """Seconds to wait before taking more, 0 for none."""

    def came(self, size: int) -> Turns:
        """Bytes came over the network; answers when it is our turn again."""

    def write(self, offset: int, data: Sequence[memoryview]) -> None:
        """Put bytes in their place, one after the other from `offset`."""

    def closed(self, piece: Piece) -> None:
        """A piece is complete."""

    def another(self, finished: Segment) -> Segment | None:
        """The next segment of a reply that goes on, None if there is none."""


class Run:
    """The `Receiver` of one exchange. Bytes of the reply that lie before the segment are skipped."""

    def __init__(self, store: Store, segment: Segment) -> None:
        self.segment = segment
        self.accepted = False
        self._taken = 0
        self._enough = False  # nothing more of this reply can be used
        self._store = store
        self._turns = store.queue()
        self._asked = self.ask(redirected=False)
        self._position = segment.position
        self._start = segment.position
        self._digest = xxhash.xxh3_64()
        self._held: list[bytes] = []
        self._room = 0  # bytes that may be held before they must be looked at; none while a limit applies
        self._unwritten: list[memoryview] = []

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
        size = len(data)
        if size < self._room:
            # The usual case, and all that is done 60,000 times a second at 1 GB/s: libcurl hands over 16 KiB at a time.
            self._held.append(data)
            self._room -= size
            return 0.0
        wait = self._store.hold_back(self._turns)
        if wait > 0:
            return wait
        self._held.append(data)
        self._settle()
        if self._enough or (self.segment.left == 0 and self.segment.end <= self._asked.last):
            raise Enough  # the second: a split has taken the rest of what was asked for
        return 0.0

    @property
    def taken(self) -> int:
        """Bytes that this exchange has brought."""
        return self._taken + sum(map(len, self._held))

    def growing(self) -> Piece | None:
        """The piece that is being received, as far as it is; all of it is written when this returns."""
        if self._held:
            self._settle()
        return self._piece()

    def close(self) -> None:
        """End the piece that is being received, as no more of it will come here."""
        if self._held:
            self._settle()
        self._end_piece()

    def _piece(self) -> Piece | None:
        length = self.segment.position - self._start
        return Piece(self._start, length, self._digest.hexdigest()) if length else None

    def _end_piece(self) -> None:
        self._write()
        piece = self._piece()
        if piece:
            self._store.closed(piece)
        self._start = self.segment.position
        self._digest.reset()

    def _settle(self) -> None:
        """Put what is held where it belongs: one write for many parts, which takes half the time of many writes."""
        held, self._held = self._held, []
        self._turns = self._store.came(sum(map(len, held)))
        for part in held:
            view = memoryview(part)
            while view and not self._enough:
                view = view[self._take(view) :]
        self._write()
        self._room = 0 if self._store.limited else _BATCH

    def _take(self, view: memoryview) -> int:
        if self.segment.left == 0 and not self._go_on():
            return len(view)
        skip = min(self.segment.position - self._position, len(view))
        if skip > 0:
            self._position += skip
            return skip
        segment = self.segment
        size = min(len(view), segment.left, CHUNK - segment.position % CHUNK)
        self._digest.update(view[:size])
        self._unwritten.append(view[:size])
        segment.position += size
        self._position += size
        self._taken += size
        if segment.left == 0 or segment.position % CHUNK == 0:
            self._end_piece()
        return size

    def _write(self) -> None:
        parts, self._unwritten = self._unwritten, []
        if not parts:
            return
        try:
            self._store.write(self.segment.position - sum(map(len, parts)), parts)
        except BaseException:
            self._start = self.segment.position  # what was not written is no piece
            raise

    def _go_on(self) -> bool:
        """Go on into the next segment of a reply that holds more than one; whether there is one ahead of us."""
        segment = self._store.another(self.segment)
        if segment is not None:
            self.segment = segment
            self._start = segment.position
        # One that lies behind us has to be brought by another reply.
        self._enough = segment is None or segment.position < self._position
        return not self._enough
