"""Kills, stops and faults in any order, in virtual time: the bytes are right, and little comes twice."""

import asyncio
import hashlib
import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from transfer.bringing import CONTENT, assert_right, bring, often
from transfer.invented import (
    RECOVERABLE,
    Fault,
    Server,
    target_of,
    tools,
    wrong,
)
from transfer.virtual_time import run
from windlass.transfer.fetch import TICK, fetch
from windlass.transfer.meter import Meter
from windlass.transfer.network import Cause, Cut, Receiver, Request
from windlass.transfer.partial import kept_bytes
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged, Tools
from windlass.transfer.throttle import Throttle

pytestmark = pytest.mark.usefixtures("small_chunks")

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

_faults = st.lists(st.none() | st.sampled_from(RECOVERABLE), max_size=12)


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
    using = tools(server, connections=connections, lane=Throttle(limit).lane(), persistence=Persistence(40, 120.0))
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


@often
@given(content=st.binary(max_size=1500), script=_faults, ranges=st.booleans())
def test_what_the_meter_shows_is_never_too_much(content: bytes, script: list[Fault | None], ranges: bool) -> None:
    """At any moment: what counts as kept does not shrink and is in the ledger, and no counter leaves its bounds."""
    server, meter, shown = Server(content, script, ranges=ranges), Meter(len(content)), [0]
    some: list[int] = []  # connections whose segments were seen at work

    async def watch(folder: Path) -> None:
        target = target_of(content)
        using = tools(server, persistence=Persistence(40, 120.0))
        task = asyncio.create_task(fetch(target, folder, using, meter))
        while not task.done():
            await asyncio.wait([task], timeout=0.07)
            assert shown[-1] <= meter.kept <= meter.size
            assert 0 <= meter.checked <= meter.size
            assert 0 <= meter.connections <= 4
            in_order = sorted(meter.segments)
            assert all(0 <= one.position <= one.end <= meter.size and one.bytes_per_second >= 0 for one in in_order)
            assert all(one.end <= next_one.position for one, next_one in itertools.pairwise(in_order))
            some.append(len(in_order))
            assert meter.kept <= kept_bytes(folder, target.partial_name, target.identity, target.size)
            shown.append(meter.kept)
        await task

    with tempfile.TemporaryDirectory() as folder:
        run(watch(Path(folder)))
    assert meter.kept == meter.checked == len(content)
    assert meter.fetched >= len(content)
    assert meter.thrown_away == 0
    assert meter.segments == ()
    event(f"{min(2, max(some, default=0))} segments or more were seen")


def test_a_machine_that_was_asleep_goes_on(tmp_path: Path) -> None:
    """Minutes pass in which nothing happens, again and again: too few failures to give up, however long it took."""
    server = Server(CONTENT)

    async def asleep(request: Request, receiver: Receiver) -> None:
        if len(server.requests) in (1, 2, 3):
            server.requests.append((0.0, request))
            await asyncio.sleep(600)
            raise Cut(Cause.STALLED, "the machine was asleep")
        await server(request, receiver)

    staged = run(fetch(target_of(CONTENT), tmp_path, tools(asleep), Meter(len(CONTENT))))
    assert_right(staged, CONTENT)


def test_a_bug_in_the_network_comes_out_as_it_is(tmp_path: Path) -> None:
    """What nobody expected is not swallowed, retried or turned into a story."""

    async def network(_request: Request, _receiver: Receiver) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fetch(target_of(CONTENT), tmp_path, tools(network), Meter(len(CONTENT))))
