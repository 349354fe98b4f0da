"""Space on the disks of the models folders: the jobs that wait for some.

The rule: a job that runs out of space waits; it goes on by itself when all that it still needs fits again, and fails
when nobody has made room for a day (`jobs.queue.PATIENCE`). It waits in the store, so it does over restarts too.
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from windlass.errors import IllegalMove, InsufficientStorage, StateFailure
from windlass.jobs.job import Job
from windlass.jobs.queue import OVERHEAD, relieve
from windlass.jobs.states import EXPIRE, FAIL, PROCEED, WAIT, Edge, State
from windlass.jobs.store import Store
from windlass.places import Place, Places
from windlass.pull import Progress, progress_of

_GOES_ON = "Free some space: the job waits, and goes on by itself when there is enough."
_GIVEN_UP = "No room came within a day. Free some space, then resume the job: what has come is kept."
_ELSEWHERE = (
    "The disk shows room for it, so look for a quota or for too many files; then resume the job: what has come is kept."
)
_RESERVE = 4 * 1024 * 1024  # bytes: room for hundreds of moves


class Reserve:
    """A file that takes up space while there is some, to be given up where the records need it.

    The records are most often on the disk of the models. Full to the last byte it takes no note of a job that waits
    either, and the job would be seen to run for as long as that lasts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Have the file, if it can be had."""
        if self._path.exists():
            return
        try:
            self._path.write_bytes(os.urandom(_RESERVE))  # a file system that compresses keeps no room for zeros
        except OSError:
            self.give_up()

    def give_up(self) -> bool:
        """Remove the file; whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


class Waiting:
    """The jobs that wait for space. Looks at disks and waits for the database: for threads.

    Args:
        store: the jobs.
        places: where their files come to stand.
        reserve: what is given up when the store has no room either.
        clock: Unix time.
    """

    def __init__(self, store: Store, places: Places, reserve: Reserve, clock: Callable[[], float]) -> None:
        self._store = store
        self._places = places
        self._reserve = reserve
        self._clock = clock

    def prepare(self) -> None:
        """See that there is a reserve, if there is room for it, before a job runs."""
        if (self._places.first.folder.spare() or 0) >= _RESERVE:
            self._reserve.keep()

    def is_short(self, job: Job, soon: int) -> bool:
        """Whether `soon` more bytes would leave less than what always stays free on the job's disk. Cheap.

        Of a folder that has vanished this says nothing: the transfer itself meets that, and fails.
        """
        spare = self._places.of(job).folder.spare()
        return spare is not None and spare < soon

    def together(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """The jobs by the disk that they go to."""
        rest, groups = list(jobs), []
        while rest:
            group = self._places.beside(self._places.of(rest[0]), rest)
            groups.append(group)
            rest = [job for job in rest if job not in group]
        return groups

    def add(self, job: Job, progress: Progress) -> None:
        """Have a job wait whose pull has ended."""
        kept = progress_of(job.manifest, self._places.of(job).shelf).downloaded
        self._stop(job, WAIT, self._shortage(job.total - kept, job, _GOES_ON), downloaded=kept, phase=progress.phase)

    def refused(self, job: Job, progress: Progress) -> None:
        """The disk took no more of a job; `job.downloaded` is what it began with. It waits, if waiting can end.

        A disk that shows room enough and yet takes nothing has another limit, and no look at it tells when that is
        lifted. Trying again every few seconds for a day would be the alternative: the job fails.
        """
        place = self._places.of(job)
        kept = progress_of(job.manifest, place.shelf).downloaded
        needed, spare = job.total - kept, place.folder.spare()
        if kept > job.downloaded or spare is None or spare < needed + OVERHEAD:
            self.add(job, progress)
        else:
            self._stop(job, FAIL, self._shortage(needed, job, _ELSEWHERE), downloaded=kept, phase=progress.phase)

    def relieve(self, only: Collection[str] | None) -> None:
        """Let those go on for which there is room, and give up those that have waited for a day.

        Args:
            only: ids of the jobs that are this process's business; None for all.
        """
        waiting = [job for job in self._store.jobs({State.WAITING}) if only is None or job.id in only]
        if waiting:
            active = self._store.jobs({State.QUEUED, State.RUNNING})
            for group in self.together(waiting):
                self._relieve(self._places.of(group[0]), group, active)

    def _relieve(self, place: Place, waiting: Iterable[Job], active: Sequence[Job]) -> None:
        """Those of one disk."""
        jobs = {job.id: job for job in waiting}
        relief = relieve(jobs.values(), self._places.beside(place, active), place.folder.spare() or 0, self._clock())
        for job_id in relief.proceed:
            with suppress(IllegalMove):  # somebody was faster: resumed, paused or cancelled it
                self._store.move(job_id, PROCEED)
        for job_id in relief.expire:
            job = jobs[job_id]
            self._stop(job, EXPIRE, self._shortage(job.left, job, _GIVEN_UP))

    def _stop(self, job: Job, edge: Edge, error: InsufficientStorage, **changes: Any) -> None:
        changes |= {"note": error.message, "error_code": error.code, "error_message": str(error)}
        with suppress(IllegalMove):  # somebody paused or cancelled it: that stands
            try:
                self._store.move(job.id, edge, **changes)
            except StateFailure:
                if not self._reserve.give_up():
                    raise
                self._store.move(job.id, edge, **changes)

    def _shortage(self, needed: int, job: Job, hint: str) -> InsufficientStorage:
        folder = self._places.of(job).folder
        min_free, spare = folder.min_free, folder.spare()
        spare = -min_free if spare is None else spare
        message = (
            f"{job.manifest.id} needs {needed:,} more bytes, and {max(0, spare):,} may be used on "
            f"{folder.path} ({max(0, spare + min_free):,} are free, {min_free:,} stay so)."
        )
        return InsufficientStorage(message, needed=needed, free=max(0, spare), hint=hint)
