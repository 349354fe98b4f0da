"""Bring one file in: the recipe is `fetch` and `_Fetch.run`, everything else serves it.

A crew of workers takes segments from the plan; each worker is one connection. A follower counts finished pieces into
the digest. A tick writes the ledger. They share the file's plan and partial, and all live on one asyncio loop, so no
locks are needed; what may block for long (hashing, flushing) goes to threads.
"""

import asyncio
import math
from pathlib import Path

from windlass.errors import ChecksumMismatch, StorageUnavailable
from windlass.transfer import partial as partials
from windlass.transfer.crew import CrewSize, is_late, speed_of
from windlass.transfer.digests import Follower, mismatch
from windlass.transfer.ledger import Piece, spans
from windlass.transfer.meter import Meter
from windlass.transfer.network import Head
from windlass.transfer.partial import Partial
from windlass.transfer.reply import Asked, Verdict
from windlass.transfer.run import Run
from windlass.transfer.seal import Seal
from windlass.transfer.segments import Plan, Segment, Span, gaps
from windlass.transfer.settled import in_thread, settled
from windlass.transfer.source import Source, Trouble
from windlass.transfer.target import Overtaken, Staged, Target, Tools
from windlass.transfer.writing import Writing

TICK = 0.25  # seconds between ledger entries: what a kill may cost, and how often progress is seen to move
_SYNC_EVERY = 64 * 1024 * 1024
_PROGRESS = 64 * 1024  # bytes that make a broken exchange count as one that got somewhere
_WELL = 5.0  # seconds after such a gain for which the others of a crew count as well


async def fetch(target: Target, folder: Path, tools: Tools, meter: Meter) -> Staged:
    """Bring `target` in, as a verified file in `folder`.

    Raises:
        Overtaken: see there.
        TransferFailure, HubFailure, ModelGated, ModelNotFound: the source would not give the right bytes.
        StorageFailure: the disk would not take them.
    """
    found = await _open(target, folder, tools, meter)
    if isinstance(found, Seal):
        seal = found
    else:
        running = _Fetch(target, found, tools, meter)
        try:
            seal = await running.run()
        except ChecksumMismatch:
            await in_thread(tools.threads, partials.discard, folder, target.partial_name)
            meter.kept = meter.checked = 0
            raise
        finally:
            await in_thread(tools.threads, found.close)  # that of a large file that is gone frees all its blocks
            running.close()
    meter.kept = meter.checked = target.size
    return Staged(folder / f"{target.partial_name}.part", seal)


async def _open(target: Target, folder: Path, tools: Tools, meter: Meter) -> Partial | Seal:
    """The partial, once no other writer has it, or its seal where it is whole already."""
    while True:
        opening = asyncio.get_running_loop().run_in_executor(tools.threads, _look, target, folder)
        try:
            found = await settled(opening)
        except asyncio.CancelledError:
            _let_go(opening)
            raise
        if found is not None:
            return found
        meter.note = partials.HELD
        await asyncio.sleep(partials.LOOK_AGAIN)
        if not partials.exists(folder, target.partial_name):
            raise Overtaken


def _look(target: Target, folder: Path) -> Partial | Seal | None:
    path = folder / f"{target.partial_name}.part"
    seal = partials.read_seal(path)
    if seal:
        return None if partials.is_held(path) else seal
    partial = partials.open_partial(folder, target.partial_name, target.identity, target.size)
    seal = partials.read_seal(path) if partial else None  # the writer before us may have ended well just now
    if partial and seal:
        partial.close()
    return seal or partial


def _let_go(opening: "asyncio.Future[Partial | Seal | None]") -> None:
    if opening.exception() is None and isinstance(found := opening.result(), Partial):
        found.close()


class _Fetch:
    """The state of bringing in one file: who fetches what, and what has come. The `Store` of its runs."""

    def __init__(self, target: Target, partial: Partial, tools: Tools, meter: Meter) -> None:
        self._target = target
        self._partial = partial
        self._tools = tools
        self._meter = meter
        self._source = Source(target, tools)
        self._writer = tools.one_thread()
        self._crew: set[asyncio.Task[None]] = set()
        self._crew_size = CrewSize(tools.connections())
        self._unsynced = 0
        self._gained_at = -math.inf  # when the file had last become longer by `_PROGRESS`
        self._had = meter.kept
        self._best = 0.0  # bytes per second of the fastest exchange
        self._ledger_free = asyncio.Lock()
        self._plan_anew()

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._target.size

    async def run(self) -> Seal:
        """Fetch what is missing, check the whole, and seal it; a second try if the whole is wrong."""
        digest = await self._bring_in()
        if digest != self._target.digest:
            # Every byte is as the source sent it, and yet the whole is wrong: the source sent wrong bytes.
            await self._start_over()
            digest = await self._bring_in()
        if digest != self._target.digest:
            raise mismatch(self._target.name, digest, self._target.digest)
        seal: Seal = await in_thread(self._tools.threads, self._partial.seal, self._sha256, digest, self._chunks)
        return seal

    def close(self) -> None:
        """Let go of the thread that writes; it has nothing to do any more."""
        self._writer.shutdown(wait=False)

    async def _bring_in(self) -> str:
        """All bytes on disk and digested; answers the digest."""
        follower = Follower(self._target.algorithm, self._target.size)
        try:
            async with asyncio.TaskGroup() as self._group:
                ticking = self._group.create_task(self._tick())
                await self._follow(follower)
                for task in (ticking, *self._crew):
                    task.cancel()
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        finally:
            self._meter.segments = ()
            await self._record()
        self._sha256, digest, self._chunks = follower.finish()
        return digest

    async def _follow(self, follower: Follower) -> None:
        self._staff()
        while follower.position < self._target.size:
            piece = self._ready.get(follower.position)
            if piece is None:
                self._news.clear()
                await self._news.wait()
            elif await in_thread(self._tools.threads, follower.eat, piece, self._partial.read_into):
                self._meter.checked = follower.position
            else:
                await self._fetch_again(piece)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            await self._record()
            self._note_gain()
            self._meter.segments = tuple(run.underway(_now()) for run in self._runs)
            self._crew_size.look(_now(), self._meter.fetched, self._tools.connections())
            self._relieve()
            self._staff()
            if self._unsynced > _SYNC_EVERY:
                self._unsynced = 0
                self._partial.sync_soon(self._tools.threads)

    def _note_gain(self) -> None:
        """Whether bytes come is told by what is kept: a trickle on each of many connections is none."""
        gain = self._meter.kept - self._had
        if gain >= _PROGRESS:
            self._gained_at = _now()
            self._source.progressed()
        if gain >= _PROGRESS or gain < 0:  # less than before: what was wrong was thrown away
            self._had = self._meter.kept

    # The crew

    def _staff(self) -> None:
        """Hire until every connection that is of use is there. Until the source is known, one goes alone."""
        while len(self._crew) < self._wanted() and self._plan.has_work():
            self._hire()

    def _wanted(self) -> int:
        many = self._source.met and self._source.ranges and not self._source.wants_peace
        return self._crew_size.now(self._tools.connections()) if many else 1

    def _hire(self) -> None:
        segment = self._plan.take()
        if segment is not None:
            task = self._group.create_task(self._work(segment))
            self._crew.add(task)
            task.add_done_callback(self._crew.discard)

    async def _work(self, segment: Segment | None) -> None:
        """One connection: segment after segment, until none is left, or it is in trouble and others are not."""
        while segment is not None:
            await self._source.peace()
            trouble = await self._exchange(segment)
            if trouble is not None:
                self._meter.failed(trouble.kind, trouble.reason)
                if self._others_are_well():
                    self._crew_size.withdraw(len(self._crew), _now())
                    return
                await self._source.endure(trouble)
            segment = self._plan.take() if len(self._crew) <= self._wanted() else None

    def _others_are_well(self) -> bool:
        """Whether the trouble is this connection's alone; if nothing comes any more it is the source's, and counts."""
        return len(self._crew) > 1 and _now() - self._gained_at < _WELL

    def _relieve(self) -> None:
        """Take the last work from a connection that would hold up the file with it: another one is free for that.

        Where a limit holds it is us who make it slow. And once is enough before another one has been fast again: it may
        be the whole line that has become slow, and each new connection costs what was on its way on the old one.
        """
        if self._tools.lane.limited or self._plan.has_work() or len(self._crew) >= self._wanted():
            return
        best = self._best
        for run, worker in self._runs.items():
            if is_late(run.segment.left, run.taken, _now() - run.begun_at, best):
                self._meter.note = "a connection was far slower than the others and was given up"
                self._best = 0.0
                worker.cancel()

    async def _exchange(self, segment: Segment) -> Trouble | None:
        writing = Writing(self._partial, self._writer, self._closed)
        run = Run(self, segment, writing, self._tools.lane)
        worker = asyncio.current_task()
        assert worker
        self._runs[run] = worker
        self._meter.connections += 1
        try:
            trouble = await self._source.ask(run)
        finally:
            self._meter.connections -= 1
            await self._finish(run)
        if trouble is None or run.taken >= _PROGRESS:
            self._source.progressed()
            return None
        return trouble

    async def _finish(self, run: Run) -> None:
        try:
            await run.close()
        finally:
            del self._runs[run]
            self._plan.give_back(run.segment)
            self._best = max(self._best, speed_of(run.taken, _now() - run.begun_at))

    # What runs ask of their store

    def judge(self, head: Head, asked: Asked) -> Verdict:
        """Decide about a reply; the first good one lets the rest of the crew begin."""
        verdict = self._source.judge(head, asked, alone=self._plan.active == 1)
        self._staff()
        return verdict

    def came(self, size: int) -> None:
        """Account for bytes from the network."""
        self._meter.came(size, self._source.host)
        self._unsynced += size

    def another(self, finished: Segment) -> Segment | None:
        """A reply that holds the whole file goes on into the next segment."""
        if self._source.ranges or self._plan.active > 1:
            return None
        following = self._plan.take()
        if following is not None:
            self._plan.give_back(finished)
        return following

    # The file as a whole

    def _plan_anew(self) -> None:
        pieces = self._partial.ledger.pieces.values()
        waiting = gaps(self._target.size, [Span(*span) for span in spans(pieces)])
        self._plan = Plan(waiting, self._tools.connections())
        self._ready = {piece.start: piece for piece in pieces}
        self._unrecorded: list[Piece] = []
        self._runs: dict[Run, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._meter.kept = self._partial.ledger.received

    def _closed(self, piece: Piece) -> None:
        """A piece is written: for the ledger at the next tick, for the digest at once."""
        self._unrecorded.append(piece)
        self._ready[piece.start] = piece
        self._news.set()

    async def _record(self) -> None:
        """Note in the ledger what is written by now."""
        async with self._ledger_free:
            for run in self._runs:
                run.checkpoint()
            growing = [run.writing.growing for run in self._runs if run.writing.growing]
            pieces, self._unrecorded = [*self._unrecorded, *growing], []
            await in_thread(self._tools.threads, self._partial.record, pieces)
            self._meter.kept = self._partial.ledger.received

    async def _fetch_again(self, piece: Piece) -> None:
        """A piece reads back other than it was received: the disk lost it, or somebody wrote there."""
        await self._record()
        async with self._ledger_free:
            await in_thread(self._tools.threads, self._partial.forget, piece.start)
        del self._ready[piece.start]
        self._throw_away(piece.length, f"bytes {piece.start} to {piece.end - 1} did not read back as received")
        if self._meter.thrown_away > 2 * self._target.size:
            folder = self._partial.path.parent
            raise StorageUnavailable(f"{folder} does not give back what was written to it.", hint="Check the disk.")
        self._plan.put(Span(piece.start, piece.end))
        self._staff()

    async def _start_over(self) -> None:
        await in_thread(self._tools.threads, self._partial.start_over)
        self._plan_anew()
        self._throw_away(self._target.size, "the file did not hash to what the listing says")
        self._meter.checked = 0

    def _throw_away(self, size: int, why: str) -> None:
        self._meter.was_wrong(size, why)
        self._meter.kept = self._partial.ledger.received


def _now() -> float:
    return asyncio.get_running_loop().time()


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first real error of a group; what else failed did so because of it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
