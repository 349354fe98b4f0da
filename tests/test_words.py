"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import words


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (948, "948 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9994, "9.99 kB"),
        (9996, "10.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (107_400_000, "107 MB"),
        (2_279_145_003, "2.28 GB"),
        (1_500_000_000_000, "1.50 TB"),
        (12_345_000_000_000_000, "12345 TB"),
    ],
)
def test_sizes_have_three_digits(count: int, text: str) -> None:
    """Units of 1000, as in `lms`; no unit above TB."""
    assert words.size(count) == text


@given(st.integers(0, 10**15 - 10**12))
def test_a_size_is_right_to_three_digits(count: int) -> None:
    """Read back it is within half a percent, or half a byte; and never more than three digits."""
    number, unit = words.size(count).split()
    value = float(number) * 1000 ** ("B", "kB", "MB", "GB", "TB").index(unit)
    assert abs(value - count) <= max(0.5, 0.0051 * count)
    assert len(number.replace(".", "")) <= 3 or unit == "TB"


def test_speeds_are_sizes_a_second() -> None:
    """As in the bar."""
    assert words.speed(107_400_000.4) == "107 MB/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (42.4, "42s"),
        (59.6, "1m 00s"),
        (185, "3m 05s"),
        (3599.6, "1h 00m"),
        (7 * 3600 + 12 * 60 + 59, "7h 12m"),
        (86399, "23h 59m"),
        (86400, "1d 0h"),
        (2 * 86400 + 3 * 3600, "2d 3h"),
        (None, "--"),
        (math.inf, "--"),
        (math.nan, "--"),
        (-1, "--"),
    ],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    """Enough to decide whether to wait; what is not known is a dash."""
    assert words.duration(seconds) == text


def test_timestamp() -> None:
    """Times are UTC in ISO 8601 with milliseconds and Z."""
    assert words.timestamp(0.9996) == "1970-01-01T00:00:00.999Z"


@pytest.mark.parametrize(
    ("name", "text"), [("4BIT", "4bit"), ("8BIT-DWQ", "8bit-DWQ"), ("Q4_K_M", "Q4_K_M"), ("MXFP4", "MXFP4"), ("", "")]
)
def test_a_quantization_has_one_spelling(name: str, text: str) -> None:
    """For people, whichever list it was read from."""
    assert words.quantization(name) == text
