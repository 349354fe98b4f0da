"""The runner on a disk that runs full: jobs wait before it is, hold up nobody, and go on by themselves."""

import errno
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from a_yard import Yard, job_manifest, quick_yard
from windlass.errors import InsufficientStorage, StateFailure, StorageUnavailable
from windlass.jobs.job import Job
from windlass.jobs.queue import OVERHEAD
from windlass.jobs.states import CANCEL, FAIL, PAUSE, RESUME, WAIT, Edge, Phase, State
from windlass.library.shelf import Shelf
from windlass.library.shelf import State as FileState
from windlass.manifest import ManifestFile
from windlass.pull import Progress
from windlass.space import Reserve
from windlass.transfer.network import Request

SIZE = job_manifest(0).total_size
ENOUGH = 1000 + SIZE + OVERHEAD


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """1000 bytes of its disk always stay free."""
    yield from quick_yard(tmp_path, monkeypatch)


class Slow(Shelf):
    """Verifies what stands there when the test lets it."""

    def __init__(self, models: Path) -> None:
        super().__init__(models, models)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def state_of(self, file: ManifestFile) -> FileState:
        return FileState.UNVERIFIED

    def adopt(self, file: ManifestFile, **_: Any) -> bool:
        self.reached.set()
        self.go_on.wait(20)
        return False


def edges(yard: Yard, job_id: str) -> list[str]:
    return [edge for _, edge, _ in yard.store.history(job_id)]


def let_it_look(yard: Yard) -> None:
    """Return when the runner has looked at everything at least once more."""
    looks = yard.store.looks
    yard.news.until(lambda: yard.store.looks > looks + 12)


def full(yard: Yard, *numbers: int) -> list[str]:
    """Jobs that transfer when the disk has 999 bytes left, and wait for room thereupon."""
    yard.network.hold(*numbers)
    ids = yard.add(*numbers)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(*numbers))
    yard.free = 999
    yard.until(State.WAITING, *ids)
    return ids


def seem_fast(yard: Yard, job_id: str, rate: int) -> None:
    running = yard.runner.running(job_id)
    assert running
    yard.news.until(lambda: bool(running.speed.samples))
    at, count = running.speed.samples[-1]
    running.speed.samples.appendleft((at - 1.0, count - rate))


def test_a_job_waits_before_the_disk_is_full_and_goes_on_by_itself(yard: Yard) -> None:
    """With less than must stay free it waits, with the numbers; with enough again for all that it needs it goes on."""
    [job_id] = full(yard, 0)
    job = yard.store.get(job_id)
    assert (job.error_code, job.owner, job.phase, job.downloaded) == (
        "insufficient_storage", None, Phase.TRANSFERRING, 0,
    )  # fmt: skip
    for said in ("1,004 more bytes", "0 may be used", str(yard.shelf.models_dir), "999 are free", "1,000 stay so"):
        assert said in (job.error_message or "")
    yard.network.let_go(0)
    yard.free = ENOUGH - 1
    let_it_look(yard)
    assert yard.states(job_id) == [State.WAITING]
    yard.free = ENOUGH
    yard.until(State.COMPLETED, job_id)
    assert edges(yard, job_id) == ["add", "start", "wait", "proceed", "start", "finish"]
    assert yard.store.get(job_id).error_code is None
    assert yard.shelf.state_of(job_manifest(0).files[0]) is FileState.PRESENT


def test_a_job_that_fits_goes_on_though_little_is_left(yard: Yard) -> None:
    """What must stay free is not touched by what it still needs: it need not wait, however fast it is."""
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    seem_fast(yard, job_id, 10**9)
    yard.free = 1000 + SIZE
    let_it_look(yard)
    yard.network.let_go(0)
    yard.until(State.COMPLETED, job_id)
    assert edges(yard, job_id) == ["add", "start", "finish"]


def test_a_disk_that_cannot_be_looked_at_ends_nothing(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be one of several, and what goes to the others goes on."""
    together, failed = yard.waiting.together, threading.Event()

    def dead(jobs: Sequence[Job]) -> list[list[Job]]:
        if not failed.is_set():
            failed.set()
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return together(jobs)

    monkeypatch.setattr(yard.waiting, "together", dead)
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    assert failed.wait(20)
    yard.network.let_go(0)
    yard.until(State.COMPLETED, job_id)
    assert yard.runner.alive


def test_a_job_that_writes_nothing_now_does_not_wait(yard: Yard) -> None:
    """One that reads what is there, to verify it, needs no room for that; when it has to fetch, it waits."""
    yard.shelf = shelf = Slow(yard.shelf.models_dir)
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    assert shelf.reached.wait(20)
    yard.free = 999
    let_it_look(yard)
    running = yard.runner.running(job_id)
    assert running
    assert not running.task.cancelling()
    shelf.go_on.set()
    yard.until(State.WAITING, job_id)


def test_a_fast_job_waits_a_look_ahead(yard: Yard) -> None:
    """What comes until the next look counts as taken: else that much less would stay free."""
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    yard.free = 1000 + 300
    let_it_look(yard)
    assert yard.states(job_id) == [State.RUNNING]
    seem_fast(yard, job_id, 10**6)
    yard.until(State.WAITING, job_id)


def test_who_waits_for_room_holds_no_place(yard: Yard) -> None:
    """One may run: while the first waits, another is brought in; and a byte short of enough is not enough."""
    yard.limit(max_jobs=1)
    [first] = full(yard, 0)
    yard.free = ENOUGH - 1
    [second] = yard.add(1)
    yard.until(State.COMPLETED, second)
    assert yard.states(first) == [State.WAITING]


@pytest.mark.parametrize(("edge", "state"), [(PAUSE, State.PAUSED), (CANCEL, State.CANCELLED)])
def test_what_a_person_says_stands(yard: Yard, edge: Edge, state: State) -> None:
    """A job that waits for room and is paused or cancelled by hand does not go on when there is some."""
    first, second = full(yard, 0, 1)
    yard.store.move(first, edge)
    assert yard.store.get(first).error_code is None
    yard.network.let_go(0, 1)
    yard.free = 10**9
    yard.until(State.COMPLETED, second)
    let_it_look(yard)
    assert yard.states(first) == [state]


def test_a_person_may_have_it_try_at_once(yard: Yard) -> None:
    """Resumed by hand it runs, and waits again if there is no room indeed."""
    [job_id] = full(yard, 0)
    yard.store.move(job_id, RESUME)
    yard.runner.poke()
    yard.news.until(lambda: edges(yard, job_id).count("wait") == 2)
    assert yard.states(job_id) == [State.WAITING]


def test_it_waits_over_a_restart(yard: Yard, tmp_path: Path) -> None:
    """The next process knows that it waits, since when, and lets it go on."""
    [job_id] = full(yard, 0)
    before = yard.store.get(job_id)
    yard.close()
    again = Yard(tmp_path)
    again.free = 999
    again.runner.start()
    let_it_look(again)
    assert again.store.get(job_id) == before
    again.free = 10**9
    again.until(State.COMPLETED, job_id)
    again.close()


def test_a_disk_that_takes_no_more(yard: Yard) -> None:
    """The system itself says that it is full, before we have seen it: the job waits, and the numbers are ours."""

    def refuse(_: Request) -> None:
        yard.free = 0
        raise InsufficientStorage("full", needed=0, free=0)

    yard.network.watch = refuse
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.until(State.WAITING, job_id)
    job = yard.store.get(job_id)
    assert (job.error_code, job.downloaded) == ("insufficient_storage", 0)
    assert "1,004 more bytes, and 0 may be used" in (job.error_message or "")
    assert "goes on by itself" in (job.error_message or "")
    yard.network.watch = lambda _: None
    yard.free = 10**9
    yard.until(State.COMPLETED, job_id)


def test_a_disk_that_shows_room_and_takes_nothing(yard: Yard) -> None:
    """A quota, say: nobody can see when that ends, so the job fails, with the same code, instead of trying for ever."""

    def refuse(_: Request) -> None:
        raise InsufficientStorage("full", needed=0, free=0)

    yard.network.watch = refuse
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.until(State.FAILED, job_id)
    job = yard.store.get(job_id)
    assert (job.error_code, edges(yard, job_id)) == ("insufficient_storage", ["add", "start", "fail"])
    assert "quota" in (job.error_message or "")


def test_a_folder_that_has_vanished_is_no_full_disk(yard: Yard) -> None:
    """Its space cannot be told: a running job goes on until the disk itself fails it, and one that waits, waits."""
    [waiting] = full(yard, 0)
    yard.free = 10**6
    yard.network.hold(2)
    [running] = yard.add(2)
    yard.news.until(lambda: yard.network.waits(2))
    seem_fast(yard, running, 10**6)

    def gone(_: Path) -> int:
        raise FileNotFoundError

    yard.look = gone
    let_it_look(yard)
    assert yard.states(waiting, running) == [State.WAITING, State.RUNNING]

    def refuse(_: Request) -> None:
        raise StorageUnavailable("gone")

    yard.network.watch = refuse
    [job_id] = yard.add(1)
    yard.until(State.FAILED, job_id)
    assert yard.store.get(job_id).error_code == "storage_error"


def test_only_the_jobs_of_a_command_are_its_business(yard: Yard) -> None:
    """It does not let those of others go on, which it would not run."""
    first, second = full(yard, 0, 1)
    yard.runner.only = {second}
    let_it_look(yard)
    yard.network.let_go(0, 1)
    yard.free = 10**9
    yard.until(State.COMPLETED, second)
    assert yard.states(first) == [State.WAITING]


def test_a_reserve_is_kept_from_the_first_job_on(yard: Yard, tmp_path: Path) -> None:
    """Not before: a server that is asked for nothing it can do writes nothing."""
    yard.runner.start()
    let_it_look(yard)
    assert not (tmp_path / "reserve").exists()
    [job_id] = yard.add(0)
    yard.until(State.COMPLETED, job_id)
    yard.runner.close()
    yard.runner._clerks.shutdown()
    assert (tmp_path / "reserve").exists()


@pytest.mark.parametrize("edge", [WAIT, FAIL], ids=lambda edge: str(edge.name))
def test_a_store_that_cannot_be_written_loses_no_job(
    yard: Yard, edge: Edge, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its disk is full as well: that a job waits cannot be noted. It is queued again once it can, and then waits."""
    move = yard.store.move
    refused: list[str] = []

    def once(job_id: str, tried: Edge, **more: Any) -> Job:
        if tried is edge and not refused:
            refused.append(job_id)
            raise StateFailure("database or disk is full")
        return move(job_id, tried, **more)

    def refuse(_: Request) -> None:
        yard.free = 999 if edge is WAIT else yard.free
        raise InsufficientStorage("full", needed=0, free=0)

    monkeypatch.setattr(yard.store, "move", once)
    monkeypatch.setattr(Reserve, "give_up", lambda _: False)
    yard.network.watch = refuse
    with caplog.at_level(logging.ERROR):
        [job_id] = yard.add(0)
        yard.runner.start()
        yard.until(State.WAITING if edge is WAIT else State.FAILED, job_id)
    assert refused
    assert "cannot be noted" in caplog.text or "could not be" in caplog.text
    assert edges(yard, job_id) == ["add", "start", "yield", "start", edge.name]


def test_what_is_to_be_done_at_the_end_may_fail(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait of a job that was told to wait cannot be noted at first: it is not stuck, and it says so in the log."""
    move = yard.store.move
    refused: list[str] = []

    def once(job_id: str, tried: Edge, **more: Any) -> Job:
        if tried is WAIT and not refused:
            refused.append(job_id)
            raise StateFailure("database or disk is full")
        return move(job_id, tried, **more)

    monkeypatch.setattr(yard.store, "move", once)
    monkeypatch.setattr(Reserve, "give_up", lambda _: False)
    with caplog.at_level(logging.ERROR):
        [job_id] = full(yard, 0)
    assert refused
    assert "could not be" in caplog.text
    assert edges(yard, job_id) == ["add", "start", "yield", "start", "wait"]


def test_a_cancel_while_a_job_goes_to_wait_is_not_missed(yard: Yard) -> None:
    """What is to be done at the end of its pull is done, though something else is being done there already."""
    add, reached, go_on, done = yard.waiting.add, threading.Event(), threading.Event(), threading.Event()

    def slowly(job: Job, progress: Progress) -> None:
        reached.set()
        go_on.wait(20)
        add(job, progress)

    object.__setattr__(yard.waiting, "add", slowly)
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    yard.free = 999
    assert reached.wait(20)
    yard.store.move(job_id, CANCEL)
    interrupting = threading.Thread(target=yard.runner.interrupt, args=(job_id, done.set))
    interrupting.start()
    go_on.set()
    interrupting.join(20)
    assert done.is_set()
    assert yard.states(job_id) == [State.CANCELLED]
