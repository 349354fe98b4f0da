"""Owns the running pulls: one thread with one asyncio loop, on which the queue's decisions become tasks.

The faces live on other threads. They change jobs in the store and `poke`; this one looks at the store, asks the pure
`queue.step` what to do, and does it. So there is one place that starts and ends pulls, and none that two threads share.
"""

import asyncio
import itertools
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from windlass.errors import IllegalMove, InsufficientStorage, StateFailure, WindlassError
from windlass.jobs.job import Job
from windlass.jobs.queue import step
from windlass.jobs.states import FAIL, FINISH, START, YIELD, Edge, State
from windlass.jobs.store import Store
from windlass.library.shelf import Shelf
from windlass.limits import Limits
from windlass.presence import Presence
from windlass.pull import Means, Progress, progress_of, pull
from windlass.running import Running, Totals, Work, nothing
from windlass.space import Waiting
from windlass.transfer.gate import Gate
from windlass.transfer.network import Network
from windlass.transfer.peace import Peace
from windlass.transfer.target import MOST_SMALL, Tools
from windlass.transfer.throttle import Throttle

# Seconds after which a thread that waits for Python's lock demands it. Libcurl's calls leave it 60,000 times a second
# and have it back each time before a waiter is awake: with Python's own 5 ms, those who write and hash mostly wait.
_SWITCH = 0.0005
BEAT = 0.25  # seconds between samples of the speed
_REMEMBERED = 50  # pulls that ended, whose counters are still to be seen
_IDLE = 1.0  # seconds between looks at the store when nothing runs here and nobody pokes
_BEATS_TO_NOTE = 4  # every so many, how far each job is goes into the store, and who waits for room is looked at

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Makes what pulls work with: the network on the runner's loop, and all else around the tools made here.

    Attributes:
        shelf: where a job's files go.
    """

    shelf: Callable[[Job], Shelf]
    network: Callable[[], Any]
    means: Callable[[Job, Tools], Means]


class Runner:
    """Runs jobs from the store: all that are queued, or, where `only` is set, those ids.

    Args:
        store: the jobs.
        presence: this process's sign of life, which marks the jobs that it runs.
        workshop: makes what the pulls work with.
        waiting: the jobs that wait for room on the disk.
        limits: how much may run at once, and how fast.

    Attributes:
        wall: tells the time of day as the clock on the wall shows it, for the schedule.
    """

    def __init__(
        self,
        store: Store,
        presence: Presence,
        workshop: Workshop,
        waiting: Waiting,
        limits: Limits,
    ) -> None:
        self.only: Collection[str] | None = None
        self.wall: Callable[[], datetime] = datetime.now
        self._limits = limits
        self._store = store
        self._presence = presence
        self._workshop = workshop
        self._waiting = waiting
        self._throttle = Throttle(limits.rate_at(self.wall()))
        self._peace = Peace()
        self._small = Gate(MOST_SMALL)
        self._running: dict[str, Running] = {}
        self._recent: dict[str, Running] = {}
        self._ended = Totals()
        self._loop = asyncio.new_event_loop()
        self._poked = asyncio.Event()
        self._deciding = asyncio.Lock()  # who ends a pull must not come between its job's START and its task
        self._ending = False
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="windlass-disk")
        self._clerks = ThreadPoolExecutor(4, thread_name_prefix="windlass-store")  # no dead disk holds these up
        self._up = threading.Event()
        self._failure: Exception | None = None
        self.ended = threading.Event()  # a pull has; for one to wait for, who clears it
        self._thread = threading.Thread(target=self._run_loop, name="windlass-runner", daemon=True)

    # From any thread

    def start(self) -> None:
        """Begin to run jobs; those that a dead process left are back in the queue by then, rightly counted.

        Raises:
            StateFailure: nothing can run here.
        """
        self.reclaim()
        sys.setswitchinterval(_SWITCH)
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

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits

    def set_limits(self, limits: Limits, timeout: float = 5.0) -> None:
        """Have these limits hold from now on, for what runs already too.

        Waits, though not for ever, until nothing is being started by the limits of before.
        """
        self._limits, self._throttle.bucket.rate = limits, limits.rate_at(self.wall())
        self.poke()
        if self._thread.is_alive():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._decided(), self._loop).result(timeout)

    def totals(self) -> Totals:
        """What all pulls have done here since the start; the connections are those of this moment."""
        ended = self._ended
        totals = replace(ended, connections=0, sources=ended.sources.copy(), causes=ended.causes.copy())
        for running in list(self._running.values()):
            totals.add(running.progress)
        return totals

    def running(self, job_id: str) -> Running | None:
        """The pull of a job that runs here, or did until a short while ago."""
        return self._running.get(job_id) or self._recent.get(job_id)

    def interrupt(self, job_id: str, then: Work = nothing, timeout: float = 5.0) -> None:
        """End a job's pull, if it runs here, and do `then` when it has ended; the store says already where it goes.

        Waits for both, but not for ever: what a dead disk holds up ends when the disk lets it.
        """
        if self._thread.is_alive():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._interrupt(job_id, then), self._loop).result(timeout)
        else:
            then()

    def close(self, timeout: float = 3.0) -> None:
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
            tasks = [running.task for running in self._running.values()]
            await asyncio.gather(*tasks, return_exceptions=True)
            self._throttle.close()
            network.close()

    async def _tend(self, network: Network, *, note: bool) -> None:
        """Look after the jobs once. A full disk may keep the store from being written: that must not end the runner."""
        try:
            await self._keep_space_free()
            if note:
                await self._in_thread(self.reclaim)
                await self._note_progress()
            async with self._deciding:
                await self._take_step(network)
            if note:
                await self._in_thread(self._waiting.relieve, self.only)
        except WindlassError as error:
            _log.error("The jobs could not be looked after; the next try comes soon. %s", error)
        except Exception:
            _log.exception("The jobs could not be looked after; the next try comes soon.")

    async def _wait_a_beat(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), BEAT if self._running else _IDLE)
        self._throttle.bucket.rate = self._limits.rate_at(self.wall())
        now = self._loop.time()
        for running in self._running.values():
            running.speed.sample(now, running.progress.downloaded)
            running.listen(time.time())

    async def _keep_space_free(self) -> None:
        """Have what transfers wait for room before the disk is full."""
        taking = {running.job.id: running for running in self._running.values() if running.wants_room}
        jobs = [running.job for running in taking.values()]
        for group in await self._in_thread(self._waiting.together, jobs) if jobs else ():
            await self._keep_disk_free([taking[job.id] for job in group])

    async def _keep_disk_free(self, taking: list[Running]) -> None:
        wanted = sum(running.wants_room for running in taking)
        ahead = 2 * BEAT * sum(running.speed.per_second() for running in taking)  # what comes until after the next look
        if await self._in_thread(self._waiting.is_short, taking[0].job, min(wanted, round(ahead))):
            for running in taking:
                running.end(partial(self._waiting.add, running.job, running.progress))

    async def _take_step(self, network: Network) -> None:
        queued, active = await self._in_thread(self._look)
        self._set_rates(active)
        decision = step(queued, active, self._limits.max_jobs)
        for job_id in decision.stop:
            if job_id in self._running:
                self._running[job_id].end(partial(self._yield, job_id))
        for job in queued:
            if job.id in decision.start:
                await self._begin(job, network)

    def _set_rates(self, active: list[Job]) -> None:
        """Have the jobs' own limits hold as they are in the store: another process may have changed them."""
        for job in active:
            if job.id in self._running:
                self._running[job.id].lane.bucket.rate = job.limit_rate

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
                downloaded = progress_of(job.manifest, self._workshop.shelf(job)).downloaded
                with suppress(IllegalMove):  # another process was faster
                    self._store.move(job.id, YIELD, note="its process has ended", downloaded=downloaded)

    async def _begin(self, job: Job, network: Network) -> None:
        try:
            job = await self._in_thread(lambda: self._store.move(job.id, START, owner=self._presence.name))
        except IllegalMove:
            return  # paused, cancelled, or claimed by another process in the meantime
        progress = await self._in_thread(progress_of, job.manifest, self._workshop.shelf(job))
        self._recent.pop(job.id, None)
        job = replace(job, downloaded=progress.downloaded)
        tools = self._tools(job, network)
        task = self._loop.create_task(self._pull(job, tools, progress))
        self._running[job.id] = Running(job, progress, task, tools.lane)

    def _tools(self, job: Job, network: Network) -> Tools:
        return Tools(
            network=network,
            threads=self._threads,
            chance=random.random,
            wall_clock=time.time,
            connections=lambda: self._limits.connections,
            peace=self._peace,
            small=self._small,
            lane=self._throttle.lane(job.limit_rate),
        )

    async def _pull(self, job: Job, tools: Tools, progress: Progress) -> None:
        """Run one pull to its end, whatever that is, and note it."""
        try:
            await self._bring_in(job, tools, progress)
        except StateFailure:
            _log.exception("How job %s ended cannot be noted. It goes back to the queue when it can be.", job.id)
        finally:
            await self._leave(job.id)

    async def _bring_in(self, job: Job, tools: Tools, progress: Progress) -> None:
        try:
            means = await self._in_thread(self._workshop.means, job, tools)
            self._clerks.submit(self._waiting.prepare)  # now that there is a folder, whose disk can be looked at
            await pull(job.manifest, means, progress)
            await self._end(job, progress, FINISH, downloaded=progress.downloaded)
        except asyncio.CancelledError:
            await self._in_thread(self._store.settle, job.id, progress.downloaded, progress.phase)
            raise
        except InsufficientStorage:
            await self._in_thread(self._waiting.refused, job, progress)
        except WindlassError as error:
            await self._fail(job, progress, error)
        except Exception as error:
            _log.exception("Job %s met a bug.", job.id)
            bug = WindlassError(f"Something went wrong inside Windlass: {type(error).__name__}: {error}.")
            await self._fail(job, progress, bug)

    async def _leave(self, job_id: str) -> None:
        """Do what is to be done at the end of a pull, also what comes to be so in the meantime."""
        running, done = self._running[job_id], nothing
        try:
            while running.then is not done:
                done = running.then
                await self._in_thread(done)
        except WindlassError:
            _log.exception("What was to be done at the end of job %s could not be.", job_id)
        finally:
            self._retire(job_id)
            self._poked.set()

    def _retire(self, job_id: str) -> None:
        ended = self._running.pop(job_id, None)
        if ended:
            ended.listen(time.time())
            ended.ended = True
            self._ended.add(ended.progress)
            self._recent[job_id] = ended
            self.ended.set()
        while len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    async def _fail(self, job: Job, progress: Progress, error: WindlassError) -> None:
        # What is kept is asked of the disk: wrong bytes were thrown away, and somebody may have tidied up.
        kept = (await self._in_thread(progress_of, job.manifest, self._workshop.shelf(job))).downloaded
        said = {"error_code": error.code, "error_message": str(error)}
        await self._end(job, progress, FAIL, note=error.code, downloaded=kept, phase=progress.phase, **said)

    async def _end(self, job: Job, progress: Progress, edge: Edge, **changes: Any) -> None:
        try:
            await self._in_thread(lambda: self._store.move(job.id, edge, **changes))
        except IllegalMove:  # it was paused or cancelled in its last moment: that stands, with all that has come
            await self._in_thread(self._store.settle, job.id, changes["downloaded"], progress.phase)

    async def _decided(self) -> None:
        """Return when no decision is under way."""
        async with self._deciding:
            pass

    async def _interrupt(self, job_id: str, then: Work) -> None:
        async with self._deciding:
            running = self._running.get(job_id)
            if running:
                running.end(then)
        if running:
            await asyncio.wait([running.task])
        else:
            await self._in_thread(then)

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
