"""The runner: starts what the queue says, ends what it is told to, and outlives whatever goes wrong in a job."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from a_store import News
from a_yard import CONTENTS, LARGE, Yard, begin, job_manifest, quick_yard
from windlass import runner as module
from windlass.errors import StorageUnavailable
from windlass.jobs.job import Job
from windlass.jobs.states import CANCEL, FINISH, PAUSE, RESUME, START, YIELD, Edge, Phase, State
from windlass.library.shelf import Shelf
from windlass.library.shelf import State as FileState
from windlass.limits import Limits, read_limits
from windlass.manifest import ManifestFile
from windlass.presence import Presence
from windlass.pull import Means, progress_of
from windlass.runner import Runner, Workshop
from windlass.transfer.network import Request
from windlass.transfer.target import Tools


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    yield from quick_yard(tmp_path, monkeypatch)


def test_what_is_queued_is_brought_in(yard: Yard) -> None:
    """Jobs from before the start and from after it; each ends as completed, with all its bytes."""
    ids = yard.add(0)
    yard.runner.start()
    ids += yard.add(1)
    yard.until(State.COMPLETED, *ids)
    for number, job_id in enumerate(ids):
        job = yard.store.get(job_id)
        assert (job.downloaded, job.phase, job.owner) == (job.total, Phase.DONE, None)
        assert yard.shelf.state_of(job_manifest(number).files[0]) is FileState.PRESENT
        assert [edge for _, edge, _ in yard.store.history(job_id)] == ["add", "start", "finish"]


def test_no_more_run_than_allowed(yard: Yard) -> None:
    """The others wait in the queue, and the next starts when one has ended: the urgent first, then the oldest."""
    yard.network.hold(0, 1, 2, 3)
    yard.limit(max_jobs=2)
    ids = yard.add(0, 1, 2, 3)
    yard.store.change(ids[3], priority=1)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(3, 0))
    assert yard.states(*ids) == [State.RUNNING, State.QUEUED, State.QUEUED, State.RUNNING]
    assert {yard.store.get(job_id).owner for job_id in ids} == {yard.presence.name, None}
    yard.network.let_go(3)
    yard.news.until(lambda: yard.network.waits(0, 1))
    yard.network.let_go(0, 1, 2)
    yard.until(State.COMPLETED, *ids)


def test_with_fewer_allowed_the_last_yields(yard: Yard) -> None:
    """At once, though nothing waits in the queue; with more allowed it goes on."""
    yard.network.hold(0, 1)
    ids = yard.add(0, 1)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0, 1))
    yard.limit(max_jobs=1)
    yard.news.until(lambda: yard.states(*ids) == [State.RUNNING, State.QUEUED] and yard.network.waits(0))
    yard.limit(max_jobs=2)
    yard.news.until(lambda: yard.network.waits(0, 1))
    yard.network.let_go(0, 1)
    yard.until(State.COMPLETED, *ids)


def test_limits_that_were_set_hold(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets them waits for what is being started by those of before."""
    move, begun, go_on = yard.store.move, threading.Event(), threading.Event()

    def move_slowly(job_id: str, edge: Edge, **more: Any) -> Job:
        if edge is START:
            begun.set()
            assert go_on.wait(20)
        return move(job_id, edge, **more)

    monkeypatch.setattr(yard.store, "move", move_slowly)
    yard.network.hold(0, 1)
    ids = yard.add(0, 1)
    yard.runner.start()
    assert begun.wait(20)
    setting = threading.Thread(target=lambda: yard.limit(max_jobs=1))
    setting.start()
    setting.join(0.1)
    assert setting.is_alive()
    go_on.set()
    setting.join()
    yard.news.until(lambda: yard.states(*ids) == [State.RUNNING, State.QUEUED])


def test_only_those_asked_for_are_run(yard: Yard) -> None:
    """A command does its own job, and leaves those of others in the queue."""
    ids = yard.add(0, 1)
    yard.runner.only = {ids[1]}
    yard.runner.start()
    yard.until(State.COMPLETED, ids[1])
    assert yard.states(*ids) == [State.QUEUED, State.COMPLETED]
    assert not any("model-0" in url for url in yard.network.asked)


def test_jobs_that_run_elsewhere_count(yard: Yard, tmp_path: Path) -> None:
    """Another process runs one: this one starts as many fewer, and does not touch it."""
    ids = yard.add(0, 1)
    yard.limit(max_jobs=1)
    with Presence(tmp_path) as other:
        yard.store.move(ids[0], START, owner=other.name)
        yard.runner.start()
        yard.news.until(lambda: yard.store.looks > 20)
        assert yard.states(*ids) == [State.RUNNING, State.QUEUED]
    yard.until(State.COMPLETED, *ids)
    assert [edge for _, edge, _ in yard.store.history(ids[0])] == ["add", "start", "yield", "start", "finish"]


def test_a_job_that_another_process_starts_first_is_left_to_it(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the queue and the start: one of the two gets it, and the other goes on with what is left."""
    move, tried = yard.store.move, threading.Event()
    ids = yard.add(0, 1)
    with Presence(tmp_path) as other:

        def move_second(job_id: str, edge: Edge, **more: object) -> Job:
            if edge is START and job_id == ids[0] and not tried.is_set():
                tried.set()
                move(job_id, START, owner=other.name)
            return move(job_id, edge, **more)

        monkeypatch.setattr(yard.store, "move", move_second)
        yard.runner.start()
        yard.until(State.COMPLETED, ids[1])
        assert tried.is_set()
        assert yard.store.get(ids[0]).owner == other.name
    yard.until(State.COMPLETED, ids[0])


def test_a_job_that_is_paused_as_it_ends_keeps_all_that_has_come(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause stands, and no byte that was told of is taken back."""
    move = yard.store.move
    [job_id] = yard.add(0)

    def pause_first(moved: str, edge: Edge, **more: object) -> Job:
        if edge is FINISH:
            move(job_id, PAUSE)
        return move(moved, edge, **more)

    monkeypatch.setattr(yard.store, "move", pause_first)
    yard.runner.start()
    assert yard.runner.ended.wait(20)
    job = yard.store.get(job_id)
    assert (job.state, job.downloaded, job.phase) == (State.PAUSED, job.total, Phase.VERIFYING)
    monkeypatch.setattr(yard.store, "move", move)
    yard.store.move(job_id, RESUME)
    yard.until(State.COMPLETED, job_id)


def _owner(yard: Yard, owner: str | None) -> str | None:
    own = yard.presence.name
    return {"own": own, "dead": own.partition("-")[0] + "-999-dead"}.get(owner or "")


@pytest.mark.parametrize("owner", ["dead", None, "own"])
def test_what_a_dead_process_left_is_queued_again(yard: Yard, owner: str | None) -> None:
    """When `start` returns it is back in the queue, and its bytes are those that are on disk, not those last noted."""
    [job_id] = yard.add(LARGE)
    begin(yard.shelf, LARGE, 400)
    yard.store.move(job_id, START, owner=_owner(yard, owner))
    yard.store.progress(job_id, 77)
    yard.runner.only = ()
    yard.runner.start()
    job = yard.store.get(job_id)
    assert (job.state, job.downloaded, job.owner) == (State.QUEUED, 400, None)
    assert yard.store.history(job_id)[-1][1:] == ("yield", "its process has ended")


def test_an_interrupt_ends_the_pull_within_a_second(yard: Yard) -> None:
    """It returns when the pull has ended, notes how far it was, and leaves the job where it was put."""
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    began = time.monotonic()
    yard.store.move(job_id, PAUSE)
    yard.runner.interrupt(job_id)
    assert time.monotonic() - began < 1.0
    assert yard.network.waits()
    assert yard.states(job_id) == [State.PAUSED]
    yard.store.move(job_id, RESUME)
    yard.network.let_go(0)
    yard.runner.poke()
    yard.until(State.COMPLETED, job_id)


def test_interrupting_what_does_not_run_is_no_error(yard: Yard) -> None:
    """Before the start, after the end, and for a job that nobody knows."""
    yard.runner.interrupt("job_x")
    yard.runner.start()
    yard.runner.interrupt("job_x")
    yard.runner.close()
    yard.runner.interrupt("job_x")
    yard.runner.poke()


class Slow(Shelf):
    """Lets a test do something between a job's START and its pull."""

    def __init__(self, models: Path, news: News) -> None:
        super().__init__(models, models)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def state_of(self, file: ManifestFile) -> FileState:
        self.reached.set()
        self.go_on.wait(20)
        return super().state_of(file)


def test_a_pause_just_after_the_start_is_not_missed(yard: Yard, tmp_path: Path) -> None:
    """Between START and the pull's first step too: once `interrupt` has returned, nothing runs."""
    shelf = Slow(tmp_path / "models", yard.news)
    workshop = Workshop(lambda _: shelf, lambda: yard.network, lambda _, tools: yard.make_means(tools))
    runner = Runner(yard.store, yard.presence, workshop, yard.waiting, Limits(3, 2))
    yard.network.hold(0)
    [job_id] = yard.add(0)
    runner.start()
    assert shelf.reached.wait(20)
    yard.store.move(job_id, PAUSE)
    waiting = threading.Thread(target=runner.interrupt, args=(job_id,))
    waiting.start()
    shelf.go_on.set()
    waiting.join(20)
    assert job_id not in runner._running
    assert yard.network.waits()
    assert yard.states(job_id) == [State.PAUSED]
    runner.close()


@pytest.mark.parametrize(("edge", "state"), [(PAUSE, State.PAUSED), (CANCEL, State.CANCELLED)])
def test_what_another_process_stops_is_stopped(yard: Yard, edge: Edge, state: State) -> None:
    """It can only say so in the store: the runner looks there each second, and ends the pull."""
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    yard.store.move(job_id, edge)
    yard.news.until(yard.network.waits)
    assert yard.states(job_id) == [state]


def test_progress_is_noted_while_it_runs(yard: Yard) -> None:
    """So that other processes, and the next one, know it."""
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    running = yard.runner.running(job_id)
    assert running
    running.progress.base = 123
    yard.news.until(lambda: yard.store.get(job_id).downloaded == 123)
    assert yard.store.get(job_id).phase is Phase.TRANSFERRING
    assert running.speed.samples


def test_a_failed_job_says_why_and_the_runner_goes_on(yard: Yard) -> None:
    """Wrong bytes from the source: its code and words are kept with the job."""
    yard.network.contents = {**CONTENTS, "model-0.gguf": b"x" * 1004}
    ids = yard.add(0, 1)
    yard.runner.start()
    yard.until(State.FAILED, ids[0])
    yard.until(State.COMPLETED, ids[1])
    job = yard.store.get(ids[0])
    assert job.error_code == "checksum_mismatch"
    assert job.error_message
    assert "twice" in job.error_message
    assert yard.store.history(ids[0])[-1][1:] == ("fail", "checksum_mismatch")


def test_a_bug_fails_its_own_job_and_no_other(yard: Yard) -> None:
    """An error that is none of ours: `internal_error`, named as what it is, and the next job runs."""

    def bug(request: Request) -> None:
        if "model-0" in request.url:
            raise ZeroDivisionError("a bug")

    yard.network.watch = bug
    ids = yard.add(0, 1)
    yard.runner.start()
    yard.until(State.FAILED, ids[0])
    yard.until(State.COMPLETED, ids[1])
    job = yard.store.get(ids[0])
    assert job.error_code == "internal_error"
    assert "ZeroDivisionError: a bug" in (job.error_message or "")


def test_a_models_folder_that_cannot_be_made_fails_the_job(yard: Yard) -> None:
    """What is needed for a pull is made for each: if it cannot be, that job says so, and the next may do better."""
    make = yard.make_means

    def means(tools: Tools) -> Means:
        yard.make_means = make
        raise StorageUnavailable("Read-only file system.", hint="Look at the disk.")

    yard.make_means = means
    yard.limit(max_jobs=1)
    ids = yard.add(0, 1)
    yard.runner.start()
    yard.until(State.COMPLETED, ids[1])
    job = yard.store.get(ids[0])
    assert (job.state, job.error_code) == (State.FAILED, "storage_error")
    assert job.error_message == "Read-only file system. Look at the disk."


def test_a_store_that_fails_for_a_while_does_not_end_the_runner(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk keeps the store from being written; when there is room again, the queue is worked on."""
    yard.runner.start()
    with caplog.at_level(logging.ERROR):
        yard.store.broken, yard.store.looks = True, 0
        yard.news.until(lambda: yard.store.looks > 3)
        yard.store.broken = False
    assert "could not be looked after" in caplog.text
    [job_id] = yard.add(0)
    yard.until(State.COMPLETED, job_id)


def test_limits_hold_at_once(yard: Yard) -> None:
    """For what runs already too: the most connections, the rate of all jobs, and a job's own."""
    given: list[Tools] = []
    make = yard.make_means
    yard.make_means = lambda tools: given.append(tools) or make(tools)  # type: ignore[func-returns-value]
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.store.change(job_id, limit_rate=5000)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    [tools] = given
    together, own = yard.runner._throttle.bucket, tools.lane.bucket
    assert [tools.connections(), together.rate, own.rate] == [2, None, 5000]
    yard.limit(connections=7, limit_rate=9000)
    assert (tools.connections(), together.rate) == (7, 9000)
    yard.limit(limit_rate=None)
    assert (tools.connections(), together.rate) == (7, None)
    for rate in (300, None):
        yard.store.change(job_id, limit_rate=rate)  # as another process does: nobody pokes
        yard.news.until(lambda: own.rate == rate)  # noqa: B023 - waited for here


def test_the_schedule_holds_by_the_clock_on_the_wall(yard: Yard) -> None:
    """The rate of a window begins and ends with it, while jobs run."""
    clock = ["11:59"]
    yard.runner.wall = lambda: datetime.fromisoformat(f"2026-11-23 {clock[0]}")
    noon = read_limits({"schedule": [{"from": "12:00", "to": "13:00", "limit_rate": 700}]}, yard.runner.limits)
    yard.network.hold(0)
    yard.add(0)
    yard.runner.set_limits(noon)
    yard.runner.start()
    bucket = yard.runner._throttle.bucket
    for moment, rate in (("11:59", None), ("12:00", 700), ("13:00", None)):
        clock[0] = moment
        yard.news.until(lambda: bucket.rate == rate)  # noqa: B023 - waited for here


def test_close_puts_running_jobs_back(yard: Yard, tmp_path: Path) -> None:
    """They are in the queue with what had come, the network is closed; the next process brings them to their end."""
    yard.network.hold(0, 1)
    ids = yard.add(0, 1)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0, 1))
    began = time.monotonic()
    yard.runner.close()
    assert time.monotonic() - began < 1.0
    assert yard.states(*ids) == [State.QUEUED, State.QUEUED]
    assert [edge for _, edge, _ in yard.store.history(ids[0])] == ["add", "start", "yield"]
    assert yard.network.closed
    yard.runner.close()
    again = Yard(tmp_path)
    again.runner.start()
    again.until(State.COMPLETED, *ids)
    again.close()


def test_a_job_queued_again_while_its_pull_still_ends_runs_once(yard: Yard) -> None:
    """Paused and resumed by two others at the same time: no two pulls of one job."""
    yard.network.hold(0)
    [job_id] = yard.add(0)
    yard.runner.start()
    yard.news.until(lambda: yard.network.waits(0))
    first = yard.runner.running(job_id)
    yard.store.move(job_id, YIELD)
    yard.news.until(lambda: yard.runner.running(job_id) is not first and yard.network.waits(0))
    assert first
    assert first.task.done()
    yard.network.let_go(0)
    yard.until(State.COMPLETED, job_id)


def test_counters_can_be_seen_for_a_while_after_the_end(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the last few pulls; a server that runs for a year does not keep them all."""
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    yard.limit(max_jobs=1)
    ids = yard.add(0, 1, 2)
    yard.runner.start()
    yard.until(State.COMPLETED, *ids)
    yard.runner.close()
    assert yard.runner.running(ids[0]) is None
    last = yard.runner.running(ids[2])
    assert last
    assert last.progress.downloaded == progress_of(job_manifest(2), yard.shelf).downloaded == 1004
