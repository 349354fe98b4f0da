"""Limits, patience and speeds: arithmetic over handed-in time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.transfer.meter import Speed
from windlass.transfer.pace import Pace
from windlass.transfer.retry import LONGEST, Persistence, backoff, give_up


def carried(pace: Pace, piece: int, seconds: float, start: float = 0.0) -> float:
    """Bytes that a connection brings through `pace`, that always has a piece to offer and asks when it was told to."""
    now, total, turn = start, 0, pace.turn
    while now < start + seconds:
        wait = pace.wait(now, turn)
        if wait:
            now += wait
        else:
            turn = pace.take(piece)
            total += piece
    return total


@pytest.mark.parametrize("rate", [1_000_000, 20_000_000, 300_000_000, 1_000_000_000])
@pytest.mark.parametrize("piece", [16_384, 131_072, 524_288])
def test_the_long_run_rate_is_the_limit(rate: int, piece: int) -> None:
    """Within a tenth, from 1 MB/s to 1 GB/s, whatever the size of the pieces that libcurl hands over."""
    assert carried(Pace(rate), piece, 10.0, start=5000.0) == pytest.approx(rate * 10.0, rel=0.1)


@settings(deadline=None)
@given(
    rate=st.integers(1000, 1_000_000_000),
    pieces=st.lists(st.tuples(st.integers(1, 524_288), st.floats(0.0, 3.0)), min_size=1, max_size=60),
)
def test_no_stretch_of_time_carries_more_than_the_limit(rate: int, pieces: list[tuple[int, float]]) -> None:
    """Whatever sizes come at whatever times: from any moment on, at most the rate, a small burst and one last piece."""
    pace, now, taken = Pace(rate), 100.0, []
    turn = pace.turn
    for size, idle in pieces:
        now += idle
        while wait := pace.wait(now, turn):
            now += wait
        turn = pace.take(size)
        taken.append((now, size))
    for first, (begun, _) in enumerate(taken):
        between = sum(size for _, size in taken[first:-1])
        assert between <= rate * (taken[-1][0] - begun + 0.05) * 1.001 + 1


@pytest.mark.parametrize("lag", [0.0, 0.0005, 0.002])
def test_several_connections_share_one_limit(lag: float) -> None:
    """The sum is limited, not each; and however quick each is to ask again, all get the same."""
    pace, shares = Pace(10_000_000), [0] * 4
    due, turns = [n * 0.0001 for n in range(4)], [pace.turn] * 4
    while min(due) < 20.0:
        who = due.index(min(due))
        wait = pace.wait(due[who], turns[who])
        if not wait:
            turns[who] = pace.take(100_000)
            shares[who] += 100_000
            wait = lag * (who + 1)
        due[who] += wait
    assert sum(shares) == pytest.approx(200_000_000, rel=0.1)
    assert min(shares) > 0.8 * max(shares)


def test_newcomers_do_not_get_a_piece_for_nothing() -> None:
    """Many connections, one after the other, as for many small files: the sum is limited all the same."""
    pace, now = Pace(1_000_000), 50.0
    for _ in range(1000):
        turn = pace.turn
        while wait := pace.wait(now, turn):
            now += wait
        pace.take(20_000)
    assert now - 50.0 == pytest.approx(20.0, rel=0.1)


def test_a_limit_that_changes_is_felt_at_once() -> None:
    """Up, down, off and on again, with the same bucket; a held-back connection asks again within a quarter second."""
    pace = Pace(1_000_000)
    assert carried(pace, 50_000, 10.0) == pytest.approx(10_000_000, rel=0.1)
    pace.rate = 5_000_000
    assert pace.rate == 5_000_000
    assert carried(pace, 50_000, 10.0, start=10.0) == pytest.approx(50_000_000, rel=0.1)
    pace.rate = None
    turn = pace.take(1 << 40)
    assert pace.wait(20.0, turn) == 0.0
    pace.rate = 1_000_000
    assert carried(pace, 50_000, 10.0, start=30.0) == pytest.approx(10_000_000, rel=0.1)


def test_a_long_debt_is_asked_about_again_and_again() -> None:
    """The wait is short even where the debt is long, so that a raised limit does not find a sleeper."""
    pace = Pace(1000)
    assert pace.wait(1.0, pace.turn) == 0.0
    assert 0 < pace.wait(1.0, pace.take(1_000_000)) <= 0.25


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_is_full_jitter_within_bounds(failures: int, chance: float) -> None:
    """Never negative, never longer than the longest, and never longer than the doubling allows."""
    wait = backoff(failures, chance)
    assert 0 <= wait <= min(LONGEST, 0.5 * 2 ** min(failures, 16))
    assert backoff(failures, chance) <= backoff(failures + 1, chance)


@pytest.mark.parametrize(
    ("failures", "seconds", "over"), [(8, 75, True), (7, 1000, False), (1000, 74, False), (9, 76, True), (0, 0, False)]
)
def test_giving_up_needs_both(failures: int, seconds: float, over: bool) -> None:
    """Enough failures in a row, and enough time without progress."""
    assert give_up(failures, seconds, Persistence()) is over


def test_a_speed_is_the_mean_of_the_last_seconds() -> None:
    """Old samples fall out; what was fast a minute ago does not count."""
    speed = Speed()
    assert speed.per_second() == 0.0
    speed.sample(0.0, 0)
    assert speed.per_second() == 0.0
    speed.sample(0.0, 500)
    assert speed.per_second() == 0.0  # no time has passed
    for second in range(1, 61):
        speed.sample(float(second), 500 + min(second, 30) * 1000)
    assert speed.per_second() == 0.0
    assert len(speed.samples) < 20


def test_a_steady_speed_is_seen_as_it_is() -> None:
    """A sample a quarter second."""
    speed = Speed()
    for tick in range(200):
        speed.sample(tick * 0.25, tick * 250)
    assert speed.per_second() == pytest.approx(1000)


def test_a_count_that_falls_starts_anew() -> None:
    """Thrown away bytes do not make a negative speed."""
    speed = Speed()
    speed.sample(0.0, 1000)
    speed.sample(1.0, 2000)
    speed.sample(2.0, 100)
    assert speed.per_second() == 0.0
    speed.sample(3.0, 300)
    assert speed.per_second() == 200.0
