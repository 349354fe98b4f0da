"""How a fetch behaves over real sockets: tokens, addresses, ranges, limits, stops; and what the disk does to it."""

import asyncio
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xxhash

from standin import ALWAYS, Hub, OnDisk, Request, faults
from standin.repository import File
from transfer.fetching import BIG, CONTENT, MIB, PATH, REPO, SMALL_CONTENT, Fetcher, assert_right
from windlass.errors import ModelNotFound
from windlass.transfer.fetch import fetch
from windlass.transfer.ledger import Piece
from windlass.transfer.meter import Meter
from windlass.transfer.network import Patience
from windlass.transfer.partial import open_partial
from windlass.transfer.retry import Persistence
from windlass.transfer.segments import CHUNK
from windlass.transfer.wire import Wire

# What else matters


@pytest.mark.parametrize("content", [BIG, SMALL_CONTENT], ids=["large", "small"])
def test_the_token_is_never_seen_by_the_cdn(fetcher: Fetcher, content: bytes) -> None:
    """The hub sees it with every request, the CDN with none, over cuts, expiry and many connections."""
    hub = fetcher.hub
    fetcher.token = "hf_secret"
    hub.tokens.add("hf_secret")
    hub.repositories[REPO].push({PATH: content})
    hub.address_uses = 3
    hub.misbehave("cdn", faults.fin(after=1000))
    assert_right(fetcher)
    assert all(request.token == "hf_secret" for request in hub.asked("resolve"))
    assert hub.asked("cdn")
    assert not [request for request in hub.asked("cdn") if "authorization" in request.headers]


def test_a_commit_that_moves_in_mid_job_changes_nothing(either: Fetcher) -> None:
    """What was asked for is pinned to a commit: cut in the middle, asked for anew, it goes on with the old bytes."""
    hub, content, target = either.hub, either.content, either.target()
    moves = faults.do(lambda: hub.repositories[REPO].push({PATH: content[::-1]}))
    hub.misbehave("cdn", faults.both(moves, faults.fin(after=100_000)), faults.status(403), faults.fin(after=0))
    either.persistence = Persistence(failures=6, seconds=0.1)
    staged = either.run([target])[0]
    assert staged.path.read_bytes() == content
    assert hub.to_come == []
    assert either.content == content[::-1]
    assert len(hub.asked("resolve")) >= 2
    assert hub.sent(PATH) == len(content)


def test_addresses_that_expire_in_mid_file(fetcher: Fetcher) -> None:
    """Each is good for two requests: renewed as often as needed, nothing fetched twice."""
    fetcher.hub.repositories[REPO].push({PATH: BIG})
    fetcher.hub.address_uses = 2
    fetcher.connections = 1
    assert_right(fetcher, BIG)
    assert fetcher.hub.sent(PATH) == len(BIG)
    assert fetcher.meters[0].retries == 0


def test_all_addresses_expire_at_once(fetcher: Fetcher) -> None:
    """As after a long pause: the crew asks the hub again."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    expired = threading.Event()

    def expire(request: Request) -> faults.Fault | None:
        if request.kind != "cdn" or expired.is_set():
            return None
        expired.set()
        hub.expire_addresses()
        return faults.fin(after=MIB)

    hub.decide = expire
    assert_right(fetcher, BIG)
    assert 2 <= len(hub.asked("resolve")) <= 1 + fetcher.connections


def test_what_another_connection_has_taken_over_is_not_fetched_twice(fetcher: Fetcher) -> None:
    """A reply is longer than what is left of its segment after a split: it is ended there, and not a megabyte later."""
    fetcher.hub.repositories[REPO].push({PATH: BIG})
    fetcher.hub.rate = 8 * MIB
    assert_right(fetcher, BIG)
    assert fetcher.meters[0].fetched <= len(BIG) + fetcher.connections * 64 * 1024


def test_the_address_is_resolved_once_a_file(fetcher: Fetcher) -> None:
    """However many connections a file has; the body's first bytes come before the others are hired."""
    fetcher.hub.repositories[REPO].push({PATH: BIG})
    assert_right(fetcher, BIG)
    assert len(fetcher.hub.asked("resolve")) == 1


@pytest.mark.parametrize("cut", [None, 100_000, 2 * MIB])
def test_a_server_without_ranges(fetcher: Fetcher, cut: int | None) -> None:
    """It sends all from the start each time: the file comes, and what is there is skipped and not written again."""
    hub = fetcher.hub
    if cut:
        hub.misbehave("cdn", faults.both(faults.whole(), faults.fin(after=cut)))
    hub.misbehave("cdn", faults.whole(), times=ALWAYS)
    assert_right(fetcher)
    assert hub.sent(PATH) <= len(CONTENT) + (cut or 0)
    assert hub.cdn.peak == 1


def test_a_server_without_ranges_is_resumed_after_a_stop(fetcher: Fetcher) -> None:
    """Stopped in mid-file and asked again: what was kept stays."""
    hub = fetcher.hub
    hub.misbehave("cdn", faults.both(faults.whole(), faults.fin(after=MIB)), faults.status(404))
    hub.misbehave("resolve", faults.do(lambda: None), faults.status(404), times=1)
    hub.misbehave("resolve", faults.status(404), times=5)
    with pytest.raises(ModelNotFound):
        fetcher.bring()
    assert fetcher.meters[0].kept >= MIB // 2
    hub.behave()
    hub.misbehave("cdn", faults.whole(), times=ALWAYS)
    assert_right(fetcher)


def test_many_small_files_share_connections(fetcher: Fetcher) -> None:
    """Sixteen at a time over as many kept-alive connections, each file with one request and its redirect."""
    files = {f"part-{n}.json": b"%d" % n * 100 for n in range(60)}
    fetcher.hub.repositories[REPO].push({**files, "empty.json": b""})
    staged = fetcher.bring(*files, "empty.json")
    assert [one.path.read_bytes() for one in staged] == [*files.values(), b""]
    assert len(fetcher.hub.asked("small")) == 60
    assert fetcher.hub.server.connections <= 2 * 16


@pytest.mark.parametrize("size", [5 << 30, 200_000_000_000])
def test_ranges_beyond_4_gib(fetcher: Fetcher, tmp_path: Path, size: int) -> None:
    """A sparse file of which the end is missing here: the far bytes come right, and neither disk nor memory fills."""
    source = tmp_path / "far.gguf"
    with source.open("wb") as file:
        file.truncate(size)
        file.seek(size - 1000)
        file.write(b"the end.".ljust(1000, b"!"))
    repository = fetcher.hub.repositories[REPO]
    repository.commits[repository.refs["main"]][PATH] = File(PATH, OnDisk(source), known_sha256="0" * 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asyncio.run(_far(fetcher, size))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB; see getrusage(2)


async def _far(fetcher: Fetcher, size: int) -> None:
    """Ask for the last bytes alone: hashing all would take longer than it proves."""
    target, zeros = fetcher.target(), xxhash.xxh3_64_hexdigest(bytes(CHUNK))
    partial = open_partial(fetcher.folder, target.partial_name, target.identity, size)
    assert partial
    last = (size - 1) // CHUNK * CHUNK
    partial.record(Piece(start, CHUNK, zeros) for start in range(0, last, CHUNK))
    partial.record([Piece(last, size - 1000 - last, "0" * 16)])
    partial.close()
    wire = Wire(fetcher.ca_file, lambda _: None, Patience())
    path = fetcher.folder / f"{target.partial_name}.part"
    with ThreadPoolExecutor(2) as threads:
        meter = Meter(size)
        task = asyncio.create_task(fetch(target, fetcher.folder, fetcher._tools(wire, threads), meter))
        while meter.kept < size and not task.done():  # the digest follows on its thread meanwhile
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
    wire.close()
    with path.open("rb") as file:
        file.seek(size - 1000)
        assert file.read() == b"the end.".ljust(1000, b"!")
    assert path.stat().st_blocks * 512 < 10 * MIB
    assert fetcher.hub.asked("cdn")[0].headers["range"] == f"bytes={size - 1000}-{size - 1}"


@pytest.mark.parametrize("connections", [1, 4])
def test_a_limit_holds_on_the_wire(fetcher: Fetcher, connections: int) -> None:
    """Held back by us and not cut as stalled; bytes right; the time taken fits the limit."""
    fetcher.connections, fetcher.limit = connections, 4 * MIB
    begun = _seconds()
    assert_right(fetcher)
    assert 0.5 <= _seconds() - begun <= 2.0


def _seconds() -> float:
    return time.monotonic()


def test_two_files_share_a_limit(fetcher: Fetcher) -> None:
    """Neither starves while the other is held back."""
    fetcher.hub.repositories[REPO].push({"a.gguf": CONTENT, "b.gguf": CONTENT[::-1]})
    fetcher.limit = 6 * MIB
    staged = fetcher.bring("a.gguf", "b.gguf")
    assert [one.path.read_bytes() for one in staged] == [CONTENT, CONTENT[::-1]]


def test_stopped_by_the_caller(fetcher: Fetcher) -> None:
    """Cancelled with the crew at work and the hash on its thread: what came is kept, nothing is left running."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    gate = threading.Event()
    hub.misbehave("cdn", faults.hold(gate, after=4 * MIB), times=ALWAYS)
    target = fetcher.target()
    meter = Meter(target.size)

    async def stop() -> None:
        async with asyncio.timeout(20):
            task = asyncio.create_task(fetcher._run([(target, meter)]))
            while meter.fetched < 4 * MIB:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(stop())
    assert meter.kept >= 4 * MIB
    gate.set()
    hub.behave()
    assert_right(fetcher, BIG)
    assert fetcher.meters[0].fetched <= len(BIG) - meter.kept + 4 * MIB


def test_nothing_is_left_open(fetcher: Fetcher) -> None:
    """After cuts, stalls, denials and a good end there are as many open files and sockets as before, ours counted."""
    hub = fetcher.hub
    fetcher.bring()
    hub.close()
    before = _open_files()
    with Hub() as other:
        other.add(REPO, {PATH: BIG})
        other.misbehave("cdn", faults.fin(after=MIB), faults.rst(after=MIB), faults.stall(after=1), faults.status(403))
        other.misbehave("resolve", faults.do(lambda: None), faults.status(500))
        again = Fetcher(other, fetcher.folder)
        assert_right(again, BIG)
    until = time.monotonic() + 5  # the hub's own threads close theirs
    while _open_files() - before and time.monotonic() < until:
        time.sleep(0.01)
    assert _open_files() - before == set()


def _open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}
