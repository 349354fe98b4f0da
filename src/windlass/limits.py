"""How much may run at once, and how fast, at which hours. Pure values; the runner has them hold.

A window of the schedule is read off the wall: from ten at night means whatever the clock on the wall says, so that the
day on which it is put forward has an hour less of it, and the day on which it is put back one more.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, time
from typing import Any

from windlass.errors import InvalidRequest

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_MOST_WINDOWS = 100
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """Hours with a limit of their own, from `begin` until before `end`.

    Attributes:
        days: on which it begins, as `datetime.weekday` counts them.
        begin, end: as the clock on the wall shows them; an end that is not later is on the next day.
        limit_rate: bytes per second over all jobs, None for no limit.
    """

    days: frozenset[int]
    begin: time
    end: time
    limit_rate: int | None

    def holds(self, at: datetime) -> bool:
        """Whether it does at a moment, given as the wall shows it."""
        today, now = at.weekday(), at.time().replace(tzinfo=None)
        if self.begin < self.end:
            return today in self.days and self.begin <= now < self.end
        since_yesterday = (today - 1) % 7 in self.days and now < self.end
        return since_yesterday or (today in self.days and self.begin <= now)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may run at once, and how fast.

    Attributes:
        max_jobs: jobs that transfer at once.
        connections: the most that one file may use.
        limit_rate: bytes per second over all jobs, None for no limit; where no window of the schedule holds.
        schedule: the first window that holds decides.

    Raises:
        InvalidRequest: one of the numbers is no whole number from 1 up.
    """

    max_jobs: int
    connections: int
    limit_rate: int | None = None
    schedule: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_jobs", "connections", "limit_rate"):
            value = getattr(self, name)
            if value is not None or name != "limit_rate":
                _natural(name, value)

    def rate_at(self, at: datetime) -> int | None:
        """Bytes per second over all jobs at a moment, given as the wall shows it."""
        return next((window.limit_rate for window in self.schedule if window.holds(at)), self.limit_rate)


def read_limits(raw: Mapping[str, Any], before: Limits) -> Limits:
    """`before` with what `raw` names changed: `max_jobs`, `connections`, `limit_rate`, `schedule`, as the API has them.

    Raises:
        InvalidRequest: something else is named, or does not fit.
    """
    known = [field.name for field in fields(Limits)]
    for name in raw:
        if name not in known:
            raise InvalidRequest(f"{name!r} is no limit. There are {', '.join(known)}.", param=name)
    changed = dict(raw)
    if "schedule" in changed:
        changed["schedule"] = _schedule(changed["schedule"])
    return replace(before, **changed)


def limits_body(limits: Limits, at: datetime | None = None) -> dict[str, Any]:
    """Limits as JSON; with the rate that holds at a moment, where one is given."""
    body: dict[str, Any] = {
        "max_jobs": limits.max_jobs,
        "connections": limits.connections,
        "limit_rate": limits.limit_rate,
        "schedule": [_window_body(window) for window in limits.schedule],
    }
    if at is not None:
        body["limit_rate_now"] = limits.rate_at(at)
    return body


def _window_body(window: Window) -> dict[str, Any]:
    days = [DAYS[day] for day in sorted(window.days)]
    begin, end = window.begin.isoformat("minutes"), window.end.isoformat("minutes")
    return {"days": days, "from": begin, "to": end, "limit_rate": window.limit_rate}


def _schedule(raw: object) -> tuple[Window, ...]:
    if not isinstance(raw, list) or len(raw) > _MOST_WINDOWS:
        raise _no_schedule(f"a list of up to {_MOST_WINDOWS} windows is wanted")
    return tuple(map(_window, raw))


def _window(raw: object) -> Window:
    if not isinstance(raw, dict) or not {"from", "to", "limit_rate"} <= raw.keys() <= {
        "days", "from", "to", "limit_rate",
    }:  # fmt: skip
        raise _no_schedule("each window has from, to, limit_rate, and days or all of them")
    if raw["limit_rate"] is not None:
        _natural("limit_rate", raw["limit_rate"])
    days = raw.get("days", list(DAYS))
    if not isinstance(days, list) or not days:
        raise _no_schedule(f"days are a list of {', '.join(DAYS)}")
    return Window(frozenset(map(_day, days)), _time(raw["from"]), _time(raw["to"]), raw["limit_rate"])


def _day(raw: object) -> int:
    """`mon`, `Monday`."""
    short = raw.strip().lower()[:3] if isinstance(raw, str) else ""
    if short not in DAYS:
        raise _no_schedule(f"{raw!r} is no day; they are {', '.join(DAYS)}")
    return DAYS.index(short)


def _time(raw: object) -> time:
    match = _CLOCK.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        raise _no_schedule(f"{raw!r} is no time of day, such as 08:30")
    return time(int(match[1] or 0), int(match[2] or 0))  # 24:00 is midnight, when the next day begins


def _natural(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise InvalidRequest(f"{name} is {value!r}: a whole number from 1 up is wanted.", param=name)


def _no_schedule(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The schedule cannot be read: {why}.",
        hint='For example [{"days": ["mon", "tue"], "from": "08:00", "to": "18:00", "limit_rate": 1000000}].',
        param="schedule",
    )
