"""Owns the running pulls: one thread with one asyncio loop, on which the queue's decisions become tasks.

The faces live on other threads. They change jobs in the store and `poke`; this one looks at the store, asks the pure
`queue.step` what to do, and does it. So there is one place that starts and ends pulls, and none that two threads share.
"""

import asyncio
import itertools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from windlass.errors import IllegalMove, StateFailure, WindlassError
from windlass.jobs.job import Job
from windlass.jobs.queue import step
from windlass.jobs.states import FAIL, FINISH, START, YIELD, Edge, State
from windlass.jobs.store import Store
from windlass.library.shelf import Shelf
from windlass.presence import Presence
from windlass.pull import Means, Progress, progress_of, pull
from windlass.transfer.meter import Speed
from windlass.transfer.network import Network
from windlass.transfer.pace import Pace
from windlass.transfer.target import Tools

BEAT = 0.25  # seconds between samples of the speed
_REMEMBERED = 50  # pulls that ended, whose counters are still to be seen
_LOGGED = 100  # lines that one pull has to say
_IDLE = 1.0  # seconds between looks at the store when nothing runs here and nobody pokes
_BEATS_TO_NOTE = 4  # every so many, how far each job is goes into the store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Makes what pulls work with: the network on the runner's loop, and all else around the tools made here."""

    shelf: Shelf
    network: Callable[[], Any]
    means: Callable[[Tools], Means]


Work = Callable[[], None]


def _nothing() -> None:
    """Nothing is to be done."""


@dataclass(eq=False, slots=True)
class Running:
    """A pull that runs here."""

    job: Job
    progress: Progress
    task: "asyncio.Task[None]"
    speed: Speed = field(default_factory=Speed)
    then: Work = _nothing
    ended: bool = False
    log: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_LOGGED))
    _heard: dict[str, str] = field(default_factory=dict)

    def listen(self, at: float) -> None:
        """Take down what the transfer has to say; `at` is Unix time."""
        for path, meter in self.progress.files.items():
            if meter.note and self._heard.get(path) != meter.note:
                self._heard[path] = meter.note
                self.log.append((at, f"{path}: {meter.note}"))

    def end(self, then: Work = _nothing) -> None:
        """Have it end, and `then` done when it has; what was to be done before stays so if nothing else is."""
        if then is not _nothing:
            self.then = then
        self.task.cancel()


@dataclass(slots=True)
class Limits:
    """What may be changed while it runs."""

    max_jobs: int
    connections: int
    limit_rate: int | None = None


class Runner:
    """Runs jobs from the store: all that are queued, or, where `only` is set, those ids.

    Args:
        store: the jobs.
        presence: this process's sign of life, which marks the jobs that it runs.
        workshop: makes what the pulls work with.
        limits: how much may run at once, and how fast.
    """

    def __init__(
        self,
        store: Store,
        presence: Presence,
        workshop: Workshop,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.only: Collection[str] | None = None
        self._store = store
        self._presence = presence
        self._workshop = workshop
        self._pace = Pace(limits.limit_rate)
        self._running: dict[str, Running] = {}
        self._recent: dict[str, Running] = {}
        self._loop = asyncio.new_event_loop()
        self._poked = asyncio.Event()
        self._deciding = asyncio.Lock()  # who ends a pull must not come between its job's START and its task
        self._ending = False
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="windlass-disk")
        self._clerks = ThreadPoolExecutor(4, thread_name_prefix="windlass-store")  # no dead disk holds these up
        self._up = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run_loop, name="windlass-runner", daemon=True)

    # From any thread

    def start(self) -> None:
        """Begin to run jobs; those that a dead process left are back in the queue by then, rightly counted.

        Raises:
            StateFailure: nothing can run here.
        """
        self.reclaim()
        self._thread.start()
        self._up.wait()
        if self._failure:
            raise StateFailure(f"Nothing can be transferred here: {self._failure}.") from self._failure

    @property
    def alive(self) -> bool:
        """Whether jobs are looked after."""
        return self._thread.is_alive()

    def poke(self) -> None:
        """Say that the store has changed."""
        with suppress(RuntimeError):  # the loop has ended: nothing will run any more
            self._loop.call_soon_threadsafe(self._poked.set)

    def running(self, job_id: str) -> Running | None:
        """The pull of a job that runs here, or did until a short while ago."""
        return self._running.get(job_id) or self._recent.get(job_id)

    def interrupt(self, job_id: str, then: Work = _nothing, timeout: float = 5.0) -> None:
        """End a job's pull, if it runs here, and do `then` when it has ended; the store says already where it goes.

        Waits for both, but not for ever: what a dead disk holds up ends when the disk lets it.
        """
        if self._thread.is_alive():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._interrupt(job_id, then), self._loop).result(timeout)
        else:
            then()

    def close(self, timeout: float = 5.0) -> None:
        """End all pulls; their jobs go back to the queue, for the next process to go on with."""
        if self._thread.is_alive():
            self._ending = True
            self.poke()
            self._thread.join(timeout)
        elif not self._loop.is_closed():
            self._loop.close()  # never started

    # On the runner's own thread

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()
            self._threads.shutdown(wait=False)
            self._clerks.shutdown(wait=False)

    async def _main(self) -> None:
        try:
            network = self._workshop.network()
        except Exception as error:
            self._failure = error
            return
        finally:
            self._up.set()
        try:
            for beat in itertools.takewhile(lambda _: not self._ending, itertools.count()):
                self._poked.clear()
                await self._tend(network, note=beat % _BEATS_TO_NOTE == 0)
                await self._wait_a_beat()
        finally:
            for running in list(self._running.values()):
                running.end(partial(self._yield, running.job.id))
            await self._all_ended()
            network.close()

    async def _tend(self, network: Network, *, note: bool) -> None:
        """Look after the jobs once. A full disk may keep the store from being written: that must not end the runner."""
        try:
            if note:
                await self._in_thread(self.reclaim)
                await self._note_progress()
            async with self._deciding:
                await self._take_step(network)
        except Exception:
            _log.exception("The jobs could not be looked after; the next try comes soon.")

    async def _wait_a_beat(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), BEAT if self._running else _IDLE)
        now = self._loop.time()
        for running in self._running.values():
            running.speed.sample(now, running.progress.downloaded)
            running.listen(time.time())

    async def _take_step(self, network: Network) -> None:
        queued, active = await self._in_thread(self._look)
        decision = step(queued, active, self.limits.max_jobs)
        for job_id in decision.stop:
            if job_id in self._running:
                self._running[job_id].end(partial(self._yield, job_id))
        for job in queued:
            if job.id in decision.start:
                await self._begin(job, network)

    def _look(self) -> tuple[list[Job], list[Job]]:
        queued = self._store.jobs({State.QUEUED})
        # A job may be queued again while its last pull here still ends.
        mine = [job for job in queued if (self.only is None or job.id in self.only) and job.id not in self._running]
        return mine, self._store.jobs({State.RUNNING}) if mine or self._running else []

    def reclaim(self) -> None:
        """Put jobs whose process is gone back into the queue, rightly counted. From any thread."""
        for job in self._store.jobs({State.RUNNING}):
            if job.id not in self._running and (
                job.owner == self._presence.name or not self._presence.is_alive(job.owner)
            ):
                downloaded = progress_of(job.manifest, self._workshop.shelf).downloaded
                with suppress(IllegalMove):  # another process was faster
                    self._store.move(job.id, YIELD, note="its process has ended", downloaded=downloaded)

    async def _begin(self, job: Job, network: Network) -> None:
        try:
            job = await self._in_thread(lambda: self._store.move(job.id, START, owner=self._presence.name))
        except IllegalMove:
            return  # paused, cancelled, or claimed by another process in the meantime
        progress = await self._in_thread(progress_of, job.manifest, self._workshop.shelf)
        self._recent.pop(job.id, None)
        task = self._loop.create_task(self._pull(job, self._tools(job, network), progress))
        self._running[job.id] = Running(job, progress, task)

    def _tools(self, job: Job, network: Network) -> Tools:
        return Tools(
            network=network,
            threads=self._threads,
            chance=random.random,
            wall_clock=time.time,
            connections=lambda: self.limits.connections,
            paces=(self._pace, Pace(job.limit_rate)),
        )

    async def _pull(self, job: Job, tools: Tools, progress: Progress) -> None:
        """Run one pull to its end, whatever that is, and note it."""
        try:
            means = await self._in_thread(self._workshop.means, tools)
            await pull(job.manifest, means, progress)
            await self._end(job, FINISH, downloaded=progress.downloaded)
        except asyncio.CancelledError:
            await self._in_thread(self._store.settle, job.id, progress.downloaded, progress.phase)
            raise
        except WindlassError as error:
            await self._fail(job, progress, error.code, str(error))
        except Exception as error:
            _log.exception("Job %s met a bug.", job.id)
            text = f"Something went wrong inside Windlass: {type(error).__name__}: {error}."
            await self._fail(job, progress, "internal_error", text)
        finally:
            if self._running[job.id].then is not _nothing:
                await self._in_thread(self._running[job.id].then)
            self._retire(job.id)
            self._poked.set()

    def _retire(self, job_id: str) -> None:
        ended = self._running.pop(job_id, None)
        if ended:
            ended.listen(time.time())
            ended.ended = True
            self._recent[job_id] = ended
        while len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    async def _fail(self, job: Job, progress: Progress, code: str, text: str) -> None:
        # What is kept is asked of the disk: wrong bytes were thrown away, and somebody may have tidied up.
        kept = (await self._in_thread(progress_of, job.manifest, self._workshop.shelf)).downloaded
        what = {"downloaded": kept, "phase": progress.phase, "error_code": code, "error_message": text}
        await self._end(job, FAIL, note=code, **what)

    async def _end(self, job: Job, edge: Edge, **changes: Any) -> None:
        with suppress(IllegalMove):  # it was paused or cancelled in its last moment: that stands
            await self._in_thread(lambda: self._store.move(job.id, edge, **changes))

    async def _interrupt(self, job_id: str, then: Work) -> None:
        async with self._deciding:
            running = self._running.get(job_id)
            if running:
                running.end(then)
        if running:
            await asyncio.wait([running.task])
        else:
            await self._in_thread(then)

    async def _all_ended(self) -> None:
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks)

    def _yield(self, job_id: str) -> None:
        with suppress(IllegalMove):
            self._store.move(job_id, YIELD)

    async def _note_progress(self) -> None:
        for job_id, running in list(self._running.items()):
            progress = running.progress
            if not await self._in_thread(self._store.progress, job_id, progress.downloaded, progress.phase):
                running.end()  # another process has paused or cancelled it

    def _in_thread(self, work: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        return self._loop.run_in_executor(self._clerks, work, *args)
