"""A source that fails: it is given up in the end, in the right words, and asked no sooner than it wants."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from transfer.bringing import CONTENT, Way, assert_right, both_ways, bring
from transfer.invented import (
    CDN,
    HUB,
    Fault,
    Server,
    answers,
    cut,
    elsewhere,
    fails,
    spoils,
    target_of,
    tools,
    without_body,
)
from transfer.virtual_time import run
from windlass.errors import (
    HubRateLimited,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    SourceFailure,
    TLSFailure,
    UnsafeRedirect,
    WindlassError,
)
from windlass.transfer.fetch import fetch
from windlass.transfer.meter import Meter
from windlass.transfer.network import Cause, Cut, Receiver, Request
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged
from windlass.transfer.throttle import Throttle

pytestmark = pytest.mark.usefixtures("small_chunks")

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
    ("200 with a short page", answers(200, body=b"<html>Please sign in to the network</html>"), SourceFailure),
    ("200 with a longer page", answers(200, body=b"<p>Please sign in to the network" * 10), SourceFailure),
    ("206 with a little", lambda reply: replace(reply, body=reply.body[:1]), SourceFailure),
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


@both_ways
@pytest.mark.parametrize(("fault", "error"), [end[1:] for end in _ENDS], ids=[end[0] for end in _ENDS])
def test_what_never_ends_is_given_up(tmp_path: Path, fault: Fault, error: type[WindlassError], way: Way) -> None:
    """The same trouble over and over: an end within bounds, an error of the right kind, and nothing published."""
    server = Server(CONTENT, script=spoils([fault], 10_000), redirects=False)
    with pytest.raises(error) as caught:
        bring(server, tmp_path, way=way)
    assert type(caught.value) is error
    assert len(server.requests) < 100
    assert not list(tmp_path.glob("*.whole"))


@both_ways
@pytest.mark.parametrize(("fault", "error"), [end[1:] for end in _ENDS], ids=[end[0] for end in _ENDS])
def test_what_goes_wrong_for_good_in_mid_file_is_given_up(
    tmp_path: Path, fault: Fault, error: type[WindlassError], way: Way
) -> None:
    """As above after a good beginning: of a large file what has come is kept, and later the rest comes."""
    beginning = [None, cut(100)] if way is fetch else [cut(100)]  # a small one comes in one reply
    server = Server(CONTENT, script=[*beginning, *spoils([fault], 10_000)], redirects=False)
    with pytest.raises(WindlassError) as caught:
        bring(server, tmp_path, using=tools(server, connections=1), way=way)
    assert type(caught.value) is error
    healed = Server(CONTENT)
    staged, _ = bring(healed, tmp_path, using=tools(healed, connections=1), way=way)
    assert_right(staged, CONTENT)
    assert healed.sent <= len(CONTENT) - (64 if way is fetch else 0)


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


@both_ways
@pytest.mark.parametrize("told", [1, 3])
def test_a_wait_that_the_cdn_asks_for_is_kept_too(tmp_path: Path, told: int, way: Way) -> None:
    """It stands behind a redirect: neither it nor the hub before it is asked in that time."""
    content = CONTENT * 2
    limit = answers(429, {"retry-after": "55"})
    server = Server(content, [None, cut(100), None, *[limit, None] * told])
    using = tools(server, connections=1, persistence=Persistence(10, 5.0))
    staged, _ = bring(server, tmp_path, using=using, way=way)
    assert_right(staged, content)
    times = [at for at, _ in server.requests]
    waits = [later - at for at, later in itertools.pairwise(times) if later - at > 10]
    assert waits == pytest.approx([55.5] * told, abs=1)


@both_ways
def test_a_wait_that_one_file_was_told_of_holds_for_all(tmp_path: Path, way: Way) -> None:
    """Another one, which begins later and is led to the same CDN, does not ask there before the time."""
    server = Server(CONTENT, [None, answers(429, {"retry-after": "55"})])
    using = tools(server)

    async def both() -> list[Staged]:
        files = [target_of(CONTENT, name=name) for name in ("a.gguf", "b.gguf")]
        first, second = (way(file, tmp_path, using, Meter(file.size)) for file in files)
        begun = asyncio.create_task(first)
        await asyncio.sleep(5)
        return [await second, await begun]

    for staged in run(both()):
        assert_right(staged, CONTENT)
    (told, _), *later = [(at, request) for at, request in server.requests if request.url.startswith(CDN)]
    assert min(at for at, _ in later) >= told + 55


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
    server, refused_at = Server(content, redirects=False, rate=200), list[float]()
    meter, busy = Meter(len(content)), list[tuple[float, int]]()

    async def refusing_a_fourth(request: Request, receiver: Receiver) -> None:
        if server.open == 3 and not refused_at:
            refused_at.append(asyncio.get_running_loop().time())
            server.script.append(answers(503))
        await server(request, receiver)

    async def watched() -> Staged:
        task = asyncio.create_task(fetch(target_of(content), tmp_path, tools(refusing_a_fourth, connections=4), meter))
        while not task.done():
            busy.append((asyncio.get_running_loop().time(), server.open))
            await asyncio.sleep(0.05)
        return await task

    assert_right(run(watched()), content)
    assert meter.retries == 1
    [refused] = refused_at
    assert {count for at, count in busy if refused + 0.1 < at < refused + 4.5} == {3}
    assert max(count for at, count in busy if at > refused + 5.5) == 4


def test_a_dead_address_is_left_for_a_new_one(tmp_path: Path) -> None:
    """The CDN's node dies with its address: the hub is asked again, and its new address leads elsewhere."""

    async def dying() -> Staged:
        server = Server(CONTENT)

        async def network(request: Request, receiver: Receiver) -> None:
            if request.url == f"{CDN}0" and server.sent > 300:
                server.requests.append((0.0, request))
                await asyncio.sleep(0.1)
                raise Cut(Cause.CONNECT, "refused")
            await server(request, receiver)

        return await fetch(target_of(CONTENT), tmp_path, tools(network), Meter(len(CONTENT)))

    assert_right(run(dying()), CONTENT)


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
        using = tools(server, lane=Throttle(rate).lane(rate * 5))
        await fetch(target_of(content), tmp_path, using, Meter(len(content)))
        return asyncio.get_running_loop().time()

    assert run(timed(), within=1e6) == pytest.approx(len(content) / rate, rel=0.1)
