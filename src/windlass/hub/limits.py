"""How long a hub asks us to wait, read from its answers, and how long we wait between tries. Pure."""

from collections.abc import Mapping
from datetime import datetime

from windlass.ratelimit import rate_limit, retry_after

LONGEST_WAIT = 10.0
TRIES = 3

_FIRST_BACKOFF = 0.5
_FEW_LEFT = 10
_SLOWEST = 2.0
_DEFAULT_WAIT = 30.0


def wait_when_limited(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds to wait after a 429: what `Retry-After` says, else the reset in `RateLimit`, else a guess."""
    asked = retry_after(headers, now)
    if asked is not None:
        return asked
    limit = rate_limit(headers)
    return float(limit[1]) if limit else _DEFAULT_WAIT


def pace(headers: Mapping[str, str]) -> float:
    """Seconds to hold the next request back for, after a good answer, so that the last few are spread to the reset."""
    limit = rate_limit(headers)
    if limit is None or limit[0] >= _FEW_LEFT:
        return 0.0
    left, reset = limit
    return min(reset / (left + 1), _SLOWEST)


def backoff(attempt: int, chance: float) -> float:
    """Seconds before try `attempt` + 1 (counted from 1): full jitter, so that many clients do not come back at once.

    `chance` is uniform in [0, 1).
    """
    return float(chance * _FIRST_BACKOFF * 2 ** (attempt - 1))
