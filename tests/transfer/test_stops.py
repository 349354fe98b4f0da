"""Stopped between any two steps: no lock, no task, no connection, no place in a line and no credit is left behind."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from transfer.bringing import CONTENT, Way, assert_right, both_ways, bring
from transfer.invented import Server, answers, cut, target_of, tools
from transfer.virtual_time import Later, VirtualLoop
from windlass.transfer.meter import Meter
from windlass.transfer.partial import open_locked
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged, Tools
from windlass.transfer.throttle import Bucket, Lane, Throttle

pytestmark = pytest.mark.usefixtures("small_chunks")


_FILE = CONTENT[:500]


class Counted(Bucket):
    """A limit that counts what was taken from it, less what was given back."""

    taken = 0

    def take(self, size: int) -> None:
        self.taken += size
        super().take(size)


class Scene:
    """A fetch of one file with every kind of waiting in it: redirects, cuts, peace, backoff, a limit, threads."""

    def __init__(self, folder: Path, way: Way, limit: int | None) -> None:
        script = [None, cut(100), answers(429, {"retry-after": "2"}), None, cut(200), answers(500)]
        self.server = Server(_FILE, script, block=100)
        self.throttle = Throttle()
        self.throttle.bucket = self.bucket = Counted(limit)
        self.lane = Lane(self.throttle, Counted())
        self.threads = Later()
        self.using: Tools = tools(self.server, lane=self.lane, threads=self.threads, persistence=Persistence(10, 100.0))
        self.meter = Meter(len(_FILE))
        self.way, self.folder = way, folder

    def begin(self) -> "asyncio.Task[Staged]":
        return asyncio.create_task(self.way(target_of(_FILE), self.folder, self.using, self.meter))

    async def turns(self) -> int:
        """How many steps it takes when nobody stops it."""
        await self.begin()
        return _loop().turns

    async def stopped(self, turn: int, times: int) -> None:
        """Stop it there, and look for what it left."""
        task = self.begin()
        _loop().at_turn(turn, task.cancel)
        await asyncio.wait([task])
        assert not task.done() or task.cancelled() or task.exception() is None
        for _ in range(times):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self._look()
        await asyncio.sleep(1)  # a line that nobody waits in any more is looked at once, and no more
        assert self.throttle._timer is None
        assert not self.throttle._waiting

    def _look(self) -> None:
        assert len(asyncio.all_tasks()) == 1
        assert (self.server.open, self.meter.connections, self.threads.busy) == (0, 0, 0)
        assert all(asked.done() for asked in self.lane.asked)
        for bucket in (self.bucket, self.lane.bucket):
            assert isinstance(bucket, Counted)
            assert bucket.taken == (self.meter.fetched if self.lane.limited else 0)
        for path in self.folder.glob("*.part"):
            fd = open_locked(path)
            assert fd >= 0
            os.close(fd)


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def _run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


@both_ways
@pytest.mark.parametrize("limit", [None, 800])
def test_stopped_between_any_two_steps_it_leaves_nothing(tmp_path: Path, way: Way, limit: int | None) -> None:
    """Every one of them; and what was kept is right: the next one goes on and ends well."""
    steps = _run(Scene(tmp_path / "whole", way, limit).turns())
    assert steps > 40
    for turn in range(1, steps):
        folder = tmp_path / str(turn)
        _run(Scene(folder, way, limit).stopped(turn, times=turn % 3))
        if turn % 7 == 0:
            staged, _ = bring(Server(_FILE), folder, way=way)
            assert_right(staged, _FILE)


class Gated(ThreadPoolExecutor):
    """A thread that does not finish with the file before the gate opens."""

    def __init__(self) -> None:
        super().__init__(1)
        self.begun, self.gate = threading.Event(), threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        def wait_and_work() -> Any:
            if fn.__name__ in ("eat", "keep"):
                self.begun.set()
                self.gate.wait(10)
            return fn(*args, **kwargs)

        return super().submit(wait_and_work)


@both_ways
def test_a_stop_waits_for_the_thread_that_has_the_file(tmp_path: Path, way: Way) -> None:
    """However often it is asked for: the file is not closed under a thread, whose number another file would get."""
    target = target_of(b"x" * 10)
    path = tmp_path / f"{target.partial_name}.part"

    async def stop() -> None:
        using = tools(Server(b"x" * 10), threads=threads)
        task = asyncio.create_task(way(target, tmp_path, using, Meter(10)))
        while not threads.begun.is_set():
            await asyncio.sleep(0.001)
        for _ in range(3):
            task.cancel()
            await asyncio.wait([task], timeout=0.01)
        assert not task.done()
        assert open_locked(path) == -1
        threads.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Gated() as threads:
        asyncio.run(stop())
    fd = open_locked(path)
    assert fd >= 0
    os.close(fd)
