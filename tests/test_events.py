"""Events: what readers are told, who costs what, and what those who come back hear of."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from windlass import events as module
from windlass.errors import JobNotFound, StateFailure
from windlass.events import Event, Events


class Jobs:
    """A store that is a dict: each change is a move, and a job may run."""

    def __init__(self) -> None:
        self.jobs: dict[str, int] = {}
        self.moves: list[str] = []
        self.runs: set[str] = set()
        self.looks = 0
        self.broken = False

    def set(self, job_id: str, value: int) -> None:
        self.jobs[job_id] = value
        self.moves.append(job_id)

    def forget(self, job_id: str) -> None:
        del self.jobs[job_id]
        self.moves.append(job_id)

    def last_move(self) -> int:
        self.looks += 1
        if self.broken:
            raise StateFailure("no database")
        return len(self.moves)

    def moved_since(self, number: int) -> list[str]:
        return self.moves[number:]

    def running(self) -> list[str]:
        return sorted(self.runs)

    def open(self) -> list[str]:
        return sorted(self.jobs)

    def show(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.jobs:
            raise JobNotFound(job_id)
        return {"job_id": job_id, "value": self.jobs[job_id]}


class Unwatched(Events):
    """Looks only when the test says so."""

    def _follow(self) -> None:
        """No thread does."""


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def events(jobs: Jobs) -> Iterator[Events]:
    events = Unwatched(jobs)
    yield events
    events.close()


def said(told: list[Event]) -> list[tuple[str, str, int | None]]:
    values = ((event.kind, json.loads(event.data)) for event in told)
    return [(kind, value["job_id"], value.get("value")) for kind, value in values]


def after(events: Events, place: int) -> tuple[list[Event], int]:
    later = events.after(place)
    assert later is not None
    return later


def test_a_reader_is_told_what_there_is_and_then_what_happens(events: Events, jobs: Jobs) -> None:
    """The open jobs first; then each that was moved or runs, as it is at that moment; the same again is not told."""
    jobs.set("a", 1)
    with events.reading():
        told, place = events.begin(None)
        assert said(told) == [("job", "a", 1)]
        events._look()
        assert after(events, place) == ([], place)
        jobs.set("a", 2)
        jobs.set("b", 1)
        events._look()
        told, place = after(events, place)
        assert said(told) == [("job", "a", 2), ("job", "b", 1)]
        jobs.runs.add("b")
        for value in (2, 2, 3):
            jobs.jobs["b"] = value
            events._look()
        told, place = after(events, place)
        assert said(told) == [("job", "b", 3)]


def test_a_change_that_is_no_move_and_a_job_that_is_gone(events: Events, jobs: Jobs) -> None:
    """Whoever changes it says so."""
    jobs.set("a", 1)
    with events.reading():
        events._look()
        _, place = events.begin(None)
        jobs.jobs["a"] = 7
        events.touch("a")
        events._look()
        told, place = after(events, place)
        assert said(told) == [("job", "a", 7)]
        jobs.forget("a")
        events._look()
        assert said(after(events, place)[0]) == [("removed", "a", None)]


def test_who_comes_back_hears_of_what_was_moved_meanwhile(events: Events, jobs: Jobs) -> None:
    """Completed jobs and removed ones, too; who comes for the first time hears of the open ones only."""
    jobs.set("a", 1)
    jobs.set("b", 1)
    last = jobs.last_move()
    with events.reading():
        jobs.set("c", 3)
        jobs.forget("b")
        events._look()
        jobs.open = list  # type: ignore[method-assign]
        told, _ = events.begin(last)
        assert said(told) == [("job", "c", 3), ("removed", "b", None)]
        assert events.begin(None)[0] == []


def test_another_process_knows_what_the_last_one_told(jobs: Jobs) -> None:
    """The number is the store's."""
    jobs.set("a", 1)
    told, _ = Unwatched(jobs).begin(None)
    assert [event.moved for event in told] == [1]
    jobs.set("b", 2)
    jobs.forget("a")
    told, _ = Unwatched(jobs).begin(1)
    assert said(told) == [("job", "b", 2), ("removed", "a", None)]


def test_one_who_is_far_behind_begins_anew(events: Events, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is bounded; of what was dropped he hears what is so now."""
    monkeypatch.setattr(module, "_KEPT", 3)
    with events.reading():
        _, place = events.begin(None)
        for number in range(5):
            jobs.set(f"job-{number}", number)
        events._look()
        assert events.after(place) is None
        told, place = events.begin(None)
        assert len(told) == 5
        assert after(events, place) == ([], place)


def test_while_nobody_reads_nobody_looks(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread begins with the first reader and ends with the last one, and a broken store does not end it."""
    monkeypatch.setattr(module, "BEAT", 0.001)
    events = Events(jobs)
    jobs.set("a", 1)
    assert events._thread is None

    def until(holds: Callable[[], bool]) -> None:
        for _ in range(100_000):
            if holds():
                return
            events._wake.wait(0.001)
        raise AssertionError("it did not come about")

    with events.reading(), events.reading():
        assert events.readers == 2
        _, place = events.begin(None)
        jobs.broken = True
        looks = jobs.looks
        until(lambda: jobs.looks > looks + 2)
        jobs.broken = False
        jobs.set("a", 2)
        until(lambda: bool(after(events, place)[0]))
    until(lambda: events._thread is None)
    events.touch("a")
    assert events._touched == set()
    events.close()
    assert events.closed


def test_a_reader_who_cannot_be_told_anything_does_not_count(events: Events, jobs: Jobs) -> None:
    """Where the store cannot be read, nobody is said to follow it."""
    jobs.broken = True
    with pytest.raises(StateFailure), events.reading():
        events.begin(None)
    assert events.readers == 0


def test_who_comes_and_goes_on_reading_waits_for_no_store(events: Events, jobs: Jobs) -> None:
    """To come, and to ask what came after, is done where all requests are answered; the store is asked on threads only.

    So to come asks the store nothing, and while it is asked, however slow its disk, the others go on.
    """
    waited: list[bool] = []

    def last_move() -> int:
        waited.append(events._lock.locked())
        return len(jobs.moves)

    jobs.last_move = last_move  # type: ignore[method-assign]
    with events.reading():
        assert waited == []
        _, place = events.begin(None)
        jobs.set("a", 1)
        events._look()
        assert said(after(events, place)[0]) == [("job", "a", 1)]
    assert waited == [False, False]


def test_who_comes_first_is_not_told_what_was_over_before(events: Events, jobs: Jobs) -> None:
    """What is moved before he looks at the jobs he sees there; what is moved later he is told, once.

    Also where others had read before: what was moved while nobody did is old news.
    """
    for number in range(3):
        with events.reading():
            events._look()
            jobs.set("a", number)
            told, place = events.begin(None)
            assert said(told) == [("job", "a", number)]
            events._look()
            assert after(events, place) == ([], place)
            jobs.set("b", number)
            events._look()
            assert said(after(events, place)[0]) == [("job", "b", number)]
            jobs.forget("b")
        jobs.set("a", 7)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc"), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.sampled_from(["look", "read", "return"]), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@given(OPERATIONS)
@settings(max_examples=400, deadline=None)
@example([("set", "a", 2), ("look", "", 0), ("set", "a", 0), ("return", "", 0), ("set", "a", 2)])
def test_a_reader_ends_up_knowing_what_is_so(operations: list[tuple[str, str, int]]) -> None:
    """Whatever happens, however seldom he reads, and however often he goes and comes back."""
    jobs, known, last = Jobs(), dict[str, int](), 0
    events = Unwatched(jobs)

    def learn(told: list[Event]) -> None:
        nonlocal last
        for event in told:
            value = json.loads(event.data)
            known.pop(value["job_id"], None)
            if event.kind == "job":
                known[value["job_id"]] = value["value"]
            last = event.moved

    with events.reading():
        told, place = events.begin(None)
        learn(told)
        for what, job_id, value in [*operations, ("look", "", 0), ("read", "", 0)]:
            if what == "set":
                jobs.set(job_id, value)
            elif what == "remove" and job_id in jobs.jobs:
                jobs.forget(job_id)
            elif what == "look":
                events._look()
            elif what == "read":
                told, place = after(events, place)
                learn(told)
            elif what == "return":
                told, place = events.begin(last)
                learn(told)
    assert known == jobs.jobs
