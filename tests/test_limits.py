"""Limits: what may be said, which window of the schedule holds when, and what is kept for the next start."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidRequest, StateFailure
from windlass.limits import DAYS, Limits, limits_body, read_limits
from windlass.rules import Rules
from windlass.settings import Settings, load

PLAIN = Limits(3, 8, 5000)
OFFICE = {"days": ["mon", "Tuesday", "FRI"], "from": "08:00", "to": "18:30", "limit_rate": 100}
NIGHT = {"days": ["fri"], "from": "22:00", "to": "6:15", "limit_rate": None}
MONDAY, TUESDAY, FRIDAY, SATURDAY = "2026-11-23", "2026-11-24", "2026-11-27", "2026-11-28"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "rate"),
    [
        (f"{MONDAY} 07:59:59", 5000),
        (f"{MONDAY} 08:00:00", 100),
        (f"{TUESDAY} 18:29:59", 100),
        (f"{TUESDAY} 18:30:00", 5000),
        ("2026-11-25 12:00", 5000),
        (f"{FRIDAY} 12:00", 100),
        (f"{FRIDAY} 21:59", 5000),
        (f"{FRIDAY} 22:00", None),
        (f"{SATURDAY} 00:00", None),
        (f"{SATURDAY} 06:14:59", None),
        (f"{SATURDAY} 06:15", 5000),
        (f"{SATURDAY} 23:00", 5000),
        ("2026-11-29 03:00", 5000),
    ],
)
def test_which_window_holds(moment: str, rate: int | None) -> None:
    """From its first minute until before its last, over midnight too, counted to the day on which it began."""
    assert read_limits({"schedule": [OFFICE, NIGHT]}, PLAIN).rate_at(at(moment)) == rate


@pytest.mark.parametrize(
    ("window", "moment", "rate"),
    [
        ({"from": "00:00", "to": "24:00", "limit_rate": 7}, f"{SATURDAY} 23:59:59", 7),
        ({"from": "00:00", "to": "00:00", "limit_rate": 7}, f"{SATURDAY} 12:00", 7),
        ({"from": "12:00", "to": "12:00", "limit_rate": 7}, f"{SATURDAY} 11:59", 7),
        ({"from": "23:00", "to": "01:00", "days": ["sun"], "limit_rate": 7}, f"{MONDAY} 00:30", 7),
        ({"from": "23:00", "to": "01:00", "days": ["sun"], "limit_rate": 7}, f"{TUESDAY} 00:30", 5000),
    ],
)
def test_days_without_a_gap(window: dict[str, Any], moment: str, rate: int) -> None:
    """A window that ends as it begins is a whole day; after Sunday comes Monday; no days are all days."""
    assert read_limits({"schedule": [window]}, PLAIN).rate_at(at(moment)) == rate


def test_the_clock_that_is_put_forward_and_back() -> None:
    """A window follows the clock on the wall: in spring it may begin late, in autumn its hour comes twice."""
    limits = read_limits({"schedule": [{"from": "02:30", "to": "03:30", "limit_rate": 7}]}, PLAIN)
    assert [limits.rate_at(at(f"2026-03-29 {clock}")) for clock in ("01:59:59", "03:00", "03:30")] == [5000, 7, 5000]
    assert [limits.rate_at(at(f"2026-10-25 {clock}")) for clock in ("02:29", "02:30", "02:59", "02:30")] == [
        5000,
        7,
        7,
        7,
    ]


def test_the_first_window_decides() -> None:
    """Where two hold."""
    windows = [{"from": "10:00", "to": "12:00", "limit_rate": 1}, {"from": "09:00", "to": "13:00", "limit_rate": 2}]
    limits = read_limits({"schedule": windows}, PLAIN)
    assert [limits.rate_at(at(f"{MONDAY} {clock}")) for clock in ("09:30", "11:00", "12:30")] == [2, 1, 2]


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ({"max_jobs": 0}, "max_jobs"),
        ({"max_jobs": None}, "max_jobs"),
        ({"connections": "8"}, "connections"),
        ({"connections": True}, "connections"),
        ({"limit_rate": 0}, "limit_rate"),
        ({"limit_rate": 1.5}, "limit_rate"),
        ({"limit_rate": 2**63}, "limit_rate"),
        ({"speed": 1}, "speed"),
        ({"schedule": None}, "schedule"),
        ({"schedule": {}}, "schedule"),
        ({"schedule": [1]}, "schedule"),
        ({"schedule": [{"from": "08:00", "to": "09:00"}]}, "schedule"),
        ({"schedule": [{**OFFICE, "rate": 1}]}, "schedule"),
        ({"schedule": [{**OFFICE, "from": "8"}]}, "schedule"),
        ({"schedule": [{**OFFICE, "to": "24:01"}]}, "schedule"),
        ({"schedule": [{**OFFICE, "to": 9}]}, "schedule"),
        ({"schedule": [{**OFFICE, "days": []}]}, "schedule"),
        ({"schedule": [{**OFFICE, "days": "mon"}]}, "schedule"),
        ({"schedule": [{**OFFICE, "days": ["noday"]}]}, "schedule"),
        ({"schedule": [{**OFFICE, "days": [1]}]}, "schedule"),
        ({"schedule": [{**OFFICE, "limit_rate": -1}]}, "limit_rate"),
        ({"schedule": [OFFICE] * 101}, "schedule"),
    ],
)
def test_what_is_no_limit_is_refused(raw: dict[str, Any], param: str) -> None:
    """With the name of what is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        read_limits(raw, PLAIN)
    assert caught.value.param == param


def test_what_is_not_named_stays() -> None:
    """Each by itself; null lifts the limit, and an empty schedule removes the windows."""
    limits = read_limits({"schedule": [OFFICE], "max_jobs": 9}, PLAIN)
    assert (limits.max_jobs, limits.connections, limits.limit_rate, len(limits.schedule)) == (9, 8, 5000, 1)
    limits = read_limits({"limit_rate": None}, limits)
    assert (limits.max_jobs, limits.limit_rate, len(limits.schedule)) == (9, None, 1)
    assert read_limits({"schedule": []}, limits).schedule == ()


CLOCKS = st.times().map(lambda moment: moment.isoformat("minutes"))
RATES = st.none() | st.integers(1, 2**63 - 1)
WINDOWS = st.fixed_dictionaries(
    {"from": CLOCKS, "to": CLOCKS, "limit_rate": RATES},
    optional={"days": st.lists(st.sampled_from(DAYS), min_size=1, unique=True)},
)


@given(st.lists(WINDOWS, max_size=4), RATES, st.datetimes())
def test_what_is_shown_can_be_read(schedule: list[dict[str, Any]], rate: int | None, moment: datetime) -> None:
    """Limits, their JSON, and the same limits again; some rate of theirs holds at any moment."""
    limits = read_limits({"schedule": schedule, "limit_rate": rate}, PLAIN)
    assert read_limits(limits_body(limits), PLAIN) == limits
    now = limits_body(limits, moment)["limit_rate_now"]
    assert now in [rate, *(window["limit_rate"] for window in schedule)]


# Kept for the next start


def settings_of(folder: Path, **environ: str) -> Settings:
    return load(environ={"WINDLASS_HOME": str(folder / "home"), **environ}, user_home=folder)


def test_what_was_set_holds_at_the_next_start(tmp_path: Path) -> None:
    """Over the defaults and `config.toml`, with its schedule."""
    rules = Rules(settings_of(tmp_path))
    assert rules.read() == Limits(3, 8, None)
    limits = read_limits({"schedule": [OFFICE, NIGHT], "limit_rate": 900}, Limits(2, 4))
    rules.keep(limits, ["max_jobs", "connections", "limit_rate", "schedule"])
    (tmp_path / "home" / "config.toml").write_text("max_jobs = 7\n")
    assert Rules(settings_of(tmp_path)).read() == limits


def test_what_was_never_set_is_for_the_settings_to_say(tmp_path: Path) -> None:
    """A flag of one start is none of the next, and `config.toml` may be changed for all that was not set since."""
    rules = Rules(settings_of(tmp_path, WINDLASS_LIMIT_RATE="5M"))
    rules.keep(Limits(3, 4, 5_000_000), ["connections"])
    (tmp_path / "home" / "config.toml").write_text("max_jobs = 7\nconnections = 1\n")
    assert Rules(settings_of(tmp_path)).read() == Limits(7, 4, None)
    rules.keep(Limits(2, 4, None), ["max_jobs"])
    assert Rules(settings_of(tmp_path)).read() == Limits(2, 4, None)


def test_what_is_told_at_the_start_holds_over_it(tmp_path: Path) -> None:
    """A flag and the environment; the rest is as it was kept."""
    Rules(settings_of(tmp_path)).keep(Limits(2, 4, 900), ["max_jobs", "connections", "limit_rate"])
    assert Rules(settings_of(tmp_path, WINDLASS_LIMIT_RATE="5M")).read() == Limits(2, 4, 5_000_000)


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"max_jobs": 0}', '{"other": 1}', "\udc80", "[" * 100_000])
def test_limits_that_cannot_be_read_are_said(tmp_path: Path, text: str) -> None:
    """Whoever has a data cap does not want them passed over."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "limits.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StateFailure, match=r"limits\.json"):
        Rules(settings_of(tmp_path)).read()
