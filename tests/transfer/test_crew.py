"""How many connections a file gets."""

from hypothesis import given
from hypothesis import strategies as st

from windlass.transfer.crew import CrewSize

TICK = 0.25


def sizes_at(line: float, each: float, most: int, seconds: float) -> list[int]:
    """The sizes chosen, tick by tick, on a line of `line` bytes a second where one connection gets `each`."""
    crew, count, chosen = CrewSize(most), 0.0, []
    for tick in range(int(seconds / TICK)):
        chosen.append(crew.now(most))
        count += TICK * min(line, each * chosen[-1])
        crew.look(tick * TICK, int(count), most)
    return chosen


def test_all_are_used_where_each_brings_more() -> None:
    """A source that gives every connection the same: all that are allowed, within half a second."""
    assert sizes_at(line=1e12, each=20e6, most=16, seconds=0.75)[-1] == 16


def test_a_full_line_is_not_asked_by_more() -> None:
    """Where half of them fill the line already, the rest is left to others, but for a trial now and then."""
    sizes = sizes_at(line=10e6, each=10e6, most=8, seconds=60.0)
    assert max(sizes) == 8
    assert sizes.count(8) < len(sizes) / 10
    assert sizes[-1] == 4


def test_a_line_that_changes_is_noticed() -> None:
    """A size that did not pay is tried again."""
    crew, count = CrewSize(8), 0.0
    for tick in range(600):
        line = 10e6 if tick < 200 else 1e12
        count += TICK * min(line, 10e6 * crew.now(8))
        crew.look(tick * TICK, int(count), 8)
    assert crew.now(8) == 8


def test_trouble_takes_one_away_for_a_while() -> None:
    """Refused connections are not asked for again at once, and one always stays."""
    crew = CrewSize(8)
    for busy in (4, 3, 2, 1):
        crew.withdraw(busy, 10.0)
    assert crew.now(8) == 1
    crew.look(10.25, 0, 8)
    crew.look(12.0, 10_000_000, 8)
    assert crew.now(8) == 1
    crew.look(15.25, 20_000_000, 8)
    assert crew.now(8) == 2


def test_fewer_allowed_is_felt_at_once() -> None:
    """The setting may change while it runs."""
    crew = CrewSize(16)
    assert (crew.now(16), crew.now(3), crew.now(1)) == (8, 3, 1)


@given(
    st.integers(1, 32),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 10**9), st.booleans(), st.integers(1, 32)), max_size=60),
)
def test_never_none_and_never_too_many(most: int, story: list[tuple[float, int, bool, int]]) -> None:
    """Whatever happens, in whatever order: from one to the most that is allowed."""
    crew, now, count = CrewSize(most), 0.0, 0
    for seconds, size, trouble, allowed in story:
        now, count = now + seconds, count + size
        if trouble:
            crew.withdraw(crew.now(allowed), now)
        crew.look(now, count, allowed)
        assert 1 <= crew.now(allowed) <= allowed
