"""From the wire to the disk: in order, one write at a time, little in memory, and nothing told before it is written."""

import asyncio
import errno
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.bringing import CONTENT
from transfer.invented import Server, target_of, tools
from transfer.virtual_time import run
from windlass.errors import InsufficientStorage
from windlass.transfer import buffers
from windlass.transfer import run as runs
from windlass.transfer import writing as writings
from windlass.transfer.fetch import fetch
from windlass.transfer.ledger import Piece, parse
from windlass.transfer.meter import Meter
from windlass.transfer.partial import Partial, disk_error
from windlass.transfer.target import Target
from windlass.transfer.throttle import Throttle
from windlass.transfer.writing import Writing

pytestmark = pytest.mark.usefixtures("small_chunks", "small_batches")

BATCH = 100


@pytest.fixture(scope="module")
def small_batches() -> Iterator[None]:
    """A batch is 100 bytes in place of 1 MiB, and so is a buffer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writings, "BATCH", BATCH)
        patch.setattr(buffers, "_SIZE", BATCH)
        patch.setattr(runs, "LEAST", 20)
        yield


class ByHand(Executor):
    """A thread that does its next piece of work when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        self.waiting.append(work)
        return future

    async def step(self) -> None:
        """Do what waits longest, and let the loop hear of it."""
        self.waiting.pop(0)()
        await settle()


class Slow(ByHand):
    """Threads that take a while for each write; they read at once."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._busy: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future = super().submit(fn, *args, **kwargs)
        self._busy.append(future)
        seconds = self._seconds if fn.__name__ == "_write" else 0.0
        asyncio.get_running_loop().call_later(seconds, self.waiting.pop())
        return future

    @property
    def busy(self) -> bool:
        return not all(future.done() for future in self._busy)


class File:
    """Remembers each write; refuses from the `good`-th on."""

    def __init__(self, good: int = 1 << 30) -> None:
        self.content = bytearray(10_000)
        self.writes: list[tuple[int, int]] = []
        self.there: set[int] = set()
        self._good = good

    def write(self, offset: int, *parts: memoryview) -> int:
        if len(self.writes) >= self._good:
            raise disk_error(OSError(errno.ENOSPC, "No space left on device"), Path("/models/x.part"))
        data = b"".join(parts)
        self.writes.append((offset, len(data)))
        self.content[offset : offset + len(data)] = data
        self.there.update(range(offset, offset + len(data)))
        return len(data)


class Desk:
    """A writing, with what it writes to, the thread that does, and the pieces that it told."""

    def __init__(self, good: int = 1 << 30) -> None:
        self.file = File(good)
        self.thread = ByHand()
        self.told: list[Piece] = []
        self.writing = Writing(self.file, self.thread, self._closed)

    def _closed(self, piece: Piece) -> None:
        assert self.file.there.issuperset(range(piece.start, piece.end))
        self.told.append(piece)

    def add(self, offset: int, data: bytes) -> None:
        self.writing.add(offset, memoryview(data))


async def settle() -> None:
    """Let the loop do all that it can do now."""
    for _ in range(5):
        await asyncio.sleep(0)


def piece(start: int, data: bytes) -> Piece:
    return Piece(start, len(data), xxhash.xxh3_64_hexdigest(data))


def at_the_desk(work: Callable[[Desk], Awaitable[None]], good: int = 1 << 30) -> Desk:
    """Do `work` on a loop; answers the desk as it was left."""

    async def do() -> Desk:
        desk = Desk(good)
        await work(desk)
        return desk

    return run(do())


# Batches


def test_bytes_wait_until_there_is_a_batch() -> None:
    """Then they are written all at once, however small the parts they came in."""

    async def work(desk: Desk) -> None:
        for at in range(0, BATCH - 1, 9):
            desk.add(at, b"x" * 9)
            assert desk.thread.waiting == []
            assert desk.writing.added == at + 9
        desk.add(BATCH - 1, b"x")
        await desk.thread.step()

    assert at_the_desk(work).file.writes == [(0, BATCH)]


def test_a_flush_writes_what_there_is() -> None:
    """As a checkpoint has it; nothing is no write."""

    async def work(desk: Desk) -> None:
        desk.writing.flush()
        assert desk.thread.waiting == []
        desk.add(7, b"hello")
        assert desk.writing.growing is None
        desk.writing.flush()
        await desk.thread.step()
        assert desk.writing.growing == piece(7, b"hello")

    desk = at_the_desk(work)
    assert desk.file.writes == [(7, 5)]
    assert desk.told == []


def test_one_write_at_a_time() -> None:
    """What comes while one is under way waits for its end, and goes by itself then."""

    async def work(desk: Desk) -> None:
        for at in range(0, 4 * BATCH, 50):
            desk.add(at, b"y" * 50)
            await settle()
            assert len(desk.thread.waiting) == (1 if at >= 50 else 0)
        assert desk.writing.behind is not None
        await desk.thread.step()
        assert len(desk.thread.waiting) == 1
        await desk.thread.step()
        assert desk.writing.behind is None

    assert at_the_desk(work).file.writes == [(0, 100), (100, 300)]


def test_the_growing_piece_is_what_is_written_of_it() -> None:
    """Not what has come: that is not there yet if we are killed now."""

    async def work(desk: Desk) -> None:
        desk.add(0, b"a" * BATCH)
        desk.add(BATCH, b"b" * 20)
        await desk.thread.step()
        assert desk.writing.growing == piece(0, b"a" * BATCH)
        desk.writing.flush()
        assert desk.writing.growing == piece(0, b"a" * BATCH)
        await desk.thread.step()
        assert desk.writing.growing == piece(0, b"a" * BATCH + b"b" * 20)
        desk.writing.end_piece(BATCH + 20)
        await desk.thread.step()
        assert desk.writing.growing is None

    desk = at_the_desk(work)
    assert desk.told == [piece(0, b"a" * BATCH + b"b" * 20)]


def test_several_pieces_in_one_write() -> None:
    """Each with its own place and digest, in the order in which they came, and an empty one is none."""

    async def work(desk: Desk) -> None:
        desk.writing.end_piece(900)
        await desk.thread.step()
        desk.add(0, b"first")  # under way; the others gather behind it
        desk.writing.end_piece(5)
        for start, data in ((500, b"second"), (100, b"third")):
            desk.add(start, data)
            desk.writing.end_piece(start + len(data))
        desk.add(300, b"fourth")
        assert desk.told == []
        while desk.thread.waiting:
            await desk.thread.step()
        assert desk.writing.growing == piece(300, b"fourth")

    desk = at_the_desk(work)
    assert desk.told == [piece(0, b"first"), piece(500, b"second"), piece(100, b"third")]


def _moves(pieces: list[tuple[int, list[int], bool]]) -> Iterator[tuple[int, bytes, bool]]:
    """Places in the file with bytes of their own: (where, what, whether a piece ends there)."""
    for number, (start, sizes, ends) in enumerate(pieces):
        at = number * 1000 + start
        for size in sizes:
            yield at, bytes((at + n) % 251 for n in range(size)), False
            at += size
        yield at, b"", ends or number + 1 < len(pieces)  # a jump ends a piece


_PIECES = st.lists(
    st.tuples(st.integers(0, 99), st.lists(st.integers(1, 120), max_size=6), st.booleans()), min_size=1, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(pieces=_PIECES, pauses=st.lists(st.booleans(), min_size=40, max_size=40))
def test_everything_is_written_in_its_place_and_told_once(
    pieces: list[tuple[int, list[int], bool]], pauses: list[bool]
) -> None:
    """Whatever sizes, jumps and pauses of the disk: the bytes stand right, each piece is told when it is written."""

    async def work(desk: Desk) -> None:
        right = bytearray(10_000)
        for (at, data, ends), pause in zip(_moves(pieces), pauses, strict=False):
            right[at : at + len(data)] = data
            if data:
                desk.add(at, data)
            if ends:
                desk.writing.end_piece(at)
            if pause and desk.thread.waiting:
                await desk.thread.step()
            assert len(desk.thread.waiting) <= 1
        ending = asyncio.create_task(desk.writing.finish())
        await settle()
        while desk.thread.waiting:
            await desk.thread.step()
        await ending
        assert desk.file.content == right
        assert [desk.told, desk.writing.growing] == _expected(pieces)

    at_the_desk(work)


def _expected(pieces: list[tuple[int, list[int], bool]]) -> list[Any]:
    """The pieces that are told, and the one that still grows."""
    told, growing, held, start = list[Piece](), None, b"", 0
    for at, data, ends in _moves(pieces):
        start = start if held else at
        held += data
        if ends and held:
            told.append(piece(start, held))
            held = b""
        growing = piece(start, held) if held else None
    return [told, growing]


# Memory


class Hose(Server):
    """A server that sends as fast as it is let, and notes how much of that is not on the disk."""

    disk: File = File()
    most: int = 0

    async def _deliver(self, data: bytes, receiver: Any) -> None:
        self.sent += len(data)
        while held_back := receiver.body(data):
            await asyncio.wait([held_back])
        self.most = max(self.most, self.sent - len(self.disk.there))
        await asyncio.sleep(0)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("block", [1, 7, 64, 300])
def test_a_slow_disk_holds_the_source_back(
    tmp_path: Path, seconds: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast the source: a batch that is written and one that waits is all that a connection has in memory."""
    content = CONTENT * 4
    server, target = Hose(content, redirects=False, block=block), target_of(content)
    server.disk = _limited(monkeypatch)
    using = tools(server, connections=1, threads=Slow(seconds))
    staged = run(fetch(target, tmp_path, using, Meter(len(content))))
    assert staged.path.read_bytes() == content
    assert min(BATCH, block) <= server.most <= 2 * (BATCH + block)


def _limited(monkeypatch: pytest.MonkeyPatch, good: int = 1 << 30) -> File:
    """Have every write of a partial pass by a file that notes it, and refuses from the `good`-th on."""
    file, write = File(good), Partial.write

    def noted(partial: Partial, offset: int, *parts: memoryview) -> int:
        file.write(offset, *parts)
        return write(partial, offset, *parts)

    monkeypatch.setattr(Partial, "write", noted)
    return file


class Whimsical(Slow):
    """Threads that take a time for each write that nobody can foresee."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__(0.0)
        self._times = itertools.cycle(seconds)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self._seconds = next(self._times)
        return super().submit(fn, *args, **kwargs)


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(st.integers(1, 150), min_size=1, max_size=8),
    seconds=st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.3, 2.0]), min_size=1, max_size=5),
    connections=st.integers(1, 3),
    limit=st.sampled_from([None, 1000, 100_000]),
)
def test_bytes_on_their_way_are_never_overwritten(
    blocks: list[int], seconds: list[float], connections: int, limit: int | None
) -> None:
    """Whatever sizes they come in, and however long the disk takes for each write: right at once, all of them."""
    sizes, content = itertools.cycle(blocks), bytes(n * n % 251 for n in range(2000))

    class Uneven(Server):
        async def _deliver(self, data: bytes, receiver: Any) -> None:
            while data:
                size = next(sizes)
                await super()._deliver(data[:size], receiver)
                data = data[size:]

    server = Uneven(content, redirects=False, rate=5000, block=1000)
    using = tools(server, connections=connections, threads=Whimsical(seconds), lane=Throttle(limit).lane())
    target, meter = target_of(content), Meter(len(content))
    with tempfile.TemporaryDirectory() as folder:
        staged = run(fetch(target, Path(folder), using, meter))
        assert staged.path.read_bytes() == content
    assert meter.thrown_away == 0


# The disk refuses


@pytest.mark.parametrize("good", [0, 1, 3])
def test_an_error_of_a_write_ends_the_fetch_with_it(tmp_path: Path, good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """That very error, at once, over any number of connections; what was written before is kept and believed."""
    file = _limited(monkeypatch, good)
    server, target, meter = Server(CONTENT, redirects=False), target_of(CONTENT), Meter(len(CONTENT))
    with pytest.raises(InsufficientStorage):
        run(fetch(target, tmp_path, tools(server), meter), within=30)
    monkeypatch.undo()
    assert meter.kept == len(file.there)
    healed = Server(CONTENT, redirects=False)
    staged = run(fetch(target, tmp_path, tools(healed, connections=1), Meter(len(CONTENT))))
    assert staged.path.read_bytes() == CONTENT
    assert healed.sent == len(CONTENT) - meter.kept


def test_nothing_is_written_or_told_after_an_error() -> None:
    """Each later call says what happened, and none of them waits."""

    async def work(desk: Desk) -> None:
        desk.add(0, b"x" * BATCH)
        desk.add(BATCH, b"x" * 10)
        await desk.thread.step()
        for call in (desk.writing.flush, lambda: desk.writing.end_piece(BATCH + 10)):
            with pytest.raises(InsufficientStorage):
                call()
        for _ in range(2):
            with pytest.raises(InsufficientStorage):
                await desk.writing.finish()

    desk = at_the_desk(work, good=0)
    assert (desk.thread.waiting, desk.told, desk.writing.growing) == ([], [], None)


def test_an_error_of_the_last_write_comes_out_of_the_end() -> None:
    """`finish` does not end well when what it waited for did not."""

    async def work(desk: Desk) -> None:
        desk.add(0, b"x")
        desk.writing.end_piece(1)
        ending = asyncio.create_task(desk.writing.finish())
        await settle()
        await desk.thread.step()
        with pytest.raises(InsufficientStorage):
            await ending

    at_the_desk(work, good=0)


# Stops and kills


@pytest.mark.parametrize("times", [1, 3])
def test_a_stop_waits_for_the_writes(times: int) -> None:
    """However often it is asked for, and when more than one write is still to come: the file is closed behind us."""

    async def work(desk: Desk) -> None:
        desk.add(0, b"x" * BATCH)
        desk.add(BATCH, b"y" * 10)
        desk.writing.end_piece(BATCH + 10)
        ending = asyncio.create_task(desk.writing.finish())
        for _ in range(times):
            await settle()
            ending.cancel()
        while desk.thread.waiting:
            assert not ending.done()
            await desk.thread.step()
        assert ending.cancelled()
        await settle()
        assert desk.thread.waiting == []

    assert at_the_desk(work).told == [piece(0, b"x" * BATCH + b"y" * 10)]


def test_a_stop_in_mid_file_leaves_no_write_behind(tmp_path: Path) -> None:
    """At any moment, on a slow disk: when the fetch has ended no thread has the file any more, and all is believed."""
    content = CONTENT * 2
    target = target_of(content)

    async def stop(after: float, folder: Path, connections: int) -> None:
        thread = Slow(0.3)
        using = tools(Server(content, redirects=False, block=20), connections=connections, threads=thread)
        task = asyncio.create_task(fetch(target, folder, using, Meter(len(content))))
        await asyncio.wait([task], timeout=after)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not thread.busy

    for moment in range(1, 60):
        folder = tmp_path / str(moment)
        run(stop(moment * 0.07, folder, 1 + moment % 2 * 3))
        assert_kept_is_there(folder, target)


def assert_kept_is_there(folder: Path, target: Target) -> int:
    """Each piece of the ledger stands on the disk as it says; answers the bytes."""
    path = folder / f"{target.partial_name}.part"
    ledger, data = path.with_suffix(".ledger"), path.read_bytes() if path.exists() else b""
    known = parse(ledger.read_text() if ledger.exists() else "", target.identity, target.size)
    for kept in known.pieces.values() if known else ():
        assert kept == piece(kept.start, data[kept.start : kept.end])
    return known.received if known else 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.sampled_from([0.0, 0.05, 0.4]))
def test_a_kill_between_leaves_nothing_believed_that_is_not_there(moments: list[float], seconds: float) -> None:
    """At any moment, on a disk of any speed: each piece of the ledger stands on the disk as it says."""
    target = target_of(CONTENT)

    async def look(folder: Path) -> None:
        using = tools(Server(CONTENT, redirects=False, block=30), threads=Slow(seconds))
        task = asyncio.create_task(fetch(target, folder, using, Meter(len(CONTENT))))
        for moment in moments:
            await asyncio.wait([task], timeout=moment)
            assert_kept_is_there(folder, target)
        task.cancel()
        await asyncio.wait([task])

    with tempfile.TemporaryDirectory() as folder:
        run(look(Path(folder)))
