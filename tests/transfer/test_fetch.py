"""Bringing one file in over an invented network, in virtual time: whatever goes wrong, it ends, and never in a lie."""

import asyncio
import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transfer.invented import (
    CDN,
    HUB,
    Fault,
    Server,
    answers,
    cut,
    elsewhere,
    fails,
    lengthened,
    shortened,
    spoils,
    target_of,
    tools,
    without_body,
    wrong,
)
from transfer.virtual_time import run
from windlass.errors import (
    ChecksumMismatch,
    HubRateLimited,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    SourceFailure,
    StorageUnavailable,
    TLSFailure,
    UnsafeRedirect,
    WindlassError,
)
from windlass.transfer.fetch import TICK, Overtaken, fetch
from windlass.transfer.meter import Meter
from windlass.transfer.network import Cause, Receiver, Request
from windlass.transfer.pace import Pace
from windlass.transfer.partial import open_partial
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged, Target, Tools

pytestmark = pytest.mark.usefixtures("small_chunks")

CONTENT = bytes((n * 7 + n // 64) % 251 for n in range(1500))

often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def bring(
    server: Server, folder: Path, target: Target | None = None, using: Tools | None = None
) -> tuple[Staged, Meter]:
    """Fetch to the end in virtual time."""
    target = target or target_of(server.content)
    meter = Meter(target.size)
    return run(fetch(target, folder, using or tools(server), meter)), meter


def assert_right(staged: Staged, content: bytes) -> None:
    """The bytes and every digest of the seal."""
    assert staged.path.read_bytes() == content
    assert staged.seal.sha256 == hashlib.sha256(content).hexdigest()
    chunks = tuple(xxhash.xxh3_64_hexdigest(content[at : at + 64]) for at in range(0, len(content), 64))
    assert staged.seal.chunks == chunks


# All goes well


def test_a_file_comes_in(tmp_path: Path) -> None:
    """Once over the wire, verified and sealed; the meter says so."""
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, using=tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert server.sent == len(CONTENT)
    assert (meter.kept, meter.checked, meter.fetched, meter.connections) == (1500, 1500, 1500, 0)
    assert (meter.retries, meter.thrown_away, meter.note) == (0, 0, "")


def test_a_sealed_file_is_not_asked_for_again(tmp_path: Path) -> None:
    """Nor is the network touched, nor the bytes read."""
    bring(Server(CONTENT), tmp_path)
    idle = Server(CONTENT)
    staged, meter = bring(idle, tmp_path)
    assert_right(staged, CONTENT)
    assert idle.requests == []
    assert meter.kept == len(CONTENT)


def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    """Size-0 files exist on the hub; their digest is known."""
    server = Server(b"")
    staged, _ = bring(server, tmp_path)
    assert staged.path.read_bytes() == b""
    assert server.requests == []


def test_an_empty_file_with_another_digest_is_wrong(tmp_path: Path) -> None:
    """Nothing to fetch does not mean nothing to check."""
    with pytest.raises(ChecksumMismatch):
        bring(Server(b""), tmp_path, replace(target_of(b""), digest="00" * 32))


def test_git_blobs_are_checked_by_their_own_hash(tmp_path: Path) -> None:
    """A file without a sha256 in the listing has git's hash."""
    digest = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    target = replace(target_of(CONTENT), algorithm="git-sha1", digest=digest)
    staged, _ = bring(Server(CONTENT), tmp_path, target)
    assert_right(staged, CONTENT)
    assert staged.seal.digest == digest


def test_the_first_goes_alone_and_then_all_help(tmp_path: Path) -> None:
    """Until the source has let one in, one asks; then as many as may, and never more."""
    server = Server(CONTENT, latency=0.05)
    bring(server, tmp_path, using=tools(server, connections=4))
    first_body = next(at for at, request in server.requests if request.url.startswith(CDN))
    assert all(request.first == 0 for at, request in server.requests if at <= first_body)
    assert server.peak == 4


def test_the_signed_address_is_asked_for_once(tmp_path: Path) -> None:
    """The hub is asked once a file, and the others of the crew go straight to where it led."""
    server = Server(CONTENT)
    bring(server, tmp_path)
    assert [request.url for _, request in server.requests].count(HUB) == 1


def test_the_token_goes_to_the_hub_alone(tmp_path: Path) -> None:
    """Never along a redirect to another origin."""
    server = Server(CONTENT, addresses=2)
    bring(server, tmp_path)
    for _, request in server.requests:
        assert bool(request.headers) == (request.url == HUB)
        assert request.trusted == (request.url == HUB)


def test_an_address_that_expires_in_mid_file_is_renewed(tmp_path: Path) -> None:
    """Back to the hub for a new one, without a failure being counted or a wait."""
    server = Server(CONTENT, addresses=3)
    staged, meter = bring(server, tmp_path)
    assert_right(staged, CONTENT)
    assert meter.retries == 0
    assert [request.url for _, request in server.requests].count(HUB) > 1


@pytest.mark.parametrize("kept", [0, 100, 700])
def test_a_server_without_ranges(tmp_path: Path, kept: int) -> None:
    """It sends the whole file in one reply, and one reply is all that is needed, also to go on from the middle."""
    target = target_of(CONTENT)
    if kept:
        _keep(tmp_path, target, kept)
    server = Server(CONTENT, ranges=False)
    staged, _ = bring(server, tmp_path, target)
    assert_right(staged, CONTENT)
    assert server.sent == len(CONTENT)
    assert server.peak == 1


def _keep(folder: Path, target: Target, *ends: int) -> None:
    """A partial that has the bytes up to each of `ends`, as pieces."""
    from windlass.transfer.ledger import Piece

    partial = open_partial(folder, target.partial_name, target.identity, target.size)
    assert partial
    start = 0
    for end in ends:
        partial.write(start, CONTENT[start:end])
        partial.record([Piece(start, end - start, xxhash.xxh3_64_hexdigest(CONTENT[start:end]))])
        start = end
    partial.close()


def test_a_server_without_ranges_and_a_hole_behind(tmp_path: Path) -> None:
    """A kept piece that does not read back is brought by a second reply, as the first is past it."""
    target = target_of(CONTENT)
    _keep(tmp_path, target, 64, 700)
    with (tmp_path / f"{target.partial_name}.part").open("r+b") as file:
        file.write(b"!")
    server = Server(CONTENT, ranges=False)
    staged, meter = bring(server, tmp_path, target)
    assert_right(staged, CONTENT)
    assert meter.thrown_away == 64
    assert server.sent <= 2 * len(CONTENT)


# What was kept


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    """After a restart the kept pieces are checked, counted and not fetched."""
    target = target_of(CONTENT)
    _keep(tmp_path, target, 64, 128, 600)
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, target, tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert server.sent == 900
    assert (meter.fetched, meter.kept) == (900, 1500)


def test_one_flipped_byte_costs_one_piece(tmp_path: Path) -> None:
    """Bytes that changed on disk after they had come are found, and fetched again alone."""
    target = target_of(CONTENT)
    _keep(tmp_path, target, *range(64, 1473, 64))
    with (tmp_path / f"{target.partial_name}.part").open("r+b") as file:
        file.seek(300)
        file.write(bytes([CONTENT[300] ^ 1]))
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, target, tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert meter.thrown_away == 64
    assert server.sent == 64 + (1500 - 1472)


def test_a_disk_that_forgets_is_given_up(tmp_path: Path) -> None:
    """Written well, read back otherwise, again and again: the disk is at fault, and the error says so."""

    async def spoil_and_fetch() -> None:
        target = target_of(CONTENT)
        path = tmp_path / f"{target.partial_name}.part"
        server = Server(CONTENT)

        async def network(request: Request, receiver: Receiver) -> None:
            try:
                await server(request, receiver)
            finally:
                with path.open("r+b") as file:
                    file.write(bytes(len(CONTENT)))

        await fetch(target, tmp_path, tools(network), Meter(target.size))

    with pytest.raises(StorageUnavailable, match="does not give back"):
        run(spoil_and_fetch())


# Wrong bytes


def test_wrong_bytes_once_mend_themselves(tmp_path: Path) -> None:
    """Right size, wrong bytes, as received: all is fetched once more, and then it is right."""
    server = Server(CONTENT, script=[None, wrong])
    staged, meter = bring(server, tmp_path, using=tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert meter.thrown_away == len(CONTENT)
    assert "did not hash" in meter.note
    assert server.sent == 2 * len(CONTENT)


def test_wrong_bytes_always_end_and_leave_nothing(tmp_path: Path) -> None:
    """Two tries, then `checksum_mismatch`, and no partial that the next job would go on with."""
    server = Server(CONTENT, script=[None, *spoils([wrong], 500)])
    with pytest.raises(ChecksumMismatch) as caught:
        bring(server, tmp_path, using=tools(server, connections=1))
    assert target_of(CONTENT).digest in caught.value.message
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert server.sent <= 2 * len(CONTENT)


def test_a_listing_that_lies_ends_too(tmp_path: Path) -> None:
    """The promised hash is of something else."""
    with pytest.raises(ChecksumMismatch):
        bring(Server(CONTENT), tmp_path, replace(target_of(CONTENT), digest="ab" * 32))


# Giving up

_ENDS: list[tuple[str, Fault, type[WindlassError]]] = [
    ("dns", fails(Cause.DNS), HubUnreachable),
    ("refused", fails(Cause.CONNECT), HubUnreachable),
    ("silent", fails(Cause.SILENT), HubUnreachable),
    ("broken", fails(Cause.BROKEN), SourceFailure),
    ("cut at 0", cut(0), SourceFailure),
    ("stalled", cut(3, Cause.STALLED), SourceFailure),
    ("500", answers(500), SourceFailure),
    ("503", answers(503), HubRateLimited),
    ("429", answers(429), HubRateLimited),
    ("429 for long", answers(429, {"retry-after": "86400"}), HubRateLimited),
    ("416", answers(416), SourceFailure),
    ("204", answers(204), SourceFailure),
    ("gzip", answers(200, {"content-encoding": "gzip"}), SourceFailure),
    ("another range", elsewhere, SourceFailure),
    ("206 with nothing", without_body, SourceFailure),
    ("200 of another length", answers(200, {"content-length": "5"}, b"Hello"), SourceFailure),
    ("200 with nothing", answers(200), SourceFailure),
    ("redirect to nowhere", answers(302), SourceFailure),
    ("redirect to a file", answers(302, {"location": "file:///etc/passwd"}), UnsafeRedirect),
    ("redirect to metadata", answers(302, {"location": "https://169.254.169.254/"}), UnsafeRedirect),
    ("redirect down to http", answers(302, {"location": "http://cdn.test/"}), UnsafeRedirect),
    ("redirect loop", answers(302, {"location": HUB}), UnsafeRedirect),
    ("redirect between two", answers(302, {"location": CDN + "0"}), UnsafeRedirect),
    ("private by connection", fails(Cause.UNSAFE), UnsafeRedirect),
    ("certificate", fails(Cause.TLS), TLSFailure),
    ("401", answers(401), ModelGated),
    ("403", answers(403), ModelGated),
    ("404", answers(404), ModelNotFound),
    ("410", answers(410), ModelNotFound),
]


@pytest.mark.parametrize(("fault", "error"), [end[1:] for end in _ENDS], ids=[end[0] for end in _ENDS])
def test_what_never_ends_is_given_up(tmp_path: Path, fault: Fault, error: type[WindlassError]) -> None:
    """The same trouble over and over: an end within bounds, an error of the right kind, and nothing published."""
    server = Server(CONTENT, script=spoils([fault], 10_000), redirects=False)
    with pytest.raises(error) as caught:
        bring(server, tmp_path)
    assert type(caught.value) is error
    assert len(server.requests) < 100
    assert not list(tmp_path.glob("*.whole"))


@pytest.mark.parametrize(("fault", "error"), [end[1:] for end in _ENDS], ids=[end[0] for end in _ENDS])
def test_what_goes_wrong_for_good_in_mid_file_is_given_up(
    tmp_path: Path, fault: Fault, error: type[WindlassError]
) -> None:
    """As above after a good beginning: what has come is kept, and when the source has recovered the rest comes."""
    server = Server(CONTENT, script=[None, cut(100), *spoils([fault], 10_000)], redirects=False)
    with pytest.raises(WindlassError) as caught:
        bring(server, tmp_path, using=tools(server, connections=1))
    assert type(caught.value) is error
    healed = Server(CONTENT)
    staged, _ = bring(healed, tmp_path, using=tools(healed, connections=1))
    assert_right(staged, CONTENT)
    assert healed.sent <= len(CONTENT) - 64


def test_a_denial_at_the_first_request_is_believed_at_once(tmp_path: Path) -> None:
    """Nobody waits a minute to hear that a model is gated."""
    server = Server(CONTENT, script=spoils([answers(401)], 100), redirects=False)
    with pytest.raises(ModelGated):
        bring(server, tmp_path)
    assert len(server.requests) == 1


def test_a_denial_in_mid_file_is_asked_about_again(tmp_path: Path) -> None:
    """A hub that denies what it gave a moment ago may be confused; it gets a few more chances."""
    server = Server(CONTENT, script=[cut(200), answers(401), answers(404), None], redirects=False)
    staged, meter = bring(server, tmp_path)
    assert_right(staged, CONTENT)
    assert meter.retries >= 2


def test_an_address_that_is_never_good_is_given_up(tmp_path: Path) -> None:
    """Each new signed address answers 403 at once: bounded, and the reason is named."""
    server = Server(CONTENT, addresses=0)
    with pytest.raises(SourceFailure, match="403"):
        bring(server, tmp_path)
    assert len(server.requests) < 50


def test_patience_is_in_number_and_in_time(tmp_path: Path) -> None:
    """With the defaults: not before eight failures, not before 75 s, and not long after either."""

    async def timed() -> float:
        server = Server(CONTENT, script=spoils([answers(500)], 10_000), redirects=False)
        using = tools(server, persistence=Persistence())
        with pytest.raises(SourceFailure):
            await fetch(target_of(CONTENT), tmp_path, using, Meter(len(CONTENT)))
        assert len(server.requests) >= 8
        return asyncio.get_running_loop().time()

    assert 75 <= run(timed()) <= 75 + 25


# What the source asks for


@pytest.mark.parametrize("header", [{"retry-after": "55"}, {"ratelimit": '"resolvers";r=0;t=55'}])
def test_a_wait_that_is_asked_for_is_kept(tmp_path: Path, header: dict[str, str]) -> None:
    """429 with `Retry-After` or a spent `RateLimit`: no request before that time, then it goes on."""
    server = Server(CONTENT, script=[answers(429, header)], redirects=False)
    staged, _ = bring(server, tmp_path)
    assert_right(staged, CONTENT)
    (first, _), (second, _), *_ = server.requests
    assert 55 <= second - first <= 60


@pytest.mark.parametrize("told", [1, 3, 6])
def test_a_wait_asked_of_some_is_kept_by_all(tmp_path: Path, told: int) -> None:
    """Some of a crew are turned away in mid-file: nobody asks before the time, and none is hired to."""
    content = CONTENT * 4
    limit = answers(429, {"retry-after": "55"})
    server = Server(content, [None, None, None, None, *[limit] * told], redirects=False, rate=500)
    staged, _ = bring(server, tmp_path, using=tools(server, connections=4))
    assert_right(staged, content)
    times = [at for at, _ in server.requests]
    told_at = times[4 : 4 + min(told, 4)]
    assert not [at for at in times if told_at[-1] + 0.1 < at < told_at[0] + 55]


def test_a_wait_too_long_for_us_ends_it_for_all(tmp_path: Path) -> None:
    """One of a crew is told to come back tomorrow: an error that says so, not a job that sleeps a day."""
    server = Server(CONTENT, [None, None, *spoils([answers(429, {"retry-after": "86400"})], 50)], redirects=False)
    with pytest.raises(HubRateLimited) as caught:
        bring(server, tmp_path)
    assert caught.value.retry_after == pytest.approx(86400, abs=60)


def test_trouble_of_one_does_not_stop_the_others(tmp_path: Path) -> None:
    """One connection of four is refused: it is withdrawn, the others go on, and it comes back when it is calm."""
    content = CONTENT * 10
    server = Server(content, script=[None, None, answers(503)], redirects=False, rate=200)
    staged, meter = bring(server, tmp_path, using=tools(server, connections=4))
    assert_right(staged, content)
    assert meter.retries == 1
    assert server.peak == 4


def test_a_dead_address_is_left_for_a_new_one(tmp_path: Path) -> None:
    """The CDN's node dies with its address: the hub is asked again, and its new address leads elsewhere."""

    async def dying() -> Staged:
        server = Server(CONTENT)

        async def network(request: Request, receiver: Receiver) -> None:
            if request.url == f"{CDN}0" and server.sent > 300:
                server.requests.append((0.0, request))
                await asyncio.sleep(0.1)
                await _refuse()
            await server(request, receiver)

        return await fetch(target_of(CONTENT), tmp_path, tools(network), Meter(len(CONTENT)))

    assert_right(run(dying()), CONTENT)


async def _refuse() -> None:
    from windlass.transfer.network import Cut

    raise Cut(Cause.CONNECT, "refused")


def test_fewer_connections_are_felt_at_once(tmp_path: Path) -> None:
    """The number is asked for anew each time, so a change in mid-file holds from the next segment on."""
    content = CONTENT * 10
    server = Server(content, rate=500)
    most = 6

    async def change() -> Staged:
        nonlocal most
        using = replace(tools(server), connections=lambda: most)
        task = asyncio.create_task(fetch(target_of(content), tmp_path, using, Meter(len(content))))
        await asyncio.sleep(1.0)
        most = 1
        server.peak = 0
        await asyncio.sleep(3.5)
        server.peak = server.open
        return await task

    assert_right(run(change()), content)
    assert server.peak == 1


@pytest.mark.parametrize("rate", [200, 1000])
def test_a_limit_holds_over_all_connections(tmp_path: Path, rate: int) -> None:
    """The slower of two limits counts; the time that the file takes says so."""
    content = CONTENT * 8

    async def timed() -> float:
        server = Server(content, rate=100_000)
        using = tools(server, paces=(Pace(rate), Pace(rate * 5)))
        await fetch(target_of(content), tmp_path, using, Meter(len(content)))
        return asyncio.get_running_loop().time()

    assert run(timed(), within=1e6) == pytest.approx(len(content) / rate, rel=0.1)


# Two at one partial


def test_a_second_writer_waits_and_finds_it_done(tmp_path: Path) -> None:
    """Two jobs want the same file: one fetches, the other waits, and the bytes come once."""
    server = Server(CONTENT)

    async def both() -> list[Staged]:
        target = target_of(CONTENT)
        return await asyncio.gather(*(fetch(target, tmp_path, tools(server), Meter(target.size)) for _ in range(2)))

    for staged in run(both()):
        assert_right(staged, CONTENT)
    assert [request.url for _, request in server.requests].count(HUB) == 1


def test_a_second_writer_whose_partial_is_gone_is_told(tmp_path: Path) -> None:
    """The first one's file was published meanwhile: look again."""
    target = target_of(CONTENT)
    partial = open_partial(tmp_path, target.partial_name, target.identity, target.size)
    assert partial

    async def wait() -> None:
        waiting = asyncio.create_task(fetch(target, tmp_path, tools(Server(CONTENT)), Meter(target.size)))
        await asyncio.sleep(1)
        partial.path.rename(tmp_path / "published")
        with pytest.raises(Overtaken):
            await waiting

    run(wait())
    partial.close()


# Kills


async def _killed_at(moment: float, fetching: asyncio.Task[Staged], folder: Path) -> Path | None:
    """The disk as a SIGKILL at that moment leaves it, as a new folder; None if the fetch was over by then."""
    await asyncio.wait([fetching], timeout=moment)
    if fetching.done():
        return None
    after = Path(tempfile.mkdtemp(dir=folder.parent))
    shutil.copytree(folder, after, dirs_exist_ok=True)
    fetching.cancel()
    await asyncio.wait([fetching])
    return after


async def _through_kills(server: Server, moments: list[float], folder: Path, using: Tools) -> Staged:
    target = target_of(server.content)
    for moment in moments:
        fetching = asyncio.create_task(fetch(target, folder, using, Meter(target.size)))
        after = await _killed_at(moment, fetching, folder)
        if after is None:
            return await fetching
        folder = after
    return await fetch(target, folder, using, Meter(target.size))


@often
@given(
    content=st.binary(max_size=1500),
    moments=st.lists(st.floats(0.0, 1.5), max_size=6),
    connections=st.integers(1, 5),
    latency=st.sampled_from([0.001, 0.03, 0.3]),
)
def test_killed_anywhere_it_goes_on_and_fetches_little_twice(
    content: bytes, moments: list[float], connections: int, latency: float
) -> None:
    """At any moment, any number of times: the end is right, and a kill costs at most one tick of traffic."""
    server = Server(content, latency=latency, rate=1000)
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "0"
        first.mkdir()
        staged = run(_through_kills(server, moments, first, tools(server, connections=connections)))
        assert staged.path.read_bytes() == content
    per_kill = connections * (server.rate * TICK + 2 * server.block)
    assert server.sent <= len(content) + len(moments) * per_kill


# Everything at once

_RECOVERABLE: list[Fault] = [
    cut(0),
    cut(1),
    cut(40),
    cut(333),
    cut(100, Cause.STALLED),
    fails(Cause.DNS),
    fails(Cause.CONNECT),
    fails(Cause.SILENT),
    answers(500),
    answers(502, body=b"<html>"),
    answers(503, {"retry-after": "2"}),
    answers(429, {"ratelimit": '"resolvers";r=0;t=3'}),
    answers(408),
    answers(416),
    answers(302),
    answers(200, {"content-length": "70000"}, b"captive"),
    answers(200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
    without_body,
    shortened,
    lengthened,
    elsewhere,
]

_faults = st.lists(st.none() | st.sampled_from(_RECOVERABLE), max_size=12)


@often
@given(
    content=st.binary(max_size=1500),
    script=_faults,
    moments=st.lists(st.floats(0.0, 6.0), max_size=3),
    connections=st.integers(1, 5),
    ranges=st.booleans(),
    addresses=st.sampled_from([1, 2, 5, 1 << 30]),
    limit=st.sampled_from([None, 300, 100_000]),
)
def test_any_faults_that_end_and_any_kills_end_right(
    content: bytes,
    script: list[Fault | None],
    moments: list[float],
    connections: int,
    ranges: bool,
    addresses: int,
    limit: int | None,
) -> None:
    """Faults in any order, kills at any moment, with and without ranges and limits, addresses that expire."""
    server = Server(content, script, ranges=ranges, addresses=addresses)
    using = tools(server, connections=connections, paces=(Pace(limit),), persistence=Persistence(40, 120.0))
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "0"
        first.mkdir()
        staged = run(_through_kills(server, moments, first, using))
        assert staged.path.read_bytes() == content
        assert staged.seal.sha256 == hashlib.sha256(content).hexdigest()


@often
@given(content=st.binary(min_size=1, max_size=1000), script=_faults, spoilt=st.integers(0, 8), ranges=st.booleans())
def test_wrong_bytes_among_the_faults_never_get_out(
    content: bytes, script: list[Fault | None], spoilt: int, ranges: bool
) -> None:
    """One reply of many is wrong: the file is right in the end, or the error says that it is not."""
    server = Server(content, [*script[:spoilt], wrong, *script[spoilt:]], ranges=ranges)
    using = tools(server, persistence=Persistence(40, 120.0))
    with tempfile.TemporaryDirectory() as folder:
        staged, _ = bring(server, Path(folder), using=using)
        assert staged.path.read_bytes() == content


@often
@given(moment=st.floats(0.0, 3.0), script=_faults)
def test_stopped_anywhere_it_lets_go_and_keeps(moment: float, script: list[Fault | None]) -> None:
    """Cancelled at any moment: nothing is left running or locked, all that came is kept, and the rest comes later."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(CONTENT, script)
        meter = Meter(len(CONTENT))

        async def stop() -> None:
            task = asyncio.create_task(fetch(target_of(CONTENT), folder, tools(server), meter))
            await asyncio.wait([task], timeout=moment)
            task.cancel()
            await asyncio.wait([task])
            assert len(asyncio.all_tasks()) == 1

        run(stop())
        healed = Server(CONTENT)
        staged, _ = bring(healed, folder, using=tools(healed, connections=1))
        assert_right(staged, CONTENT)
        assert healed.sent == len(CONTENT) - meter.kept
        assert (server.open, meter.connections) == (0, 0)


def test_a_bug_in_the_network_comes_out_as_it_is(tmp_path: Path) -> None:
    """What nobody expected is not swallowed, retried or turned into a story."""

    async def network(_request: Request, _receiver: Receiver) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fetch(target_of(CONTENT), tmp_path, tools(network), Meter(len(CONTENT))))
