"""A crew of connections whose source fails: it is given up when all fail, and not when one does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from transfer.bringing import CONTENT, assert_right, bring
from transfer.invented import CDN, HUB, Reply, Server, answers, target_of, tools
from transfer.virtual_time import run
from windlass.errors import HubUnreachable, ModelGated
from windlass.transfer import crew, fetch, segments
from windlass.transfer.fetch import fetch as fetch_file
from windlass.transfer.meter import Meter
from windlass.transfer.network import Cause, Cut, Receiver, Request
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged
from windlass.transfer.throttle import Throttle

pytestmark = pytest.mark.usefixtures("small_chunks")
LONG = CONTENT * 10


class After:
    """A server that is well until it has sent so many bytes; from then on, `then` answers."""

    def __init__(self, server: Server, sent: int, then: Callable[[int], Any]) -> None:
        self._server, self._sent, self._then = server, sent, then
        self.asked = 0

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        if self._server.sent >= self._sent:
            self.asked += 1
            await self._then(self.asked)
        await self._server(request, Until(receiver, self))

    @property
    def is_over(self) -> bool:
        return self._server.sent >= self._sent


class Until:
    """Passes a reply on, and cuts it when the server's time is over."""

    def __init__(self, receiver: Receiver, after: After) -> None:
        self.head, self._receiver, self._after = receiver.head, receiver, after

    def body(self, data: bytes) -> "asyncio.Future[Any] | None":
        if self._after.is_over:
            raise Cut(Cause.BROKEN, "its time is over")
        return self._receiver.body(data)


@pytest.mark.parametrize("seconds", [0.1, 15.0, 45.0])
@pytest.mark.parametrize("connections", [1, 2, 8])
def test_a_source_that_goes_silent_for_all_is_given_up(tmp_path: Path, seconds: float, connections: int) -> None:
    """However long a failure takes and however many meet it out of step: within minutes, with the right words."""

    async def silent(asked: int) -> None:
        await asyncio.sleep(seconds + asked % 3)
        raise Cut(Cause.CONNECT, "no answer")

    network = After(Server(LONG, rate=3000), len(LONG) // 2, silent)
    using = tools(network, connections=connections, persistence=Persistence())
    with pytest.raises(HubUnreachable):
        run(fetch_file(target_of(LONG), tmp_path, using, Meter(len(LONG))), within=900.0)
    assert network.asked < 200


def test_a_hub_that_denies_all_at_once_and_then_is_well(tmp_path: Path) -> None:
    """Eight connections are told 401 in one moment: that is one hiccup, not eight."""
    server, denied = Server(LONG, rate=500, redirects=False), list[Request]()

    async def denying(request: Request, receiver: Receiver) -> None:
        if server.sent >= len(LONG) // 2 and len(denied) < 8:
            denied.append(request)
            server.script.insert(0, answers(401))
        await server(request, receiver)

    staged, meter = bring(server, tmp_path, target_of(LONG), tools(denying, connections=8, persistence=Persistence()))
    assert_right(staged, LONG)
    assert meter.retries >= 8


def test_a_hub_that_denies_for_good_in_mid_file(tmp_path: Path) -> None:
    """It is believed in the end, by a crew as well."""
    server = Server(LONG, rate=500, redirects=False)

    async def denying(request: Request, receiver: Receiver) -> None:
        if server.sent >= len(LONG) // 2:
            server.script.insert(0, answers(401))
        await server(request, receiver)

    with pytest.raises(ModelGated):
        bring(server, tmp_path, target_of(LONG), tools(denying, connections=8, persistence=Persistence()))
    assert len(server.requests) < 200


def test_nodes_that_send_on_one_after_the_other(tmp_path: Path) -> None:
    """A CDN that leads each request to another node has no redirect without an end."""
    server = Server(LONG, redirects=False)
    nodes = iter(range(1, 1000))
    asked: list[str] = []

    async def leading(request: Request, receiver: Receiver) -> None:
        fresh = request.url not in asked
        asked.append(request.url)
        if request.url == HUB or not fresh:
            server.script.insert(0, lambda _: Reply(302, {"location": f"{CDN}node-{next(nodes)}"}))
        await server(request, receiver)

    staged, meter = bring(server, tmp_path, target_of(LONG), tools(leading, connections=1))
    assert_right(staged, LONG)
    assert len(set(asked)) > 10
    assert meter.retries == 0


# One slow connection


def test_a_slow_connection_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has left is handed to another one, which has it in a moment."""
    monkeypatch.setattr(crew, "_ENOUGH", 64)
    monkeypatch.setattr(segments, "SHORTEST_SPLIT", 512)
    server, seconds = Server(CONTENT, rate=10_000, block=16), list[float]()
    slow = Server(CONTENT, rate=1.0, block=1)
    requests = 0

    async def uneven(request: Request, receiver: Receiver) -> None:
        nonlocal requests
        requests += 1
        await (slow if requests == 3 else server)(replace(request, url=HUB), receiver)

    server.redirects = slow.redirects = False
    meter = Meter(len(CONTENT))

    async def timed() -> Staged:
        using = tools(uneven, connections=4)
        staged = await fetch_file(target_of(CONTENT), tmp_path, using, meter)
        seconds.append(asyncio.get_running_loop().time())
        return staged

    assert_right(run(timed()), CONTENT)
    assert slow.sent > 0
    assert seconds[0] < 15
    assert meter.fetched <= len(CONTENT) + 64


@pytest.mark.parametrize("limited", [True, False])
def test_a_line_that_becomes_slow_is_not_blamed_on_its_connections(
    tmp_path: Path, limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a limit that is set in mid-file, or by itself: they are not given up again and again."""
    monkeypatch.setattr(crew, "_ENOUGH", 64)
    monkeypatch.setattr(segments, "SHORTEST_SPLIT", 512)
    server, throttle = Server(CONTENT, rate=10_000, block=4, redirects=False), Throttle()
    lane = throttle.lane()

    async def slower() -> Staged:
        using = tools(server, connections=4, lane=lane)
        task = asyncio.create_task(fetch_file(target_of(CONTENT), tmp_path, using, Meter(len(CONTENT))))
        while server.sent < len(CONTENT) - 100:  # some connections are free by now
            await asyncio.sleep(0.001)
        if limited:
            throttle.bucket.rate = 1
        else:
            server.rate = 1.0
        return await task

    assert_right(run(slower()), CONTENT)
    assert len(server.requests) <= 24 + 2  # one for each segment, and for each connection that was given up once


@pytest.mark.parametrize(
    ("left", "taken", "seconds", "best", "late"),
    [
        (8_000_000, 10_000, 10.0, 50e6, True),  # 1 kB/s where others have 50 MB/s
        (8_000_000, 10_000, 9.0, 50e6, False),  # not yet known to be slow
        (8_000_000, 40_000_000, 10.0, 50e6, False),  # two seconds more
        (8_000_000, 8_000_000, 10.0, 3e6, False),  # ten seconds more, as they all are
        (8_000_000, 10_000, 10.0, 0.0, False),  # nobody was faster
        (8_000_000, 10_000, 20.0, 2000.0, False),  # nobody was much faster
        (8_000_000, 0, 30.0, 50e6, True),
        (0, 0, 30.0, 50e6, False),
    ],
)
def test_who_is_late(left: int, taken: int, seconds: float, best: float, late: bool) -> None:
    """Slow by itself, slow beside the others, and with so much left that it matters: all three."""
    assert crew.is_late(left, taken, seconds, best) == late


def test_a_short_exchange_tells_no_speed() -> None:
    """A kilobyte in no time is no gigabyte a second."""
    assert crew.speed_of(1000, 0.000001) == 0.0
    assert crew.speed_of(10_000_000, 2.0) == 5e6
    assert crew.speed_of(10_000_000, -1.0) == 0.0
    assert Persistence().seconds > fetch._WELL
