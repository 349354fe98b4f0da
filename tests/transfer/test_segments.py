"""The plan of who fetches what: properties over any file, and a state machine over any order of events."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from windlass.transfer.segments import CHUNK, LONGEST, MIB, SHORTEST_SPLIT, Plan, Segment, Span, gaps, segment_length

SIZE = st.integers(0, 200)


@st.composite
def spans_of(draw: st.DrawFn, size: int) -> list[Span]:
    """Any spans within a file, unsorted and overlapping as they come."""
    ends = st.tuples(st.integers(0, size), st.integers(0, size))
    return [Span(min(pair), max(pair)) for pair in draw(st.lists(ends, max_size=8)) if pair[0] != pair[1]]


@given(st.data(), SIZE)
def test_gaps_are_exactly_what_is_not_done(data: st.DataObject, size: int) -> None:
    """Byte for byte: in a gap or in what is done, never both; gaps are in order and not empty."""
    done = data.draw(spans_of(size))
    missing = gaps(size, done)
    here = {byte for start, end in done for byte in range(start, end)}
    absent = [byte for start, end in missing for byte in range(start, end)]
    assert absent == [byte for byte in range(size) if byte not in here]
    assert all(span.start < span.end for span in missing)
    assert all(before.end < after.start for before, after in pairwise(missing))


@given(st.integers(0, 1 << 42), st.integers(-1, 64))
def test_a_segment_is_whole_chunks_within_bounds(missing: int, connections: int) -> None:
    """Neither so short that it costs a round trip for little, nor so long that the digest waits."""
    length = segment_length(missing, connections)
    assert length % CHUNK == 0
    assert CHUNK <= length <= LONGEST


@given(st.integers(1, 64 * CHUNK), st.integers(1, 16))
def test_segments_get_shorter_towards_the_end(size: int, connections: int) -> None:
    """The last ones are of one chunk, so that all connections end about when the digest does."""
    plan, lengths = Plan([Span(0, size)], connections), []
    while plan._waiting:
        segment = plan.take()
        assert segment is not None
        lengths.append(segment.left)
    assert lengths == sorted(lengths, reverse=True)
    assert max(lengths[-connections:]) <= CHUNK


def test_a_file_of_200_gb_is_planned_in_a_moment() -> None:
    """The plan is made of spans: it holds a few dozen of them, whatever the size."""
    plan = Plan([Span(0, 200_000_000_000)], 8)
    taken = [plan.take() for _ in range(8)]
    assert [segment.position for segment in taken if segment] == [n * LONGEST for n in range(8)]


def test_nothing_to_do() -> None:
    """An empty file, or one that is all there, has no work."""
    plan = Plan([Span(5, 5)], 4)
    assert not plan.has_work()
    assert plan.take() is None


def test_the_longest_remainder_is_halved_at_the_end() -> None:
    """When nothing waits, a free connection takes the second half of what has the most left."""
    plan = Plan([Span(0, CHUNK)], 1)
    slow = plan.take()
    assert slow is not None
    slow.position = 4 * MIB
    half = plan.take()
    assert half is not None
    assert (slow.end, half.position, half.end) == (10 * MIB, 10 * MIB, CHUNK)


def test_a_short_remainder_is_left_alone() -> None:
    """Below twice the shortest split a new request costs more than it gains."""
    plan = Plan([Span(0, 2 * SHORTEST_SPLIT - 1)], 1)
    assert plan.take() is not None
    assert not plan.has_work()
    assert plan.take() is None


class PlanMachine(RuleBasedStateMachine):
    """Connections come, get on, fail and go, pieces turn out wrong; the plan never loses or doubles a byte."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Span] = []
        self.segments: list[Segment] = []

    @initialize(size=st.integers(0, 5 * CHUNK), connections=st.integers(1, 8), data=st.data())
    def begin(self, size: int, connections: int, data: st.DataObject) -> None:
        self.size = size
        kept = data.draw(spans_of(size))
        missing = gaps(size, kept)
        self.done = gaps(size, missing)
        self.plan = Plan(missing, connections)

    @rule()
    def take(self) -> None:
        """A connection is free."""
        work = self.plan.has_work()
        segment = self.plan.take()
        assert (segment is not None) == work
        if segment is not None:
            assert segment.left > 0
            self.segments.append(segment)

    @precondition(lambda self: self.segments)
    @rule(data=st.data())
    def progress(self, data: st.DataObject) -> None:
        """Bytes come in on one connection."""
        segment = data.draw(st.sampled_from(self.segments))
        step = data.draw(st.integers(0, segment.left))
        if step:
            self.done.append(Span(segment.position, segment.position + step))
        segment.position += step

    @precondition(lambda self: self.segments)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """One connection ends, finished or not."""
        segment = data.draw(st.sampled_from(self.segments))
        self.segments = [other for other in self.segments if other is not segment]
        self.plan.give_back(segment)

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """What came turns out to be wrong, and has to come again."""
        span = self.done.pop(data.draw(st.integers(0, len(self.done) - 1)))
        self.plan.put(span)

    @invariant()
    def every_byte_is_in_one_place(self) -> None:
        """Done, waiting or active, and exactly one of them."""
        if not hasattr(self, "plan"):
            return
        active = [Span(segment.position, segment.end) for segment in self.segments]
        everything = sorted(span for span in [*self.done, *self.plan._waiting, *active] if span.end > span.start)
        assert self.plan.active == len(self.segments)
        assert sum(end - start for start, end in everything) == self.size
        assert all(before.end == after.start for before, after in pairwise(everything))

    def teardown(self) -> None:
        """Whatever happened: going on to the end brings every byte."""
        if not hasattr(self, "plan"):
            return
        for active in self.segments:
            self.plan.give_back(active)
        for _ in range(10_000):
            segment = self.plan.take()
            if segment is None:
                break
            self.done.append(Span(segment.position, segment.end))
            segment.position = segment.end
            self.plan.give_back(segment)
        assert gaps(self.size, self.done) == []


PlanMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPlan = PlanMachine.TestCase
