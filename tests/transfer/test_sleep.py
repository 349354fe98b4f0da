"""A machine that slept, on real sockets: every connection it had is open still, and dead."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable

import pytest

from standin import Hub, Request, faults
from transfer.fetching import BIG, CONTENT, MIB, PATH, REPO, Fetcher
from windlass.transfer.meter import Meter

MANY = {f"part-{n}.json": b"%d" % n * 200 for n in range(80)}


def at_request(number: int, action: Callable[[], object]) -> Callable[[Request], faults.Fault | None]:
    """A decision of the hub's that acts before it answers the n-th request of all."""
    numbers = itertools.count(1)

    def decide(_: Request) -> faults.Fault | None:
        return faults.do(action) if next(numbers) == number else None

    return decide


def _mute(hub: Hub) -> Callable[[], None]:
    def mute() -> None:
        hub.server.mute()
        hub.cdn.mute()

    return mute


@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_segments_of_a_large_file_go_on_over_new_connections(fetcher: Fetcher, number: int) -> None:
    """The silent ones are dropped, one failure each at most, and what they had brought stays."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    hub.decide = at_request(number, _mute(hub))
    begun = time.monotonic()
    staged = fetcher.bring()[0]
    assert staged.path.read_bytes() == BIG
    assert time.monotonic() - begun < 10
    assert fetcher.meters[0].retries <= 2 * fetcher.connections
    assert hub.sent(PATH) <= len(BIG) + fetcher.connections * 8 * MIB  # what lay in the kernel's buffers is lost


@pytest.mark.parametrize("number", [1, 30, 100])
def test_many_small_files_go_on_over_new_connections(fetcher: Fetcher, number: int) -> None:
    """Also where kept connections look as good as ever, and a request goes to one that is dead."""
    hub = fetcher.hub
    hub.repositories[REPO].push(MANY)
    hub.decide = at_request(number, _mute(hub))
    begun = time.monotonic()
    staged = fetcher.bring(*MANY)
    assert [one.path.read_bytes() for one in staged] == list(MANY.values())
    assert time.monotonic() - begun < 10


def test_kept_connections_that_are_dead_are_not_tried_one_after_the_other(fetcher: Fetcher) -> None:
    """A dozen of them look as good as ever: one failure tells enough, and the next try is over a new connection."""
    hub = fetcher.hub
    hub.repositories[REPO].push(MANY)
    hub.address_uses = 1  # each segment asks the hub for an address
    gate = threading.Event()
    hub.misbehave("cdn", faults.hold(gate, after=MIB))
    large, small = fetcher.target(), [fetcher.target(path) for path in MANY]
    meters = [Meter(target.size) for target in (large, *small)]

    async def sleep() -> None:
        task = asyncio.create_task(fetcher._run(list(zip((large, *small), meters, strict=True))))
        while not all(meter.kept == meter.size for meter in meters[1:]):
            await asyncio.sleep(0.01)
        _mute(hub)()
        await task

    asyncio.run(sleep())
    assert hub.server.connections >= 10
    assert meters[0].retries <= 3


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock went on in the sleep."""

    slept = 0.0

    def time(self) -> float:
        return super().time() + self.slept


@pytest.mark.parametrize("alive", [True, False])
def test_a_clock_that_went_on_in_the_sleep(either: Fetcher, alive: bool) -> None:
    """Every timer is due at once, the watchdogs' too: whether the connections live or not, it goes on."""
    hub, loop, target = either.hub, LeapingLoop(), either.target()

    def sleep() -> None:
        loop.slept += 3600
        if not alive:
            _mute(hub)()

    hub.decide = at_request(2, sleep)
    hub.rate = 4 * len(CONTENT)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        staged = runner.run(either._run([(target, Meter(target.size))]))[0]
    assert staged.path.read_bytes() == either.content
    assert loop.slept == 3600
