"""Jobs that wait for room on the disk: who waits, who goes on, who is given up, and what they are told."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a_yard import LARGE, begin, job_manifest
from windlass.errors import StateFailure
from windlass.folder import ModelsFolder
from windlass.jobs.job import Job
from windlass.jobs.queue import OVERHEAD, PATIENCE
from windlass.jobs.states import CANCEL, PAUSE, START, WAIT, Edge, Phase, State
from windlass.jobs.store import Store
from windlass.library.shelf import Shelf
from windlass.places import Place, Places
from windlass.pull import progress_of
from windlass.space import Reserve, Waiting

SIZE = job_manifest(LARGE).total_size
MIN_FREE = 5000
ENOUGH = MIN_FREE + SIZE + OVERHEAD
MIB = 1024 * 1024


class Machine:
    """A disk with as much room as the test says, a clock that it sets, and the jobs on it."""

    def __init__(self, home: Path) -> None:
        self.now, self.free = 1_760_000_000.0, 0
        self.shelf = Shelf(home, home / "lmstudio")
        self.store = Store(f"sqlite:///{home}/windlass.db", lambda: self.now)
        folder = ModelsFolder(home, home / "known", MIN_FREE, self.look)
        self.looks = 0
        self.reserve = home / "reserve"
        places = Places([Place(self.shelf, folder)])
        self.waiting = Waiting(self.store, places, Reserve(self.reserve), lambda: self.now)

    def look(self, _: Path) -> int:
        self.looks += 1
        return self.free

    def running(self, number: int = LARGE, began: int = 0) -> Job:
        """A job that runs, and had so many bytes when it began."""
        job = self.store.add(job_manifest(number))
        self.store.progress(job.id, began)
        return self.store.move(job.id, START, owner="me")

    def refused(self, job: Job) -> Job:
        """The disk takes no more of it."""
        progress = progress_of(job.manifest, self.shelf)
        progress.phase = Phase.TRANSFERRING
        self.waiting.refused(job, progress)
        return self.store.get(job.id)

    def relieved(self, job: Job) -> Job:
        self.waiting.relieve(None)
        return self.store.get(job.id)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.store.close()


@pytest.mark.parametrize(("free", "soon", "short"), [(4999, 0, True), (5000, 0, False), (5009, 10, True)])
def test_short_is_less_than_what_stays_free(machine: Machine, free: int, soon: int, short: bool) -> None:
    """Now, or when the bytes have come that are on their way."""
    machine.free = free
    assert machine.waiting.is_short(machine.running(), soon) is short


def test_a_job_waits_with_what_is_on_the_disk(machine: Machine) -> None:
    """The bytes that are kept, since when it waits, and what it lacks, in numbers."""
    begin(machine.shelf, LARGE, 400)
    machine.free = 4000
    job = machine.refused(machine.running(began=700))
    assert (job.state, job.status, job.downloaded, job.phase) == (State.WAITING, "paused", 400, Phase.TRANSFERRING)
    assert (job.waiting_since, job.owner, job.error_code) == (machine.now, None, "insufficient_storage")
    assert job.error_message == (
        f"owner/model-6 needs {SIZE - 400:,} more bytes, and 0 may be used on {machine.shelf.models_dir} "
        "(4,000 are free, 5,000 stay so). Free some space: the job waits, and goes on by itself when there is enough."
    )
    assert machine.store.history(job.id)[-1][1] == "wait"


@pytest.mark.parametrize(
    ("kept", "free", "state"),
    [
        (400, ENOUGH, State.WAITING),  # it got somewhere: the room came back just now
        (300, ENOUGH - 301, State.WAITING),
        (300, ENOUGH - 300, State.FAILED),
        (200, ENOUGH, State.FAILED),
        (SIZE, MIN_FREE, State.WAITING),  # all has come, and there is no room for its receipt
    ],
)
def test_it_waits_where_waiting_can_end(machine: Machine, kept: int, free: int, state: State) -> None:
    """There is too little room, or it got somewhere. Else the disk takes nothing of what it shows to have."""
    begin(machine.shelf, LARGE, kept)
    machine.free = free
    job = machine.refused(machine.running(began=300))
    assert (job.state, job.downloaded, job.error_code) == (state, kept, "insufficient_storage")
    assert ("quota" in (job.error_message or "")) is (state is State.FAILED)


def test_a_day_without_room_is_enough(machine: Machine, tmp_path: Path) -> None:
    """It fails with the same code, and not a second earlier; the day counts over restarts."""
    begin(machine.shelf, LARGE, 400)
    job = machine.refused(machine.running())
    machine.now += PATIENCE - 1
    assert machine.relieved(job).state is State.WAITING
    later = Machine(tmp_path)
    later.now = machine.now + 1
    job = later.relieved(job)
    assert (job.state, job.error_code, job.downloaded) == (State.FAILED, "insufficient_storage", 400)
    assert f"{SIZE - 400:,} more bytes" in (job.error_message or "")
    assert "within a day" in (job.error_message or "")
    assert job.waiting_since is None
    assert [edge for _, edge, _ in later.store.history(job.id)] == ["add", "start", "wait", "expire"]
    later.store.close()


def test_a_new_wait_is_a_new_day(machine: Machine) -> None:
    """Somebody had made room, even if it was not enough in the end."""
    job = machine.refused(machine.running())
    machine.now += PATIENCE - 1
    machine.free = 10**9
    assert machine.relieved(job).state is State.QUEUED
    machine.free = 0
    job = machine.refused(machine.store.move(job.id, START, owner="me"))
    machine.now += PATIENCE - 1
    assert machine.relieved(job).state is State.WAITING


def test_room_goes_to_those_for_whom_it_is_enough(machine: Machine) -> None:
    """What is promised to jobs that run or are queued is not given away a second time."""
    first, second = machine.refused(machine.running(LARGE)), machine.refused(machine.running(LARGE + 1))
    machine.running(LARGE + 2, began=4)
    machine.free = ENOUGH + SIZE - 4
    assert machine.relieved(first).state is State.QUEUED
    assert machine.relieved(second).state is State.WAITING
    machine.free += SIZE - 1
    assert machine.relieved(second).state is State.WAITING
    machine.free += 1 + OVERHEAD
    assert machine.relieved(second).state is State.QUEUED


@pytest.mark.parametrize("edge", [PAUSE, CANCEL], ids=lambda edge: str(edge.name))
@pytest.mark.parametrize("free", [0, 10**9])
def test_what_a_person_does_meanwhile_stands(
    machine: Machine, edge: Edge, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at who waits and the move: paused or cancelled by hand, it stays so."""
    job = machine.refused(machine.running())
    machine.free, machine.now = free, machine.now + PATIENCE
    jobs = machine.store.jobs

    def look(states: set[State]) -> list[Job]:
        found = jobs(states)
        if states == {State.WAITING}:
            machine.store.move(job.id, edge)
        return found

    monkeypatch.setattr(machine.store, "jobs", look)
    assert machine.relieved(job).state is edge.target


def test_nobody_who_waits_costs_no_look_at_the_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case, every few seconds: one question to the database."""
    asked: list[object] = []
    monkeypatch.setattr(machine.store, "jobs", lambda states: asked.append(states) or [])  # type: ignore[func-returns-value]
    machine.waiting.relieve(None)
    assert (asked, machine.looks) == ([{State.WAITING}], 0)


def test_the_records_have_a_reserve(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk takes no note either, the reserve is given up for it; with room it is kept before a job runs."""
    move = machine.store.move

    def on_a_full_disk(job_id: str, edge: Edge, **more: Any) -> Job:
        if machine.reserve.exists():
            raise StateFailure("database or disk is full")
        return move(job_id, edge, **more)

    job = machine.running()
    machine.waiting.prepare()
    assert not machine.reserve.exists()
    machine.free = MIN_FREE + 4 * MIB
    machine.waiting.prepare()
    assert machine.reserve.stat().st_blocks * 512 >= 4 * MIB
    machine.free = 0
    monkeypatch.setattr(machine.store, "move", on_a_full_disk)
    assert machine.refused(job).state is State.WAITING
    assert not machine.reserve.exists()


def test_records_that_cannot_be_written_for_another_reason(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no reserve to give up the error is the caller's."""

    def broken(job_id: str, edge: Edge, **more: Any) -> Job:
        raise StateFailure("no such table")

    job = machine.running()
    monkeypatch.setattr(machine.store, "move", broken)
    with pytest.raises(StateFailure):
        machine.refused(job)


def test_a_reserve_that_cannot_be_had_is_done_without(tmp_path: Path) -> None:
    """There is no room for it, or no folder: no trace is left, and no error."""
    limited = Reserve(tmp_path / "reserve")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
    try:
        limited.keep()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
    Reserve(tmp_path / "gone" / "reserve").keep()
    assert not limited.give_up()


def test_waiting_is_over_when_the_job_goes_on(machine: Machine) -> None:
    """By itself, by hand, or because it is paused: no moment of an earlier wait is left."""
    for number, edge in enumerate((PAUSE, CANCEL)):
        job = machine.refused(machine.running(number))
        assert job.waiting_since
        assert machine.store.move(job.id, edge).waiting_since is None
    assert machine.store.jobs({State.WAITING}) == []
    assert WAIT.sources == {State.RUNNING}
