"""How long a hub asks us to wait, and how long we wait between tries."""

from datetime import UTC, datetime

import pytest

from windlass.hub.limits import backoff, pace, wait_when_limited
from windlass.ratelimit import rate_limit, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"api";r=0;t=55', (0, 55)),
        ('"resolvers"; r=12 ; t=300', (12, 300)),
        ('"api";r=3;t=4, "other";r=0;t=9', (3, 4)),
        ('"api";r=0', None),
        ("", None),
        ('"api";r=x;t=y', None),
        ("r=1;t=2", None),
    ],
)
def test_rate_limit(text: str, expected: tuple[int, int] | None) -> None:
    """The first policy's requests left and seconds; None for what cannot be read."""
    assert rate_limit({"ratelimit": text}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("9" * 30, 999_999_999_999.0),
        ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 00:00:09 -0000", 9.0),
        ("Thu, 99 Jan 2026 00:00:09 GMT", None),
    ],
)
def test_retry_after(text: str, expected: float | None) -> None:
    """Seconds or a date, never below zero."""
    assert retry_after({"retry-after": text}, NOW) == expected


def test_waits() -> None:
    """`Retry-After` goes before `RateLimit`; a pause grows as requests run out; jitter is full and grows."""
    assert wait_when_limited({"retry-after": "3", "ratelimit": '"a";r=0;t=9'}, NOW) == 3
    assert pace({}) == 0
    assert pace({"ratelimit": '"a";r=400;t=9'}) == 0
    assert pace({"ratelimit": '"a";r=0;t=300'}) == 2
    assert [backoff(attempt, 0.5) for attempt in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert backoff(5, 0.0) == 0
