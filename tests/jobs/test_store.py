"""The store: one open job a model whoever asks, and in order."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from jobs.conftest import Clock
from jobs.races import race
from sample import file_of, manifest_of, numbered
from windlass.errors import IllegalMove, JobNotFound, StateFailure
from windlass.jobs import store as module
from windlass.jobs.job import Job
from windlass.jobs.states import CANCEL, FAIL, FINISH, FOUND, PAUSE, RESUME, START, WAIT, YIELD, Edge, Phase, State
from windlass.jobs.store import Store


def number_of(job: Job) -> int:
    return int(job.manifest.id.rpartition("-")[2])


# Adding


def test_a_new_job_waits_in_the_queue(store: Store, clock: Clock) -> None:
    """Its id has the contract's form, and nothing has happened to it yet."""
    job = store.add(numbered(1))
    assert re.fullmatch(r"job_[0-9a-f]{10}", job.id)
    assert (job.state, job.phase, job.status, job.downloaded) == (State.QUEUED, Phase.QUEUED, "downloading", 0)
    assert (job.created_at, job.started_at, job.completed_at) == (clock.now, None, None)
    assert (job.priority, job.limit_rate, job.owner, job.error_code) == (0, None, None, None)
    assert job.manifest == numbered(1)
    assert job.total == numbered(1).total_size
    assert store.get(job.id) == job
    assert store.history(job.id) == [(1000.0, "add", None)]


def test_the_same_request_is_the_same_job(store: Store) -> None:
    """Also when the repository has been pushed to since: what was begun is brought to its end first."""
    job = store.add(numbered(1))
    assert store.add(numbered(1)) == job
    pushed = manifest_of(file_of(b"pushed since"), id="OWNER/model-1")
    assert store.add(pushed) == job
    assert store.add(numbered(2)).id != job.id


@pytest.mark.parametrize(
    ("edges", "same"),
    [
        ((), True),
        ((START,), True),
        ((PAUSE,), True),
        ((START, FAIL), True),
        ((CANCEL,), False),
        ((START, FINISH), False),
        ((FOUND,), False),
    ],
)
def test_a_job_that_is_over_gives_way_to_a_new_one(store: Store, edges: tuple[object, ...], same: bool) -> None:
    """Completed and cancelled jobs are over; a failed one is still the one to go on with."""
    job = store.add(numbered(1))
    for edge in edges:
        store.move(job.id, edge)  # type: ignore[arg-type]
    assert (store.open_job(numbered(1).key) is not None) is same
    assert (store.add(numbered(1)).id == job.id) is same


def test_fifty_threads_get_one_job(store: Store) -> None:
    """The database promises it, so no thread needs a lock; nobody sees an error."""
    gate = threading.Barrier(50)

    def ask(_: int) -> str:
        gate.wait()
        return store.add(numbered(1)).id

    with ThreadPoolExecutor(50) as threads:
        ids = set(threads.map(ask, range(50)))
    assert len(ids) == 1
    assert len(store.jobs()) == 1


def test_two_processes_get_the_same_jobs(url: str) -> None:
    """Beginning on no database at all, both at once: each model has one job, and both know it."""
    first, second = race("add", url, "20")
    assert first == second
    assert len(set(first.split())) == 20


def test_one_of_many_threads_moves_a_job(store: Store) -> None:
    """A move is one guarded statement: fifty may try to start it, one does."""
    job = store.add(numbered(1))

    def start(number: int) -> bool:
        try:
            return store.move(job.id, START, owner=str(number)).owner == str(number)
        except IllegalMove:
            return False

    with ThreadPoolExecutor(50) as threads:
        assert list(threads.map(start, range(50))).count(True) == 1
    assert len(store.history(job.id)) == 2


def test_a_job_that_is_over_in_between_is_added_anew(store: Store, url: str, clock: Clock) -> None:
    """Cancelled between the refused insert and the look at what is there: asking goes on until one job stands."""
    first = store.add(numbered(1))

    class Late(Store):
        def open_job(self, key: str) -> Job | None:
            if self.get(first.id).state is State.QUEUED:
                self.move(first.id, CANCEL)
            return super().open_job(key)

    with Late(url, clock) as late:
        second = late.add(numbered(1))
    assert second.id != first.id
    assert second.state is State.QUEUED


# What is here already


def test_a_model_that_came_by_another_way_has_a_completed_job(store: Store, clock: Clock) -> None:
    """All fields are there, and asking again makes no second one."""
    job = store.add_completed(numbered(1))
    assert (job.state, job.phase, job.downloaded) == (State.COMPLETED, Phase.DONE, job.total)
    assert (job.started_at, job.completed_at) == (clock.now, clock.now)
    assert store.add_completed(numbered(1)) == job
    assert store.history(job.id) == [(1000.0, "add", "was here already")]


def test_the_newest_completed_job_counts(store: Store) -> None:
    """Of several, and of none; an open job is not one."""
    key = numbered(1).key
    assert store.completed_job(key) is None
    ids: list[str] = []
    for _ in range(2):
        job = store.add(numbered(1))
        assert store.completed_job(key) is None or store.completed_job(key).id == ids[-1]  # type: ignore[union-attr]
        store.move(job.id, START)
        store.move(job.id, FINISH)
        ids.append(job.id)
        newest = store.completed_job(key)
        assert newest
        assert newest.id == job.id
    assert store.add_completed(numbered(1)).id == ids[-1]


# Asking


def test_lists_are_newest_first_and_come_in_pages(store: Store) -> None:
    """`before` goes on where a page ended; a job that is added meanwhile does not shift it."""
    for number in range(7):
        store.add(numbered(number))
    first = store.jobs(limit=3)
    store.add(numbered(99))
    second = store.jobs(limit=3, before=first[-1].number)
    rest = store.jobs(limit=3, before=second[-1].number)
    assert [number_of(job) for page in (first, second, rest) for job in page] == [6, 5, 4, 3, 2, 1, 0]
    assert store.jobs(before=rest[-1].number) == []


def test_lists_hold_the_states_asked_for(store: Store) -> None:
    """One, several, none."""
    ids = [store.add(numbered(number)).id for number in range(3)]
    store.move(ids[0], PAUSE)
    store.move(ids[1], START)
    assert [job.id for job in store.jobs({State.PAUSED})] == [ids[0]]
    assert [job.id for job in store.jobs({State.PAUSED, State.RUNNING})] == [ids[1], ids[0]]
    assert store.jobs({State.FAILED}) == []
    assert store.jobs(()) == []


def test_a_number_is_not_used_twice(store: Store) -> None:
    """A page's cursor stays right, though the newest job was forgotten."""
    job = store.add(numbered(1))
    store.move(job.id, CANCEL)
    store.forget(job.id)
    assert store.add(numbered(1)).number > job.number


def test_a_moves_number_is_not_used_twice(store: Store) -> None:
    """Whoever asks for what came after it misses nothing, though the job that it was of is forgotten."""
    job = store.add(numbered(1))
    store.move(job.id, CANCEL)
    last = store.last_move()
    store.forget(job.id)
    other = store.add(numbered(2))
    assert store.moved_since(last) == [job.id, other.id]


def test_that_a_job_was_forgotten_is_forgotten_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the jobs of all years would each leave a line."""
    monkeypatch.setattr(module, "_TOLD_OF", 5)
    gone = []
    for number in range(4):
        job = store.add(numbered(number))
        store.move(job.id, CANCEL)
        store.forget(job.id)
        gone.append(job.id)
    assert store.moved_since(0) == gone[2:]


@pytest.mark.parametrize("call", ["get", "move", "change", "forget"])
def test_an_unknown_job_is_not_found(store: Store, call: str) -> None:
    """In the contract's words, and nothing is written."""
    store.add(numbered(1))
    before = store.jobs()
    verbs: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("job_x"),
        "move": lambda: store.move("job_x", START),
        "change": lambda: store.change("job_x", priority=1),
        "forget": lambda: store.forget("job_x"),
    }
    with pytest.raises(JobNotFound, match=r"^Download job with id 'job_x' not found$"):
        verbs[call]()
    assert store.jobs() == before
    assert store.history("job_x") == []


# Writing


def test_times_and_errors_follow_the_moves(store: Store, clock: Clock) -> None:
    """The first start counts, an error goes when the job goes on, and who runs it is cleared when it does not run."""
    job = store.add(numbered(1))
    clock.now = 2000.0
    job = store.move(job.id, START, owner="me")
    assert (job.started_at, job.owner, job.phase) == (2000.0, "me", Phase.RESOLVING)
    clock.now = 3000.0
    job = store.move(job.id, FAIL, error_code="hub_error", error_message="It broke.", downloaded=4)
    assert (job.error_code, job.error_message, job.downloaded) == ("hub_error", "It broke.", 4)
    assert (job.owner, job.completed_at) == (None, None)
    job = store.retry(job.id, manifest_of(file_of(b"pushed since"), id="owner/model-1"))
    assert (job.state, job.phase, job.error_code, job.error_message) == (State.QUEUED, Phase.QUEUED, None, None)
    assert job.manifest.files == (file_of(b"pushed since"),)
    clock.now = 4000.0
    store.move(job.id, START, owner="me")
    job = store.move(job.id, FINISH, downloaded=12)
    assert (job.started_at, job.completed_at, job.phase, job.owner) == (2000.0, 4000.0, Phase.DONE, None)


def test_yield_and_resume_put_a_job_back_as_it_is(store: Store) -> None:
    """What has come still counts; its place in the queue is the old one."""
    job = store.add(numbered(1))
    for first, then in ((START, YIELD), (PAUSE, RESUME)):
        store.move(job.id, first)
        store.progress(job.id, 3)
        back = store.move(job.id, then)
        assert (back.state, back.phase, back.downloaded, back.number) == (State.QUEUED, Phase.QUEUED, 3, job.number)


@pytest.mark.parametrize(
    ("edges", "state", "phase"),
    [
        ((PAUSE,), State.PAUSED, Phase.TRANSFERRING),
        ((YIELD,), State.QUEUED, Phase.QUEUED),
        ((PAUSE, RESUME), State.QUEUED, Phase.QUEUED),
        ((CANCEL,), State.CANCELLED, Phase.TRANSFERRING),
        ((FINISH,), State.COMPLETED, Phase.DONE),
    ],
)
def test_how_far_a_job_was_is_noted_when_it_has_stopped(
    store: Store, edges: tuple[Edge, ...], state: State, phase: Phase
) -> None:
    """Wherever it has gone meanwhile; one that is back in the queue says so."""
    job = store.add(numbered(1))
    store.move(job.id, START)
    for edge in edges:
        store.move(job.id, edge)
    store.settle(job.id, 5, Phase.TRANSFERRING)
    job = store.get(job.id)
    assert (job.state, job.phase, job.downloaded) == (state, phase, 0 if state is State.COMPLETED else 5)


def test_progress_is_noted_only_where_there_can_be_some(store: Store) -> None:
    """A late note of a pull that was told to stop must not touch a job that is over, nor the phase of a paused one."""
    job = store.add(numbered(1))
    assert store.progress(job.id, 1)
    assert not store.progress(job.id, 9, Phase.TRANSFERRING)
    assert (store.get(job.id).downloaded, store.get(job.id).phase) == (1, Phase.QUEUED)
    store.move(job.id, START)
    assert store.progress(job.id, 2, Phase.TRANSFERRING)
    assert (store.get(job.id).downloaded, store.get(job.id).phase) == (2, Phase.TRANSFERRING)
    store.move(job.id, FINISH, downloaded=7)
    assert not store.progress(job.id, 3)
    assert store.get(job.id).downloaded == 7
    assert not store.progress("job_x", 3)


def test_priority_and_rate_can_be_changed(store: Store) -> None:
    """At any time, one by one, and a rate can be taken away again."""
    job = store.add(numbered(1))
    assert store.change(job.id, priority=5).priority == 5
    assert store.change(job.id, limit_rate=10**12).limit_rate == 10**12
    job = store.change(job.id, limit_rate=None)
    assert (job.priority, job.limit_rate) == (5, None)


@pytest.mark.parametrize("state", State)
def test_only_what_is_over_is_forgotten(store: Store, state: State) -> None:
    """With its history; other jobs keep theirs."""
    edges: dict[State, tuple[Edge, ...]] = {State.RUNNING: (START,), State.PAUSED: (PAUSE,), State.CANCELLED: (CANCEL,)}
    edges |= {State.COMPLETED: (START, FINISH), State.FAILED: (START, FAIL), State.WAITING: (START, WAIT)}
    other, job = store.add(numbered(2)), store.add(numbered(1))
    for edge in edges.get(state, ()):
        store.move(job.id, edge)
    if state in {State.COMPLETED, State.CANCELLED, State.FAILED}:
        store.forget(job.id)
        assert (store.jobs(), store.history(job.id)) == ([other], [])
    else:
        with pytest.raises(IllegalMove, match=f"is {state}: it cannot be forgotten"):
            store.forget(job.id)
        assert len(store.jobs()) == 2
        assert store.history(job.id)
    assert len(store.history(other.id)) == 1


# The manifest is read once


def test_a_look_at_a_job_parses_no_manifest_again(store: Store) -> None:
    """One that is known already is the same object, in whichever way the job is looked at."""
    job = store.add(numbered(1))
    moved = store.move(job.id, START)
    [listed], opened = store.jobs(), store.open_job(job.manifest.key)
    assert opened
    assert all(seen.manifest is job.manifest for seen in (moved, listed, opened, store.get(job.id)))


def test_a_manifest_that_another_process_has_changed_is_read(store: Store, url: str, clock: Clock) -> None:
    """Each retry may bring another one; a move that brings none leaves what is known."""
    job = store.add(numbered(1))
    with Store(url, clock) as other:
        for content in (b"pushed since", b"and once more"):
            for edge in (START, FAIL):
                store.move(job.id, edge)
            before = store.get(job.id).manifest
            pushed = manifest_of(file_of(content), id="owner/model-1")
            assert other.retry(job.id, pushed).manifest == pushed
            assert store.get(job.id).manifest == pushed != before
            assert store.jobs()[0].manifest is store.get(job.id).manifest


def test_what_is_not_committed_is_not_kept(store: Store, url: str, clock: Clock) -> None:
    """A retry that fails at its commit, and another's that gets the same number: the other's manifest is the job's."""
    lost, pushed = (manifest_of(file_of(content), id="owner/model-1") for content in (b"lost", b"pushed since"))
    job = store.add(numbered(1))
    for edge in (START, FAIL):
        store.move(job.id, edge)

    def fail(_: object) -> None:
        raise StateFailure("The disk is full.")

    sa.event.listen(store._engine, "commit", fail)
    with pytest.raises(StateFailure, match="full"):
        store.retry(job.id, lost)
    sa.event.remove(store._engine, "commit", fail)
    assert store.get(job.id).manifest == numbered(1)
    with Store(url, clock) as other:
        other.retry(job.id, pushed)
    assert store.get(job.id).manifest == pushed


def test_a_long_list_has_each_jobs_own_manifest(
    store: Store, url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read some at a time, those only that are not known."""
    monkeypatch.setattr("windlass.jobs.store._AT_ONCE", 2)
    ids = [store.add(numbered(number)).id for number in range(7)]
    with Store(url, clock) as other:
        known = [other.get(ids[number]).manifest for number in (1, 4)]
        listed = other.jobs()
    assert [number_of(job) for job in listed] == [6, 5, 4, 3, 2, 1, 0]
    assert [job.manifest for job in listed] == [numbered(number) for number in (6, 5, 4, 3, 2, 1, 0)]
    assert [listed[5].manifest is known[0], listed[2].manifest is known[1]] == [True, True]


# What those who follow jobs, or count them, ask


def test_which_jobs_were_moved_since(store: Store) -> None:
    """Each once, the one moved last at the end, and no more than wanted: those moved last."""
    assert store.last_move() == 0
    first, second, third = (store.add(numbered(number)).id for number in (1, 2, 3))
    began = store.last_move()
    assert store.moved_since(0) == [first, second, third]
    assert store.moved_since(began) == []
    for job_id, edge in ((second, START), (first, PAUSE), (second, FINISH)):
        store.move(job_id, edge)
    assert store.moved_since(began) == [first, second]
    assert store.moved_since(began, limit=1) == [second]
    assert store.last_move() == began + 3


def test_how_many_jobs_there_are_and_which(store: Store) -> None:
    """By state; of the ids the newest, oldest first."""
    ids = [store.add(numbered(number)).id for number in (1, 2, 3)]
    store.move(ids[1], PAUSE)
    counts = store.counts()
    assert {state: count for state, count in counts.items() if count} == {State.QUEUED: 2, State.PAUSED: 1}
    assert set(counts) == set(State)
    assert store.ids({State.QUEUED}) == [ids[0], ids[2]]
    assert store.ids(set(State), limit=2) == ids[1:]
