"""When to come back, as an HTTP answer says: `Retry-After` and `RateLimit`. Pure; header names are in lower case."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Hugging Face, and draft-ietf-httpapi-ratelimit-headers: `"api";r=0;t=55`, r = requests left, t = seconds to the reset.
_FIELD = re.compile(r";\s*([rt])\s*=\s*(\d+)(?:\.\d+)?(?=\s*(?:[;,]|$))")
_DIGITS = 12  # more of a number than that says nothing more


def rate_limit(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """(requests left, seconds to the reset) of the first policy in `RateLimit`; None where it cannot be read."""
    first = headers.get("ratelimit", "").partition(",")[0]
    fields = {name: int(value[:_DIGITS]) for name, value in _FIELD.findall(first)}
    return (fields["r"], fields["t"]) if fields.keys() >= {"r", "t"} else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, as an integer or a date (RFC 9110 §10.2.3); None where it cannot be read."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(text[:_DIGITS])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
