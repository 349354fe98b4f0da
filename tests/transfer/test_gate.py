"""How many may be under way at once: never too many, nobody forgotten, first come first served."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from transfer.virtual_time import VirtualLoop, run
from windlass.transfer.gate import Gate


async def settle() -> None:
    """Let the loop do all that it can do now."""
    for _ in range(5):
        await asyncio.sleep(0)


class Visitor:
    """Wants to go through a gate, and stays inside until told to leave."""

    def __init__(self, gate: Gate) -> None:
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate))

    async def _visit(self, gate: Gate) -> None:
        async with gate:
            self.inside = True
            try:
                await self._leave.wait()
            finally:
                self.inside = False

    async def leaves(self) -> None:
        self._leave.set()
        await self.task
        await settle()


class Guest:
    """One who is inside after its task has ended, and leaves in that very moment."""

    def __init__(self, gate: Gate) -> None:
        self.inside = False
        self._gate = gate
        self.task = asyncio.create_task(self._come())

    async def _come(self) -> None:
        await self._gate.__aenter__()
        self.inside = True

    def leave(self) -> None:
        if self.inside:
            self.inside = False
            with suppress(StopIteration):
                self._gate.__aexit__().send(None)


@pytest.mark.parametrize("most", [-1, 0, 1, 5])
def test_so_many_at_a_time(most: int) -> None:
    """In the order in which they came; at least one, whatever is asked for."""

    async def visit() -> None:
        gate, wide = Gate(most), max(1, most)
        visitors = [Visitor(gate) for _ in range(12)]
        await settle()
        for first in range(12):
            assert [visitor.inside for visitor in visitors[first:]] == [n < wide for n in range(12 - first)]
            await visitors[first].leaves()

    run(visit())


def test_whoever_comes_while_others_wait_goes_behind_them() -> None:
    """Also in the very moment in which a place becomes free."""

    async def visit() -> None:
        gate = Gate(1)
        first, second = Visitor(gate), Visitor(gate)
        await settle()
        first._leave.set()
        await first.task  # the place is the second's now, who has not been told yet
        third = Visitor(gate)
        await settle()
        assert (second.inside, third.inside) == (True, False)
        await second.leaves()
        assert third.inside
        await third.leaves()

    run(visit())


def test_two_who_leave_at_once_let_the_next_two_in() -> None:
    """In their order, and the third stays the next."""

    async def visit() -> None:
        gate = Gate(2)
        visitors = [Visitor(gate) for _ in range(6)]
        await settle()
        for visitor in visitors[:2]:
            visitor._leave.set()
        await settle()
        assert [visitor.inside for visitor in visitors[2:]] == [True, True, False, False]
        await visitors[2].leaves()
        assert [visitor.inside for visitor in visitors[3:]] == [True, True, False]
        for visitor in visitors[3:]:
            await visitor.leaves()

    run(visit())


def test_narrowed_it_lets_half_as_many_through_and_widens_again() -> None:
    """However many of those who are inside say so; by one with each that leaves."""

    async def visit() -> None:
        gate = Gate(8)
        visitors = [Visitor(gate) for _ in range(40)]
        await settle()
        for _ in range(8):
            gate.narrow()
        inside = []
        for visitor in visitors:
            await visitor.leaves()
            inside.append(sum(other.inside for other in visitors))
        assert inside[:8] == [7, 6, 5, 4, 4, 4, 4, 4]
        assert inside[8:13] == [5, 6, 7, 8, 8]
        assert inside[-9:] == [8, 7, 6, 5, 4, 3, 2, 1, 0]

    run(visit())


def test_narrowed_by_the_only_one_it_lets_one_through() -> None:
    """Never none."""

    async def visit() -> None:
        gate = Gate(8)
        only = Visitor(gate)
        await settle()
        gate.narrow()
        gate.narrow()
        other = Visitor(gate)
        await settle()
        assert (only.inside, other.inside) == (True, False)
        await only.leaves()
        assert (only.inside, other.inside) == (False, True)
        await other.leaves()

    run(visit())


def test_a_place_given_to_one_who_gives_up_is_the_next_ones() -> None:
    """Given and given up in the same moment: nobody waits for ever at a gate with nobody inside."""

    async def visit() -> None:
        gate = Gate(1)
        first, second, third = (Guest(gate) for _ in range(3))
        await settle()
        first.leave()
        second.task.cancel()
        await settle()
        assert second.task.cancelled()
        assert third.inside

    run(visit())


def test_an_error_inside_leaves_as_well() -> None:
    """Nobody is counted who is not there any more."""

    async def visit() -> None:
        gate = Gate(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with gate:
                    raise ZeroDivisionError

    run(visit())


class Crowd(RuleBasedStateMachine):
    """Comings, goings, second thoughts and narrowings in any order, any number of them in the same moment."""

    @initialize(most=st.integers(1, 5))
    def open(self, most: int) -> None:
        self.most = most
        self.gate = Gate(most)
        self.loop = asyncio.Runner(loop_factory=VirtualLoop)
        self.guests: list[Guest] = []
        self.now: list[Callable[[], object]] = []

    @rule()
    def come(self) -> None:
        self.now.append(lambda: self.guests.append(Guest(self.gate)))

    @precondition(lambda self: self.guests)
    @rule(which=st.integers(0, 5))
    def leave(self, which: int) -> None:
        self.now.append(self.guests[which % len(self.guests)].leave)

    @precondition(lambda self: self.guests)
    @rule(which=st.integers(0, 9))
    def give_up(self, which: int) -> None:
        self.now.append(self.guests[which % len(self.guests)].task.cancel)

    @rule()
    def narrow(self) -> None:
        self.now.append(self.gate.narrow)

    @rule()
    def the_moment_passes(self) -> None:
        self.loop.run(self._act())

    async def _act(self) -> None:
        for action in self.now:
            action()
        self.now.clear()
        await settle()
        self.guests = [guest for guest in self.guests if guest.inside or not guest.task.done()]
        inside = [guest.inside for guest in self.guests]
        assert inside == sorted(inside, reverse=True), "somebody was let in before one who came earlier"
        assert not inside or inside[0], "nobody is inside, and somebody waits"
        assert sum(inside) <= self.most

    def teardown(self) -> None:
        """When all have left or given up, as many may go in as at first."""
        if hasattr(self, "loop"):
            with self.loop:
                self.loop.run(self._empty())

    async def _empty(self) -> None:
        await self._act()
        while self.guests:
            self.guests[0].leave()
            await self._act()
        for _ in range(2 * self.most):  # each that leaves widens it by one
            async with self.gate:
                pass
        late = [Guest(self.gate) for _ in range(self.most + 1)]
        await settle()
        assert [guest.inside for guest in late] == [True] * self.most + [False]
        late[0].leave()
        await settle()
        assert late[-1].inside


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
