"""How long a hub asks us to wait, read from its answers, and how long we wait between tries. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 10.0
TRIES = 3

_FIRST_BACKOFF = 0.5
_FEW_LEFT = 10
_SLOWEST = 2.0
_DEFAULT_WAIT = 30.0
# Hugging Face, and draft-ietf-httpapi-ratelimit-headers: `"api";r=0;t=55`, r = requests left, t = seconds to the reset.
_FIELD = re.compile(r";\s*([rt])\s*=\s*(\d{1,9})(?:\.\d+)?(?=\s*(?:[;,]|$))")


def rate_limit(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """(requests left, seconds to the reset) of the first policy in `RateLimit`; None where it cannot be read."""
    first = headers.get("ratelimit", "").partition(",")[0]
    fields = {name: int(value) for name, value in _FIELD.findall(first)}
    return (fields["r"], fields["t"]) if fields.keys() >= {"r", "t"} else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, as an integer or a date (RFC 9110 §10.2.3); None where it cannot be read."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


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
