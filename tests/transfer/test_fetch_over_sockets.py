"""Fetching from the stand-in hub over real sockets: every row of what a network may do, and how each ends."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import certifi
import pytest
import xxhash

from standin import ALWAYS, Hub, OnDisk, Request, faults
from standin.repository import File
from windlass.errors import (
    ChecksumMismatch,
    HubRateLimited,
    HubUnreachable,
    InsufficientStorage,
    ModelGated,
    ModelNotFound,
    SourceFailure,
    StorageUnavailable,
    TLSFailure,
    UnsafeRedirect,
    WindlassError,
)
from windlass.transfer.batch import fetch_all
from windlass.transfer.fetch import fetch
from windlass.transfer.ledger import Piece
from windlass.transfer.meter import Meter
from windlass.transfer.network import Network, Patience
from windlass.transfer.pace import Pace
from windlass.transfer.partial import open_partial
from windlass.transfer.retry import Persistence
from windlass.transfer.segments import CHUNK
from windlass.transfer.target import Staged, Target, Tools
from windlass.transfer.wire import Wire

REPO, PATH = "owner/repo", "model-Q4_K_M.gguf"
MIB = 1 << 20
CONTENT = hashlib.shake_256(b"weights").digest(3 * MIB + 17)
BIG = CONTENT * 12  # three chunks, so that several connections have work
SHORT = Patience(connect=0.5, head=0.5, stall=0.4, floor=100)


@dataclass
class Fetcher:
    """Fetches files of the hub's one repository to the end, in a loop and with a wire of its own."""

    hub: Hub
    folder: Path
    patience: Patience = SHORT
    persistence: Persistence = field(default_factory=lambda: Persistence(failures=3, seconds=0.1, longest_wait=5.0))
    connections: int = 4
    ca_file: str = field(default_factory=certifi.where)
    limit: int | None = None
    token: str = ""
    meters: list[Meter] = field(default_factory=list)

    def target(self, path: str = PATH) -> Target:
        """As the listing gives it."""
        repository = self.hub.repositories[REPO]
        commit = repository.refs["main"]
        file = repository.file(path)
        url = f"{self.hub.url}/{REPO}/resolve/{commit}/{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if file.lfs:
            return Target(f"{REPO}/{path}", url, file.size, "sha256", file.listed_sha256 or file.sha256, headers)
        return Target(f"{REPO}/{path}", url, file.size, "git-sha1", file.oid, headers)

    def bring(self, *paths: str) -> list[Staged]:
        """All of them, in one batch."""
        return self.run([self.target(path) for path in paths or (PATH,)])

    def run(self, targets: Sequence[Target]) -> list[Staged]:
        self.meters = [Meter(target.size) for target in targets]
        return asyncio.run(self._run(list(zip(targets, self.meters, strict=True))))

    async def _run(self, targets: list[tuple[Target, Meter]]) -> list[Staged]:
        wire = Wire(self.ca_file, lambda _: None, self.patience)
        try:
            with ThreadPoolExecutor(2) as threads:
                return await fetch_all(targets, self.folder, self._tools(wire, threads))
        finally:
            wire.close()

    def _tools(self, network: Network, threads: ThreadPoolExecutor) -> Tools:
        return Tools(
            network=network,
            threads=threads,
            chance=lambda: 0.05,  # little jitter: a test need not wait
            wall_clock=lambda: 1_700_000_000.0,
            connections=lambda: self.connections,
            paces=(Pace(self.limit),),
            persistence=self.persistence,
        )


@pytest.fixture
def fetcher(hub: Hub, tmp_path: Path) -> Fetcher:
    hub.add(REPO, {PATH: CONTENT})
    return Fetcher(hub, tmp_path / "partial")


def assert_right(fetcher: Fetcher, content: bytes = CONTENT) -> Staged:
    """Fetched, and byte for byte what the hub has."""
    staged = fetcher.bring()[0]
    assert staged.path.read_bytes() == content
    assert staged.seal.sha256 == hashlib.sha256(content).hexdigest()
    return staged


# What passes

_PASSING: list[tuple[str, str, list[faults.Fault]]] = [
    ("FIN in the middle", "cdn", [faults.fin(after=1_000_000)]),
    ("FIN at the first byte", "cdn", [faults.fin(after=0)]),
    ("RST in the middle", "cdn", [faults.rst(after=1_000_000)] * 3),
    ("no answer", "cdn", [faults.no_answer("rst")]),
    ("silence", "cdn", [faults.silence()]),
    ("silence of the hub", "resolve", [faults.silence()]),
    ("stall", "cdn", [faults.stall(after=200_000)]),
    ("trickle", "cdn", [faults.trickle(pause=0.05)]),
    ("200 to a range", "cdn", [faults.fin(after=100_000), faults.whole()]),
    ("another range", "cdn", [faults.other_range(100, 200)]),
    ("mislabelled", "cdn", [faults.mislabelled("bytes 5-9/10")]),
    ("mislabelled size", "cdn", [faults.mislabelled(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT) + 1}")]),
    ("no label", "cdn", [faults.without("Content-Range")]),
    ("no bytes", "cdn", [faults.empty()]),
    ("too short", "cdn", [faults.truncated(by=1000)]),
    ("too long", "cdn", [faults.lengthened(by=1000)]),
    ("length too large", "cdn", [faults.content_length(len(CONTENT) + 5)]),
    ("length too small", "cdn", [faults.content_length(1000)]),
    ("gzip", "cdn", [faults.gzip_anyway()]),
    ("416", "cdn", [faults.status(416, {"Content-Range": f"bytes */{len(CONTENT)}"})]),
    ("5xx burst", "cdn", [faults.status(code) for code in (500, 502)]),
    ("5xx burst of the hub", "resolve", [faults.status(code) for code in (503, 504)]),
    ("429 with Retry-After", "cdn", [faults.rate_limited(0, retry_after=0)]),
    ("429 with RateLimit", "resolve", [faults.rate_limited(0)]),
    ("expired address", "cdn", [faults.fin(after=500_000), faults.status(403)]),
    ("401 in mid-file", "resolve", [faults.do(lambda: None), faults.status(401)]),
    ("captive portal", "cdn", [faults.html()]),
    ("chunked", "cdn", [faults.chunked()]),
    ("until close", "cdn", [faults.until_close()]),
    ("redirect away and back", "cdn", [faults.redirect("/nowhere")]),
]


@pytest.mark.parametrize(("kind", "wrongs"), [row[1:] for row in _PASSING], ids=[row[0] for row in _PASSING])
def test_what_passes_is_got_over(fetcher: Fetcher, kind: str, wrongs: list[faults.Fault]) -> None:
    """A fault or a few, then all is well: the file is right, and nothing was fetched much more often than needed."""
    fetcher.hub.misbehave(kind, *wrongs)
    assert_right(fetcher)
    assert fetcher.hub.sent(PATH) <= 3 * len(CONTENT)


@pytest.mark.parametrize(("kind", "wrongs"), [row[1:] for row in _PASSING], ids=[row[0] for row in _PASSING])
def test_what_passes_is_got_over_by_a_crew(fetcher: Fetcher, kind: str, wrongs: list[faults.Fault]) -> None:
    """The same faults, each a few times, at a file that several connections bring."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    hub.misbehave(kind, *wrongs, times=2)
    fetcher.persistence = Persistence(failures=6, seconds=0.1)
    assert_right(fetcher, BIG)


def test_wrong_bytes_once_mend_themselves(fetcher: Fetcher) -> None:
    """One byte of one answer is wrong: everything is fetched once more, and then it is right."""
    fetcher.hub.misbehave("cdn", faults.corrupt(at=1_234_567))
    assert_right(fetcher)
    assert fetcher.hub.sent(PATH) == 2 * len(CONTENT)
    assert fetcher.meters[0].thrown_away == len(CONTENT)


# What does not pass

_LASTING: list[tuple[str, str, faults.Fault, type[WindlassError]]] = [
    ("FIN at once", "cdn", faults.fin(after=0), SourceFailure),
    ("RST at once", "resolve", faults.no_answer("rst"), SourceFailure),
    ("silence", "cdn", faults.silence(), HubUnreachable),
    ("stall at once", "cdn", faults.stall(after=0), SourceFailure),
    ("one byte a second", "cdn", faults.trickle(pause=1.0), SourceFailure),
    ("another range", "cdn", faults.other_range(100, 200), SourceFailure),
    ("mislabelled", "cdn", faults.mislabelled("bytes 5-9/10"), SourceFailure),
    ("no bytes", "cdn", faults.empty(), SourceFailure),
    ("gzip", "cdn", faults.gzip_anyway(), SourceFailure),
    ("416", "cdn", faults.status(416), SourceFailure),
    ("500", "cdn", faults.status(500), SourceFailure),
    ("503 of the hub", "resolve", faults.status(503), HubRateLimited),
    ("429", "resolve", faults.rate_limited(0), HubRateLimited),
    ("429 for long", "resolve", faults.rate_limited(299), HubRateLimited),
    ("Retry-After tomorrow", "cdn", faults.rate_limited(0, retry_after=86400), HubRateLimited),
    ("403 of every address", "cdn", faults.status(403), SourceFailure),
    ("401", "resolve", faults.status(401), ModelGated),
    ("403", "resolve", faults.status(403), ModelGated),
    ("404", "resolve", faults.status(404), ModelNotFound),
    ("captive portal", "resolve", faults.html(), SourceFailure),
    ("redirect loop", "resolve", faults.redirect_loop(), UnsafeRedirect),
    ("redirect loop at the CDN", "cdn", faults.redirect_loop(), UnsafeRedirect),
    ("redirect to a file", "resolve", faults.redirect("file:///etc/passwd"), UnsafeRedirect),
    ("redirect to ftp", "resolve", faults.redirect("ftp://127.0.0.1/x"), UnsafeRedirect),
    ("redirect to nowhere", "resolve", faults.redirect("http://nowhere.invalid/"), HubUnreachable),
    ("redirect to nonsense", "resolve", faults.redirect("http://[::1/"), UnsafeRedirect),
    ("redirect in Latin-1", "resolve", faults.redirect("http://\u00e9.invalid/"), UnsafeRedirect),
    ("wrong bytes", "cdn", faults.corrupt(at=1_234_567), ChecksumMismatch),
]


@pytest.mark.parametrize(("kind", "fault", "error"), [row[1:] for row in _LASTING], ids=[row[0] for row in _LASTING])
def test_what_lasts_ends_in_its_error(
    fetcher: Fetcher, kind: str, fault: faults.Fault, error: type[WindlassError]
) -> None:
    """An end, soon; the right class with words for people; nothing that claims to be whole."""
    fetcher.hub.misbehave(kind, fault, times=ALWAYS)
    with pytest.raises(WindlassError) as caught:
        fetcher.bring()
    assert type(caught.value) is error, str(caught.value)
    assert caught.value.message.endswith(".")
    assert not list(fetcher.folder.glob("*.whole"))
    assert len(fetcher.hub.exchanges) < 60


def test_a_listing_that_lies(fetcher: Fetcher) -> None:
    """The listing's hash is of other bytes: `checksum_mismatch`, and nothing is kept."""
    fetcher.hub.repositories[REPO].file(PATH).listed_sha256 = "ab" * 32
    with pytest.raises(ChecksumMismatch):
        fetcher.bring()
    assert list(fetcher.folder.iterdir()) == []


def test_a_hub_that_is_down_for_a_while(fetcher: Fetcher) -> None:
    """Refused connections, then it is back: what had come is kept and the rest follows."""
    hub = fetcher.hub
    hub.misbehave("cdn", faults.fin(after=2 * MIB), faults.do(hub.cdn.refuse))
    with pytest.raises(HubUnreachable):
        fetcher.bring()
    hub.cdn.accept_again()
    before = hub.sent(PATH)
    assert_right(fetcher)
    assert hub.sent(PATH) - before <= len(CONTENT) - MIB


def test_an_unknown_authority_is_never_asked_in_the_clear(tmp_path: Path) -> None:
    """`tls_error` at once, no second try, and nothing sent; with the authority named all is well."""
    with Hub(tls=True) as hub:
        hub.add(REPO, {PATH: CONTENT})
        fetcher = Fetcher(hub, tmp_path / "partial", patience=Patience())
        with pytest.raises(TLSFailure) as caught:
            fetcher.bring()
        assert "SSL_CERT_FILE" in str(caught.value)
        assert hub.exchanges == []
        assert hub.server.connections == 1
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        fetcher.ca_file = str(tmp_path / "ca.pem")
        assert_right(fetcher)


def test_never_down_from_https(tmp_path: Path) -> None:
    """A hub on TLS that redirects to a CDN in the clear is not followed."""
    with Hub(tls=True, cdn_tls=False) as hub:
        hub.add(REPO, {PATH: CONTENT})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        fetcher = Fetcher(hub, tmp_path / "partial", patience=Patience(), ca_file=str(tmp_path / "ca.pem"))
        with pytest.raises(UnsafeRedirect):
            fetcher.bring()
        assert hub.asked("cdn") == []


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
