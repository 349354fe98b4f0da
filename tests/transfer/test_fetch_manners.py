"""How a fetch behaves over real sockets: tokens, addresses, ranges, limits, stops; and what the disk does to it."""

import asyncio
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xxhash

from standin import ALWAYS, Hub, OnDisk, Request, faults
from standin.repository import File
from transfer.fetching import BIG, CONTENT, MIB, PATH, REPO, Fetcher, assert_right
from windlass.errors import (
    InsufficientStorage,
    ModelNotFound,
    StorageUnavailable,
)
from windlass.transfer.fetch import fetch
from windlass.transfer.ledger import Piece
from windlass.transfer.meter import Meter
from windlass.transfer.network import Patience
from windlass.transfer.partial import open_partial
from windlass.transfer.segments import CHUNK
from windlass.transfer.wire import Wire

# What else matters


def test_the_token_is_never_seen_by_the_cdn(fetcher: Fetcher) -> None:
    """The hub sees it with every request, the CDN with none, over cuts, expiry and many connections."""
    hub = fetcher.hub
    fetcher.token = "hf_secret"
    hub.tokens.add("hf_secret")
    hub.repositories[REPO].push({PATH: BIG})
    hub.address_uses = 3
    hub.misbehave("cdn", faults.fin(after=1000))
    assert_right(fetcher, BIG)
    assert all(request.token == "hf_secret" for request in hub.asked("resolve"))
    assert hub.asked("cdn")
    assert not [request for request in hub.asked("cdn") if "authorization" in request.headers]


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
    assert len(hub.asked("resolve")) >= 2


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


def test_ranges_beyond_4_gib(fetcher: Fetcher, tmp_path: Path) -> None:
    """A sparse file of 5 GiB of which the ends are missing here: the far bytes come right, with 64-bit offsets."""
    size = 5 << 30
    source = tmp_path / "far.gguf"
    with source.open("wb") as file:
        file.truncate(size)
        file.seek(size - 1000)
        file.write(b"the end.".ljust(1000, b"!"))
    repository = fetcher.hub.repositories[REPO]
    repository.commits[repository.refs["main"]][PATH] = File(PATH, OnDisk(source), known_sha256="0" * 64)
    asyncio.run(_far(fetcher, size))


async def _far(fetcher: Fetcher, size: int) -> None:
    """Ask for the last bytes alone: hashing 5 GiB would take longer than it proves."""
    target, zeros = fetcher.target(), xxhash.xxh3_64_hexdigest(bytes(CHUNK))
    partial = open_partial(fetcher.folder, target.partial_name, target.identity, size)
    assert partial
    last = size - CHUNK
    partial.record(Piece(start, CHUNK, zeros) for start in range(0, last, CHUNK))
    partial.record([Piece(last, CHUNK - 1000, "0" * 16)])
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


# The disk


def test_the_folder_vanishes_in_mid_file(fetcher: Fetcher) -> None:
    """Somebody wipes the partials: an error that says so, and the next try begins anew."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    wipe = faults.do(lambda: shutil.rmtree(fetcher.folder))
    hub.misbehave("cdn", faults.fin(after=MIB), faults.both(wipe, faults.fin(after=MIB)))
    with pytest.raises(StorageUnavailable):
        fetcher.bring()
    assert_right(fetcher, BIG)


def test_the_folder_cannot_be_written(fetcher: Fetcher) -> None:
    """Where a file stands in its place."""
    fetcher.folder.write_text("in the way")
    with pytest.raises(StorageUnavailable):
        fetcher.bring()


def test_the_disk_fills_in_mid_file(fetcher: Fetcher, tmp_path: Path) -> None:
    """A tiny file system: `insufficient_storage`, what came is kept, and with room it goes on."""
    if not _tiny_disk(tmp_path / "tiny", 2 * MIB):
        pytest.skip("only root may mount a small file system")
    fetcher.folder, fetcher.limit = tmp_path / "tiny" / "partial", 3 * MIB
    try:
        with pytest.raises(InsufficientStorage):
            fetcher.bring()
        _resize(tmp_path / "tiny", 32 * MIB)
        before = fetcher.hub.sent(PATH)
        assert_right(fetcher)
        assert fetcher.hub.sent(PATH) - before < len(CONTENT) - MIB // 2
    finally:
        subprocess.run(["umount", "-l", tmp_path / "tiny"], check=True)


def _tiny_disk(path: Path, size: int) -> bool:
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    return os.getuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0


def _resize(path: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", path], check=True)
