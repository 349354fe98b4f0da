"""The network waits for the digest, but only for what the digest could be at, and never for ever."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.bringing import CONTENT, assert_right
from transfer.invented import Server, target_of, tools
from transfer.virtual_time import Inline, run
from windlass.transfer import buffers
from windlass.transfer import run as runs
from windlass.transfer.fetch import fetch
from windlass.transfer.lead import Lead
from windlass.transfer.ledger import Piece
from windlass.transfer.meter import Meter
from windlass.transfer.target import Staged

MOST = 20
T = TypeVar("T")


def piece(start: int, end: int) -> Piece:
    return Piece(start, end - start, "")


def lead_over(*pieces: Piece) -> tuple[Lead, dict[int, Piece]]:
    ready = {one.start: one for one in pieces}
    return Lead(ready, MOST), ready


def come(lead: Lead, ready: dict[int, Piece], *pieces: Piece) -> None:
    for one in pieces:
        ready[one.start] = one
        lead.grow()


def test_more_than_the_most_is_waited_for_until_the_digest_has_come_nearer() -> None:
    """All who ask wait for one moment, and go on in it."""

    async def follow() -> None:
        lead, ready = lead_over()
        come(lead, ready, piece(0, 20))
        assert lead.hold() is None
        come(lead, ready, piece(20, 30))
        first = lead.hold()
        assert first
        assert first is lead.hold()
        lead.follow(5)
        assert not first.done()
        lead.follow(10)
        assert first.done()
        assert lead.hold() is None

    asyncio.run(follow())


def test_what_lies_behind_a_gap_counts_for_nothing() -> None:
    """One slow connection holds up the digest; the others do not stop for it."""
    lead, ready = lead_over()
    come(lead, ready, piece(10, 90))
    assert lead.hold() is None


def test_a_gap_that_is_filled_makes_all_behind_it_count() -> None:
    """In whichever order it came."""

    async def fill() -> None:
        lead, ready = lead_over()
        come(lead, ready, piece(10, 40), piece(0, 10))
        assert lead.hold() is not None

    asyncio.run(fill())


def test_what_an_earlier_process_brought_is_not_waited_for() -> None:
    """A hundred gigabytes that are read back from the disk after a restart do not stop the network for that long."""
    lead, ready = lead_over(piece(0, 1000))
    assert lead.hold() is None
    come(lead, ready, piece(1000, 1020))
    assert lead.hold() is None


@pytest.mark.parametrize("start", [0, 5])
def test_a_piece_that_has_to_come_again_lets_the_network_go_on(start: int) -> None:
    """Else both would wait for each other."""

    async def lose() -> None:
        lead, ready = lead_over()
        come(lead, ready, piece(0, 5), piece(5, 50))
        held_back = lead.hold()
        assert held_back
        del ready[start]
        lead.shrink(start)
        assert held_back.done()
        assert lead.hold() is None

    asyncio.run(lose())


@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_digest_can_always_go_on_where_the_network_waits(order: list[int], follows: int) -> None:
    """Whatever the order: who is held back is so by more than the most, in one stretch from where the digest is."""

    async def any_order() -> None:
        lead, ready = lead_over()
        position = 0
        for number in order:
            come(lead, ready, piece(10 * number, 10 * number + 10))
            if number % 13 < follows and position in ready:
                position = ready[position].end
                lead.follow(position)
            end = position
            while end in ready:
                end = ready[end].end
            assert (lead.hold() is not None) == (end - position > MOST)

    asyncio.run(any_order())


class SlowDigest(Inline):
    """Threads on which hashing takes a second a piece of virtual time, and all else none."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        if getattr(fn, "__name__", "") != "eat":
            return super().submit(fn, *args, **kwargs)
        future: Future[T] = Future()
        asyncio.get_running_loop().call_later(1.0, lambda: future.set_result(fn(*args, **kwargs)))
        return future


@pytest.mark.usefixtures("small_chunks")
def test_a_slow_digest_slows_the_network_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come is never far ahead of it, the source is asked no more often for it, and the file is right."""
    monkeypatch.setattr(buffers, "_SIZE", 128)
    monkeypatch.setattr(runs, "LEAST", 65)
    content = CONTENT * 4
    server = Server(content, rate=100_000)
    meter, ahead = Meter(len(content)), list[int]()

    async def watched() -> Staged:
        using = tools(server, connections=1, threads=SlowDigest(), one_thread=Inline)
        task = asyncio.create_task(fetch(target_of(content), tmp_path, using, meter))
        while not task.done():
            ahead.append(meter.fetched - meter.checked)
            await asyncio.sleep(0.5)
        return await task

    assert_right(run(watched()), content)
    assert meter.retries == 0
    # What may wait, a piece that is not complete and a buffer, and the piece that the digest is at.
    assert 200 < max(ahead) <= 200 + (64 + 128) + 64
