"""What to do about a reply: one pure decision over its status and headers.

The rules are RFC 9110's (§14 ranges, §15 status codes) read with distrust: a reply counts only if it says of itself
that it is the range that was asked for, of a file of the size that the listing gave.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from windlass.errors import ModelGated, ModelNotFound, SourceFailure, WindlassError
from windlass.ratelimit import rate_limit, retry_after
from windlass.transfer.network import Head

_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE)
_YEAR = 31_536_000.0  # seconds; whoever asks for more says "never", and a float must not become infinite


@dataclass(frozen=True, slots=True)
class Asked:
    """Bytes `first` to `last` (inclusive) of a file of `size` bytes, at the address of a redirect or not."""

    first: int
    last: int
    size: int
    redirected: bool


@dataclass(frozen=True, slots=True)
class Accept:
    """The body is the file's bytes from `first` on."""

    first: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Ask at this address instead; it may be relative."""

    location: str


@dataclass(frozen=True, slots=True)
class Renew:
    """The address has expired: go back to where it came from."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Ask again; the source wants `wait` seconds of peace first, None where it did not say."""

    reason: str
    wait: float | None = None
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """Asking again will hardly help: `error` says why."""

    error: WindlassError


Verdict = Accept | Follow | Renew | Later | Refuse


def judge(head: Head, asked: Asked, now: float) -> Verdict:
    """Decide about a reply. `now` is Unix time, for a `Retry-After` that is a date."""
    status, headers = head.status, head.headers
    if status == 206:
        return _judge_part(headers, asked)
    if status == 200:
        return _judge_whole(headers, asked)
    if status in (301, 302, 303, 307, 308) and headers.get("location"):
        return Follow(headers["location"])
    if asked.redirected and status in (400, 401, 403, 404, 410):
        return Renew(f"the address answered {status}, as one that has expired does")
    if status in (408, 425, 429) or status >= 500:
        return Later(f"the source answered {status}", wait_asked_for(headers, now), limited=status in (429, 503))
    if status in (401, 403):
        return Refuse(_denied(status))
    if status in (404, 410):
        return Refuse(ModelNotFound(f"The source does not have this file any more (HTTP {status}).", hint="Ask again."))
    if status == 416:
        return Later("the source says that the file ends before the bytes asked for (416)")
    return Later(f"the source answered {status}, which means nothing to a download")


def wait_asked_for(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds of `Retry-After`, else of a `RateLimit` that is spent; None where neither says."""
    asked = retry_after(headers, datetime.fromtimestamp(now, UTC))
    if asked is None:
        left, reset = rate_limit(headers) or (1, 0)
        asked = None if left else float(reset)
    return None if asked is None else min(_YEAR, asked)


def _judge_part(headers: Mapping[str, str], asked: Asked) -> Verdict:
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        return Later("the source answered 206 without saying which bytes")
    first, last = int(match[1]), int(match[2])
    if first != asked.first or not first <= last <= asked.last:
        return Later(f"the source answered bytes {first}-{last} where {asked.first}-{asked.last} were asked for")
    if match[3] not in ("*", str(asked.size)):
        return Later(f"the source says that the file has {match[3]} bytes, the listing says {asked.size}")
    return _encoded(headers) or Accept(first)


def _judge_whole(headers: Mapping[str, str], asked: Asked) -> Verdict:
    """A whole file where a range was asked for is what a server without ranges sends (RFC 9110 §14.2): read from 0."""
    length = headers.get("content-length", str(asked.size)).strip()
    if length != str(asked.size):
        return _encoded(headers) or Later(
            f"the source says that the file has {length} bytes, the listing says {asked.size}"
        )
    return _encoded(headers) or Accept(0)


def _encoded(headers: Mapping[str, str]) -> Later | None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return None
    return Later(f"the source sent the file encoded ({encoding}) though plain bytes were asked for")


def _denied(status: int) -> WindlassError:
    if status == 401:
        return ModelGated(
            "The source asks for a token, or does not accept the one it got (HTTP 401).",
            hint="Set HF_TOKEN, or run `hf auth login`, then ask for the model again.",
        )
    return ModelGated(
        "The source denies access to this file (HTTP 403).",
        hint="Ask for access on the model's page, and set HF_TOKEN to a token of that account.",
    )


def exhausted(reason: str) -> SourceFailure:
    """The error of a source that was asked again and again in vain."""
    return SourceFailure(
        f"The download came to no end: {reason}.", hint="What has come so far is kept; ask again to go on from there."
    )
