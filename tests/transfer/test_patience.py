"""Patience and speeds: arithmetic over handed-in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import ModelGated
from windlass.transfer.meter import Speed
from windlass.transfer.network import Cause
from windlass.transfer.retry import LONGEST, Persistence, backoff, give_up
from windlass.transfer.source import KINDS, Trouble


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


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble("x"), "answer"),
        (Trouble("x", limited=True, wait=5.0), "rate_limited"),
        (Trouble("x", refusal=ModelGated("x")), "refused"),
        *((Trouble("x", cause=cause), cause.value) for cause in Cause),
    ],
)
def test_trouble_is_counted_by_its_kind(trouble: Trouble, kind: str) -> None:
    """One word each, of a closed set."""
    assert trouble.kind == kind
    assert kind in KINDS


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
