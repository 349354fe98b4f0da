"""Clocks that jump, and machines that sleep: neither the wrong year nor a night in a bag ends a transfer."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from transfer.bringing import CONTENT, Way, assert_right, both_ways, bring
from transfer.invented import Fault, Server, answers, cut, fails, target_of, tools
from transfer.virtual_time import VirtualLoop, run
from windlass.errors import HubRateLimited, HubUnreachable
from windlass.transfer import source as sources
from windlass.transfer.meter import Meter
from windlass.transfer.network import Cause, Cut, Receiver, Request
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged, Tools

pytestmark = pytest.mark.usefixtures("small_chunks")

YEAR = 365 * 86_400.0
NOW = 1_800_000_000.0
HOUR = 3600.0

# The wall clock

_SCRIPT: list[Fault | None] = [
    None,
    cut(100),
    answers(429, {"retry-after": "20"}),
    answers(503, {"ratelimit": '"resolvers";r=0;t=7'}),
    None,
    cut(333),
    answers(500),
]


@both_ways
@pytest.mark.parametrize("jumps", [[0, 30], [0, -30], [30, -30, 0.5], [-50, 0, 50, 100]], ids=str)
def test_a_wall_clock_that_jumps_by_years_changes_nothing(tmp_path: Path, way: Way, jumps: list[float]) -> None:
    """In either direction, at every look at it: the same requests at the same moments as on a quiet clock."""

    def requests(folder: Path, clock: Callable[[], float]) -> list[Any]:
        server = Server(CONTENT, list(_SCRIPT))
        persistence = Persistence(failures=10, seconds=100.0)
        staged, _ = bring(server, folder, using=tools(server, wall_clock=clock, persistence=persistence), way=way)
        assert_right(staged, CONTENT)
        return server.requests

    years = itertools.cycle(jumps)
    jumping = requests(tmp_path / "a", lambda: NOW + next(years) * YEAR)
    assert jumping == requests(tmp_path / "b", lambda: NOW)


@both_ways
def test_a_date_is_read_by_the_wall_clock(tmp_path: Path, way: Way) -> None:
    """`Retry-After` may be a date; a clock that is ahead finds it past, and one far behind says so and gives up."""
    date = {"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}  # NOW and 30 s

    def waited(behind: float) -> float:
        server = Server(CONTENT, [answers(429, date)], redirects=False)
        using = tools(server, wall_clock=lambda: NOW - behind)
        bring(server, tmp_path / f"{behind}", using=using, way=way)
        (first, _), (second, _), *_ = server.requests
        return second - first

    assert 30 <= waited(0) <= 32
    assert 50 <= waited(20) <= 52
    assert waited(-20 * YEAR) <= 2
    with pytest.raises(HubRateLimited):
        waited(20 * YEAR)


# Sleep


@dataclass
class Machine:
    """A server and a machine that sleeps now and then, after which every connection it had is dead.

    `counts`: whether the loop's clock goes on meanwhile, as it does on some systems. On Linux it does not, and the dead
    connections are found by their silence, 20 s after waking.
    """

    server: Server
    counts: bool
    nights: int = 0
    _awake: "asyncio.Future[None] | None" = None
    _dead: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        exchange = asyncio.create_task(self.server(request, receiver))
        self._dead.add(exchange)
        try:
            await asyncio.wait([exchange])
            if exchange.cancelled():
                await asyncio.sleep(0 if self.counts else 20)
                raise Cut(Cause.STALLED, "fewer than 1 bytes came in 20 s")
            await exchange
        finally:
            exchange.cancel()
            self._dead.discard(exchange)

    def sleep(self, seconds: float) -> None:
        """Now; when this returns it is morning."""
        self.nights += 1
        if self.counts:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.leap(seconds)
        for exchange in self._dead:
            exchange.cancel()


def awake(work: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


async def slept_through(machine: Machine, way: Way, folder: Path, using: Tools, moments: list[float]) -> Staged:
    """Fetch, and fall asleep at each of these moments (seconds after the last waking)."""
    target = target_of(machine.server.content)
    task = asyncio.create_task(way(target, folder, using, Meter(target.size)))
    for moment in moments:
        await asyncio.sleep(moment)
        machine.sleep(HOUR)
    return await task


@both_ways
@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("moments", [[0.005], [0.7], [0.1] * 12, [0.3, 25, 0.2, 30, 0.05]], ids=str)
def test_after_a_sleep_it_goes_on(tmp_path: Path, way: Way, counts: bool, moments: list[float]) -> None:
    """With the first request on its way, in the middle, again and again: the dead are dropped, and others ask."""
    server = Server(CONTENT, rate=500)
    machine = Machine(server, counts)
    using = tools(machine, persistence=Persistence())
    staged = awake(slept_through(machine, way, tmp_path, using, moments))
    assert_right(staged, CONTENT)
    assert machine.nights == len(moments)


@both_ways
@pytest.mark.parametrize("before", [1, 7])
@pytest.mark.parametrize("after", [0, 1, 6])
def test_trouble_before_a_sleep_is_not_held_against_the_morning(
    tmp_path: Path, way: Way, before: int, after: int
) -> None:
    """Almost given up in the evening, and in the morning the network takes a while: the count begins anew."""
    script = [None, cut(100), *[fails(Cause.DNS)] * (before + after)]
    server = Server(CONTENT, script)
    machine = Machine(server, counts=True)
    using = tools(machine, connections=1, persistence=Persistence())

    async def night() -> Staged:
        target = target_of(CONTENT)
        task = asyncio.create_task(way(target, tmp_path, using, Meter(target.size)))
        while len(server.script) > after:
            await asyncio.sleep(0.01)
        machine.sleep(HOUR)
        return await task

    assert_right(awake(night()), CONTENT)


@both_ways
def test_a_source_that_is_away_for_good_is_given_up_between_the_nights(tmp_path: Path, way: Way) -> None:
    """Sleep forgives, but not what fails while we are awake."""
    server = Server(CONTENT, [fails(Cause.DNS)] * 10_000)
    machine = Machine(server, counts=True)
    using = tools(machine, persistence=Persistence())
    with pytest.raises(HubUnreachable):
        awake(slept_through(machine, way, tmp_path, using, [10.0, 10.0]))
    assert len(server.requests) < 60


@both_ways
def test_asleep_while_the_source_wants_peace(tmp_path: Path, way: Way) -> None:
    """What it asked for is over in the morning; it is asked at once, and once is enough."""
    server = Server(CONTENT, [answers(429, {"retry-after": "250"})], redirects=False)
    machine = Machine(server, counts=True)
    staged = awake(slept_through(machine, way, tmp_path, tools(machine), [5.0]))
    assert_right(staged, CONTENT)
    (first, _), (second, _), *_ = server.requests
    assert HOUR <= second - first <= HOUR + 10


@both_ways
@pytest.mark.parametrize("files", [1, 2])
def test_waits_that_are_asked_for_are_no_sleep(tmp_path: Path, way: Way, files: int) -> None:
    """A source that says `later` for ever, with waits as long as we bear: it is given up all the same.

    Of two files the second waits because of what the first was told, and that is no sleep either.
    """
    server = Server(CONTENT, [answers(429, {"retry-after": "305"})] * 10_000, redirects=False)
    chances = itertools.cycle([0.0, 0.9])  # one of two always comes back a moment before the other
    using = replace(tools(server, persistence=Persistence(failures=4)), chance=lambda: next(chances))

    async def ask(name: str) -> None:
        with pytest.raises(HubRateLimited):
            await way(target_of(CONTENT, name=name), tmp_path, using, Meter(len(CONTENT)))

    async def ask_for_all() -> None:
        await asyncio.gather(*(ask(f"{n}.gguf") for n in range(files)))

    run(ask_for_all(), within=4 * HOUR)
    assert len(server.requests) <= 5 * files
    assert sources._ASLEEP < 305
