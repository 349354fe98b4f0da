"""The state machine as the store lives it: every edge from every state, and any walk through them."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from sample import numbered
from scripts import state_diagram
from windlass.errors import IllegalMove, JobNotFound
from windlass.jobs import states
from windlass.jobs.states import EDGES, OPEN, OVER, Edge, Phase, State
from windlass.jobs.store import Store

# From each state, the moves that lead there from the queue.
WAYS: dict[State, tuple[Edge, ...]] = {
    State.QUEUED: (),
    State.RUNNING: (states.START,),
    State.PAUSED: (states.PAUSE,),
    State.WAITING: (states.START, states.WAIT),
    State.FAILED: (states.START, states.FAIL),
    State.COMPLETED: (states.START, states.FINISH),
    State.CANCELLED: (states.CANCEL,),
}


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    clock = itertools.count(1000)
    with Store(url, lambda: float(next(clock))) as store:
        yield store


def bring_to(store: Store, state: State, number: int = 1) -> str:
    job = store.add(numbered(number))
    for edge in WAYS[state]:
        store.move(job.id, edge)
    return job.id


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.name)
@pytest.mark.parametrize("state", State)
def test_every_edge_from_every_state(store: Store, state: State, edge: Edge) -> None:
    """It moves where the edge starts, and is told in the history; elsewhere it is refused, and nothing has changed."""
    job_id = bring_to(store, state)
    before, history = store.get(job_id), store.history(job_id)
    assert before.state is state
    if state in edge.sources:
        moved = store.move(job_id, edge, note="why")
        assert moved.state is edge.target
        assert store.get(job_id) == moved
        assert [entry[1:] for entry in store.history(job_id)[len(history) :]] == [(edge.name, "why")]
    else:
        with pytest.raises(IllegalMove, match=f"is {state}: it cannot {edge.name}"):
            store.move(job_id, edge, note="why", downloaded=99, error_code="x")
        assert store.get(job_id) == before
        assert store.history(job_id) == history


def test_the_states_that_are_open_or_over() -> None:
    """A failed job is both: it may be gone on with, or forgotten. Each state is one or the other."""
    assert set(State) == OPEN | OVER
    assert {State.FAILED} == OPEN & OVER
    over_for_good = {state for state in State if not any(state in edge.sources for edge in EDGES)}
    assert over_for_good == {State.COMPLETED, State.CANCELLED}


def test_nothing_leads_by_itself_out_of_the_pause_of_a_person() -> None:
    """Only a person's own words, or that the files are here; waiting for room ends by itself as well."""

    def ways_out(state: State) -> set[Edge]:
        return {edge for edge in EDGES if state in edge.sources}

    by_hand = {states.RESUME, states.CANCEL, states.FOUND}
    assert ways_out(State.PAUSED) == by_hand
    assert ways_out(State.WAITING) == by_hand | {states.PAUSE, states.PROCEED, states.EXPIRE}


def test_every_state_can_be_reached_and_left_as_the_table_says() -> None:
    """From the queue there is a way to every state, and from every open state one to `completed`."""

    def reachable(start: State) -> set[State]:
        found = {start}
        while more := {e.target for e in EDGES if e.sources & found} - found:
            found |= more
        return found

    assert reachable(State.QUEUED) == set(State)
    assert all(State.COMPLETED in reachable(state) for state in OPEN)


def test_every_state_has_a_word_of_lm_studio() -> None:
    """Only the four words; the lists of the two directions agree."""
    words: tuple[states.Status, ...] = ("downloading", "paused", "completed", "failed")
    assert {states.status_of(state) for state in State} == set(words)
    for word in words:
        assert states.states_of(word) == {state for state in State if states.status_of(state) == word}
    assert states.status_of(State.QUEUED) == "downloading"
    assert states.status_of(State.CANCELLED) == "failed"


class Model(RuleBasedStateMachine):
    """The store against a dict: state, owner, error, bytes, and what may be added or forgotten."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.store = Store("sqlite://", lambda: self.time)
        self.known: dict[str, dict[str, Any]] = {}

    def teardown(self) -> None:
        self.store.close()

    @rule(target=jobs, number=st.integers(1, 3))
    def add(self, number: int) -> str:
        key = numbered(number).key
        job = self.store.add(numbered(number))
        already = [job_id for job_id, it in self.known.items() if it["key"] == key and it["state"] in OPEN]
        if already:
            assert [job.id] == already
        else:
            assert job.id not in self.known
            self.known[job.id] = {"key": key, "state": State.QUEUED, "downloaded": 0, "owner": None, "error": None}
        return job.id

    @rule(job=jobs, edge=st.sampled_from(EDGES), owner=st.sampled_from("ab"))
    def move(self, job: str, edge: Edge, owner: str) -> None:
        self.time += 1
        extra = {"owner": owner} if edge is states.START else {"error_code": "e"} if edge is states.FAIL else {}
        it = self.known.get(job)
        try:
            self.store.move(job, edge, **extra)
        except JobNotFound:
            assert it is None
        except IllegalMove:
            assert it is not None
            assert it["state"] not in edge.sources
        else:
            assert it is not None
            assert it["state"] in edge.sources
            it |= {"state": edge.target, "owner": extra.get("owner"), "error": extra.get("error_code")}

    @rule(job=jobs, downloaded=st.integers(0, 99), phase=st.none() | st.sampled_from(Phase))
    def note_progress(self, job: str, downloaded: int, phase: Phase | None) -> None:
        it = self.known.get(job)
        may = it is not None and it["state"] in ({State.RUNNING} if phase else OPEN)
        assert self.store.progress(job, downloaded, phase) is may
        if may and it:
            it["downloaded"] = downloaded

    @rule(job=consumes(jobs))
    def forget(self, job: str) -> None:
        it = self.known.get(job)
        try:
            self.store.forget(job)
        except JobNotFound:
            assert it is None
        except IllegalMove:
            assert it is not None
            assert it["state"] not in OVER
        else:
            assert it is not None
            assert it["state"] in OVER
            assert self.store.history(job) == []
            del self.known[job]

    @invariant()
    def they_agree(self) -> None:
        shown = {
            job.id: (job.manifest.key, job.state, job.downloaded, job.owner, job.error_code)
            for job in self.store.jobs()
        }
        assert shown == {
            job_id: (it["key"], it["state"], it["downloaded"], it["owner"], it["error"])
            for job_id, it in self.known.items()
        }

    @invariant()
    def who_runs_has_an_owner_and_nobody_else(self) -> None:
        for job in self.store.jobs():
            assert (job.owner is not None) == (job.state is State.RUNNING)
            assert (job.completed_at is not None) == (job.state is State.COMPLETED)


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_store_in_a_file_keeps_the_walk(tmp_path: Path) -> None:
    """What was moved is found again by the next process: states, times, and the history in order."""
    url = f"sqlite:///{tmp_path}/windlass.db"
    clock = itertools.count(1000)
    with Store(url, lambda: float(next(clock))) as store:
        ids = {state: bring_to(store, state, number) for number, state in enumerate(State)}
        before = {state: (store.get(ids[state]), store.history(ids[state])) for state in State}
    with Store(url, lambda: 0.0) as store:
        assert {state: (store.get(ids[state]), store.history(ids[state])) for state in State} == before
    assert [edge for _, edge, _ in before[State.FAILED][1]] == ["add", "start", "fail"]
    times = [at for at, _, _ in before[State.FAILED][1]]
    assert times == sorted(times)


def test_the_page_has_the_table() -> None:
    """`make docs` writes it; who changes the table runs that."""
    page = state_diagram.PAGE.read_text(encoding="utf-8")
    assert page == state_diagram.written(page), "run: make docs"
    assert "    waiting --> queued: proceed\n" in page
