"""What one run receives, on its way to the disk: written and digested by threads, in order, one write at a time.

So the loop never waits for the disk, and no more than two batches of a connection are in memory: one that is written,
and one that fills up meanwhile (buffers.py); then the connection is held back.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import xxhash

from windlass.transfer.ledger import Piece
from windlass.transfer.settled import settled

BATCH = 512 * 1024  # bytes of one write


class Writable(Protocol):
    """Where bytes are put; called on a thread."""

    def write(self, offset: int, *parts: memoryview) -> int:
        """Put parts one after the other from `offset`; raises StorageFailure."""


@dataclass(slots=True)
class _Stretch:
    """Bytes that follow one another; `last` where a piece ends with them."""

    offset: int
    parts: list[memoryview] = field(default_factory=list)
    size: int = 0
    last: bool = False


class Writing:
    """The way of one run's bytes into `file`.

    Args:
        file: where they are put.
        thread: who puts them there.
        closed: told each piece that is complete and written.

    Attributes:
        growing: the piece that is being received, as far as it is written.
        job: the write that is under way.
        added: bytes taken so far.
        written: how many of them have been written.
    """

    def __init__(self, file: Writable, thread: Executor, closed: Callable[[Piece], None]) -> None:
        self.growing: Piece | None = None
        self.job: asyncio.Future[list[Piece]] | None = None
        self.added = self.written = 0
        self._file = file
        self._thread = thread
        self._closed = closed
        self._waiting: list[_Stretch] = []
        self._size = self._sent = 0
        self._error: BaseException | None = None
        # Of the growing piece: the thread's while it is at work.
        self._start = self._end = 0
        self._digest = xxhash.xxh3_64()

    def add(self, offset: int, part: memoryview) -> None:
        """Take bytes that belong at `offset`. They are written when there is a batch of them, or on `flush`."""
        stretch = self._waiting[-1] if self._waiting else None
        if stretch is None or stretch.last:
            stretch = _Stretch(offset)
            self._waiting.append(stretch)
        stretch.parts.append(part)
        stretch.size += len(part)
        self._size += len(part)
        self.added += len(part)
        if self._size >= BATCH:
            self.flush()

    def end_piece(self, offset: int) -> None:
        """End the piece that grows up to `offset`; what comes next begins another, and may be elsewhere."""
        if not self._waiting or self._waiting[-1].last:
            self._waiting.append(_Stretch(offset))
        self._waiting[-1].last = True
        self.flush()

    def flush(self) -> None:
        """Write what there is, if the last write has ended; if not, it goes on by itself when that has.

        Raises:
            StorageFailure: an earlier write failed.
        """
        if self._error:
            raise self._error
        if self._waiting and self.job is None:
            stretches, self._waiting, self._size, self._sent = self._waiting, [], 0, self.added
            self.job = asyncio.get_running_loop().run_in_executor(self._thread, self._write, stretches)
            self.job.add_done_callback(self._written)

    @property
    def behind(self) -> "asyncio.Future[list[Piece]] | None":
        """The write to wait for before more is taken, None where there is room."""
        return self.job if self._size >= BATCH else None

    async def finish(self) -> None:
        """Return when everything is written; cancelled, not before that either. Raises StorageFailure."""
        # As a whole: a stop that comes during one write must not leave the next one to a file that is closed then.
        await settled(asyncio.ensure_future(self._write_all()))

    async def _write_all(self) -> None:
        while not self._error and (self.job or self._waiting):
            self.flush()
            if self.job:
                job = self.job
                await settled(job)
                self._written(job)
        if self._error:
            raise self._error

    def _written(self, job: "asyncio.Future[list[Piece]]") -> None:
        if job is not self.job:
            return  # `finish` was told before the loop told us
        self.job, self._error = None, job.exception()
        if self._error:
            return
        self.written = self._sent
        for piece in job.result():
            self._closed(piece)
        length = self._end - self._start
        self.growing = Piece(self._start, length, self._digest.hexdigest()) if length else None
        if self._size >= BATCH or any(stretch.last for stretch in self._waiting):
            self.flush()

    def _write(self, stretches: Sequence[_Stretch]) -> list[Piece]:
        """On a thread. Answers the pieces that are complete."""
        pieces = []
        for stretch in stretches:
            if self._start == self._end:
                self._start = self._end = stretch.offset
            if stretch.parts:
                self._file.write(stretch.offset, *stretch.parts)
            for part in stretch.parts:
                self._digest.update(part)
            self._end += stretch.size
            if stretch.last and self._end > self._start:
                pieces.append(Piece(self._start, self._end - self._start, self._digest.hexdigest()))
                self._digest.reset()
                self._start = self._end
        return pieces
