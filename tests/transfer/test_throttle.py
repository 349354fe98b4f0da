"""Limits: what passes in a time, who gets it, and what a change does. In virtual time."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.virtual_time import run
from windlass.transfer.run import Allowance
from windlass.transfer.throttle import Bucket, Lane, Throttle

MB = 1_000_000
FOREVER = 1e9  # seconds; more than any test takes


class Connection:
    """Takes pieces of one size for as long as it may, each as soon as it may."""

    def __init__(self, lane: Lane, piece: int = 16_384) -> None:
        self.taken: list[tuple[float, int]] = []
        self._allowance = Allowance(lane)
        self._piece = piece

    @property
    def total(self) -> int:
        """Bytes so far."""
        return sum(size for _, size in self.taken)

    async def take(self, seconds: float = FOREVER, pieces: int = 1 << 30) -> int:
        """For so many seconds, or so many pieces; answers the bytes."""
        try:
            async with asyncio.timeout(seconds):
                for _ in range(pieces):
                    while held_back := self._allowance.wait():
                        await asyncio.wait([held_back])
                    self._allowance.take(self._piece)
                    self.taken.append((asyncio.get_running_loop().time(), self._piece))
        except TimeoutError:
            pass
        finally:
            self._allowance.close()
        return self.total


async def share(seconds: float, *connections: Connection) -> list[int]:
    """What each takes when all take as much as they may."""
    return await asyncio.gather(*(connection.take(seconds) for connection in connections))


@pytest.mark.parametrize("rate", [MB, 20 * MB, 300 * MB, 1000 * MB])
@pytest.mark.parametrize("piece", [1_448, 16_384, 131_072, 524_288])
def test_the_long_run_rate_is_the_limit(rate: int, piece: int) -> None:
    """Within a tenth over any few seconds, from 1 MB/s to 1 GB/s, whatever the size of the pieces."""
    seconds = min(4.0 if rate < 300 * MB else 0.5, 150_000 * piece / rate)  # so many pieces are enough to take
    total = run(Connection(Throttle(rate).lane(), piece).take(seconds))
    assert total == pytest.approx(rate * seconds, rel=0.1, abs=2 * piece)


@settings(deadline=None, max_examples=50)
@given(
    rate=st.integers(20_000, 1000 * MB),
    pieces=st.lists(st.tuples(st.integers(1, 65_536), st.floats(0.0, 3.0)), min_size=1, max_size=30),
)
def test_no_stretch_of_time_carries_more_than_the_limit(rate: int, pieces: Sequence[tuple[int, float]]) -> None:
    """Whatever sizes come at whatever times: from any moment on, at most the rate, a small burst and one last piece."""

    async def take() -> list[tuple[float, int]]:
        throttle, taken = Throttle(rate), list[tuple[float, int]]()
        allowance = Allowance(throttle.lane())
        for size, idle in pieces:
            await asyncio.sleep(idle)
            while held_back := allowance.wait():
                await asyncio.wait([held_back])
            allowance.take(size)
            taken.append((asyncio.get_running_loop().time(), size))
        return taken

    taken = run(take(), within=FOREVER)
    for first, (begun, _) in enumerate(taken):
        between = sum(size for _, size in taken[first:-1])
        # What had been given and not yet taken when the stretch began comes on top: a slice of the rate.
        assert between <= rate * (taken[-1][0] - begun + 0.17) * 1.001 + 2


@pytest.mark.parametrize("crews", [(1, 8), (4, 4), (8, 1, 3)])
def test_jobs_share_the_common_limit_evenly(crews: Sequence[int]) -> None:
    """However many connections each has."""
    throttle = Throttle(30 * MB)
    lanes = [throttle.lane() for _ in crews]
    connections = [[Connection(lane) for _ in range(crew)] for lane, crew in zip(lanes, crews, strict=True)]

    async def race() -> None:
        await share(4.0, *(one for crew in connections for one in crew))

    run(race())
    totals = [sum(one.total for one in crew) for crew in connections]
    assert sum(totals) == pytest.approx(120 * MB, rel=0.1)
    assert min(totals) > 0.9 * max(totals)
    for crew in connections:
        assert min(one.total for one in crew) > 0.8 * max(one.total for one in crew)


def test_what_one_job_cannot_take_is_the_others() -> None:
    """A job with a lower limit of its own leaves the rest of the common one to its neighbour."""
    throttle = Throttle(10 * MB)
    slow, quick = run(share(4.0, Connection(throttle.lane(MB)), Connection(throttle.lane())))
    assert slow == pytest.approx(4 * MB, rel=0.1)
    assert quick == pytest.approx(36 * MB, rel=0.1)


@pytest.mark.parametrize(
    ("own", "common", "others"),
    [(2, 30, 1), (5, 30, 1), (10, 30, 1), (2, 30, 2), (9, 30, 2), (10, 100, 2), (2, 100, 5), (1, 100, 9)],
)
def test_a_jobs_own_limit_is_what_it_gets_beside_others(own: int, common: int, others: int) -> None:
    """Where its share of the common one would be more; though a round of turns takes longer with each neighbour."""
    throttle = Throttle(common * MB)
    lanes = [throttle.lane(own * MB), *(throttle.lane() for _ in range(others))]
    connections = [[Connection(lane) for _ in range(8)] for lane in lanes]

    async def race() -> None:
        await share(4.0, *(one for crew in connections for one in crew))

    run(race())
    limited, *rest = (sum(one.total for one in crew) for crew in connections)
    assert limited == pytest.approx(4 * own * MB, rel=0.1)
    assert sum(rest) == pytest.approx(4 * (common - own) * MB, rel=0.1)


def test_newcomers_do_not_get_a_piece_for_nothing() -> None:
    """Many connections, one after the other, as for many small files: the sum is limited all the same."""

    async def take() -> float:
        lane = Throttle(MB).lane()
        for _ in range(1000):
            await Connection(lane, 20_000).take(pieces=1)
        return asyncio.get_running_loop().time()

    assert run(take()) == pytest.approx(20.0, rel=0.1)


def test_what_was_given_and_not_needed_is_given_back() -> None:
    """Connections that ask for credit and end without taking anything cost the others nothing."""

    async def take() -> int:
        lane = Throttle(MB).lane()

        async def ask_in_vain() -> None:
            while True:
                allowance = Allowance(lane)
                held_back = allowance.wait()
                if held_back:
                    await asyncio.wait([held_back], timeout=0.003)
                allowance.close()
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            idle = [group.create_task(ask_in_vain()) for _ in range(5)]
            total = await Connection(lane).take(10.0)
            for task in idle:
                task.cancel()
        return total

    assert run(take()) == pytest.approx(10 * MB, rel=0.1)


def test_a_limit_that_changes_is_felt_at_once() -> None:
    """Up, down, off and on again, the common one and a job's own, while a connection runs."""
    throttle = Throttle(MB)
    lane = throttle.lane()
    connection = Connection(lane)
    speeds: list[float] = []

    async def watch() -> None:
        taking = asyncio.create_task(connection.take())
        for common, own in [(MB, None), (5 * MB, None), (5 * MB, 2 * MB), (None, 2 * MB), (MB, None)]:
            throttle.bucket.rate, lane.bucket.rate = common, own
            await asyncio.sleep(0.3)
            before = connection.total
            await asyncio.sleep(4.0)
            speeds.append((connection.total - before) / 4.0)
        taking.cancel()

    run(watch())
    assert speeds == pytest.approx([MB, 5 * MB, 2 * MB, 2 * MB, MB], rel=0.1)


def test_a_limit_that_is_lifted_frees_who_waits() -> None:
    """Held back for an hour by a limit of a few bytes a second, and let go within the moment."""

    async def take() -> float:
        throttle = Throttle(5)
        connection = Connection(throttle.lane())
        taking = asyncio.create_task(connection.take(pieces=3))
        await asyncio.sleep(1.0)
        throttle.bucket.rate = None
        await taking
        return asyncio.get_running_loop().time()

    assert run(take()) < 1.5


def test_nobody_is_served_after_the_end() -> None:
    """Closed while somebody waits: no timer is left behind."""

    async def leave() -> int:
        throttle = Throttle(1)
        connection = Connection(throttle.lane())
        taking = asyncio.create_task(connection.take(pieces=3))
        await asyncio.sleep(1.0)
        taking.cancel()
        await asyncio.wait([taking])
        throttle.close()
        loop = asyncio.get_running_loop()
        return len([timer for timer in loop._scheduled if not timer.cancelled()])  # type: ignore[attr-defined]

    assert run(leave()) <= 1  # the bound that `run` itself sets


def test_a_bucket_saves_up_for_a_moment_only() -> None:
    """After an hour without use, no more than a seventh of a second's bytes pass at once, or little more."""
    bucket = Bucket(MB)
    assert bucket.wait(3600.0) == 0.0
    bucket.take(150_000)
    assert bucket.wait(3600.0) == 0.0
    bucket.take(MB)
    assert bucket.wait(3600.0) == pytest.approx(1.0)
    bucket.rate = None
    assert bucket.wait(3600.0) == 0.0


def test_a_connection_with_much_on_its_way_goes_on_under_a_new_limit() -> None:
    """It is itself that must not wait for what it had taken before."""

    async def story() -> float:
        lane = Throttle().lane()
        allowance = Allowance(lane)
        allowance.room(1 << 20)
        lane.bucket.rate = 100_000
        allowance.take(1 << 20)
        began = asyncio.get_running_loop().time()
        while held_back := allowance.wait():
            await asyncio.wait([held_back])
        allowance.close()
        return asyncio.get_running_loop().time() - began

    assert run(story()) < 0.5
