"""Letting a model in: whether it is here already, whether there is room for it, and which job brings it.

What is promised to a job that was let in is not promised again, however many ask at the same time.
"""

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from windlass.errors import IllegalMove, InvalidRequest
from windlass.folder import Condition
from windlass.jobs.job import Job
from windlass.jobs.states import FOUND, OPEN, RESUME, RETRY, Edge, State
from windlass.library.shelf import State as FileState
from windlass.manifest import Manifest
from windlass.places import Bid, Place, Places, no_room
from windlass.pull import discard_partials, in_place, partial_names, progress_of, publish_model

if TYPE_CHECKING:
    from windlass.jobs.store import Store

HASH_AT_ONCE = 2_000_000_000  # bytes of unverified files that a request waits for; more is hashed by a job
ACTIVE = (State.QUEUED, State.RUNNING)
PAUSED = (State.PAUSED, State.WAITING)


class Admission:
    """What lets models in. Threads may share it.

    Args:
        store: the jobs.
        places: where files come to stand.
    """

    def __init__(self, store: "Store", places: Places) -> None:
        self._store = store
        self._places = places
        self._lock = threading.Lock()  # between the look at the disk and the job that it was for

    def found(self, manifest: Manifest, job: Job | None, to: str | None = None) -> Job | None:
        """The job of a model that is here, whole; None of one that has to be brought in, by `job` perhaps.

        Here is any of the models folders, or the one of the path `to`; raises InvalidRequest where that is none.

        None also where `job` has been moved meanwhile: `admit` looks at it again.
        """
        if job and job.state in ACTIVE:
            return None
        places = [self._places.asked_for(to)] if to else self._places
        place = next((place for place in places if _is_here(manifest, place)), None)
        if place is None:
            return None
        if place.folder.condition() is Condition.READY:
            publish_model(manifest, place.shelf)
        if job is None:
            with self._lock:  # of many who ask at once one makes it
                return self._store.add_completed(manifest, self._places.name_of(place))
        with suppress(IllegalMove):
            done = move(self._store, job.id, FOUND, {State.COMPLETED})
            self.discard(job)  # what had come may be in another folder
            return done
        return None

    def admit(self, manifest: Manifest, to: str | None = None) -> Job:
        """The job that brings a manifest in: a new one, or the open one, which goes on if it had stopped.

        Args:
            manifest: the model.
            to: the models folder that it is to stand in, by its path; None for one with room.

        Raises:
            InsufficientStorage: there is no room for it.
            StorageUnavailable: the models folder is gone.
            InvalidRequest: `to` is no models folder, or the open job goes to another one.
        """
        with self._lock:
            while True:
                job = self._store.open_job(manifest.key)
                if job and to:
                    self._refuse_elsewhere(job, to)
                if job and job.state in ACTIVE:
                    return job
                with suppress(IllegalMove):  # somebody was faster: it goes on already, or was cancelled
                    return self._go_on(job, manifest) if job else self._begin(manifest, to)

    def resume(self, job_id: str) -> None:
        """Let a job go on that had stopped. Raises JobNotFound, IllegalMove, InsufficientStorage."""
        with self._lock:
            job = self._store.get(job_id)
            if job.state in (*PAUSED, State.FAILED):
                self._make_room(job, job.manifest)
            move(self._store, job_id, RETRY if job.state is State.FAILED else RESUME, ACTIVE)

    def discard(self, job: Job) -> None:
        """Remove what is left of a job that is over, but what open jobs need: one that was let in just now, too."""
        with self._lock:
            self._discard(job, partial_names(job.manifest))

    def expect(self, manifest: Manifest, to: str, needed: int) -> None:
        """Refuse now what `admit` would refuse once a model is taken apart to be mended in its folder, `to`.

        Raises:
            InvalidRequest: an open job brings it to another folder.
            InsufficientStorage: there is no room for the `needed` bytes.
        """
        job, place = self._store.open_job(manifest.key), self._places.asked_for(to)
        if job:
            self._refuse_elsewhere(job, to)
        usable = place.folder.usable(self.promised(manifest.key, place))
        if needed > usable:
            raise no_room(manifest, Bid(place, manifest.total_size - needed, usable))

    def active(self) -> list[Job]:
        """The jobs that run or wait for their turn."""
        return self._store.jobs(ACTIVE)

    def promised(self, key: str, place: Place) -> int:
        """Bytes that all jobs but that of `key` still want on the disk of a folder."""
        return sum(job.left for job in self._places.beside(place, self.active()) if job.manifest.key != key)

    def choose(self, manifest: Manifest, to: str | None = None) -> Place:
        """Where a model would go. Raises InvalidRequest, StorageUnavailable, InsufficientStorage."""
        return self._places.choose(manifest, to, lambda place: place.folder.usable(self.promised(manifest.key, place)))

    def _begin(self, manifest: Manifest, to: str | None) -> Job:
        place = self.choose(manifest, to)
        job = self._store.add(manifest, self._places.name_of(place))
        self._store.progress(job.id, progress_of(manifest, place.shelf).downloaded)
        return self._store.get(job.id)

    def _refuse_elsewhere(self, job: Job, to: str) -> None:
        there = self._places.of(job).folder.path
        if self._places.asked_for(to) is not self._places.of(job):
            raise InvalidRequest(
                f"Job {job.id} brings {job.manifest.id} to {there} already.",
                hint="Cancel it first, then ask again.",
                param="to",
            )

    def _go_on(self, job: Job, manifest: Manifest) -> Job:
        self._places.of(job).folder.check()
        self._make_room(job, manifest)
        if job.state in PAUSED:
            return move(self._store, job.id, RESUME, ACTIVE)
        self._store.retry(job.id, manifest)
        # The repository may have moved on since: what of the old files is not among the new ones serves nobody.
        self._discard(job, partial_names(job.manifest) - partial_names(manifest))
        return self._store.get(job.id)

    def _discard(self, job: Job, names: frozenset[str]) -> None:
        others = (other for other in self._store.jobs(OPEN) if other.id != job.id)
        wanted = frozenset(name for other in others for name in partial_names(other.manifest))
        discard_partials(names - wanted, self._places.of(job).shelf)

    def _make_room(self, job: Job, manifest: Manifest) -> None:
        """Refuse what does not fit beside what is promised to other jobs (507, before a byte is written)."""
        place = self._places.of(job)
        kept = in_place(manifest, place.shelf)
        usable = place.folder.usable(self.promised(manifest.key, place))
        if manifest.total_size - kept > usable:
            raise no_room(manifest, Bid(place, kept, usable))


def move(store: "Store", job_id: str, edge: Edge, there: Collection[State]) -> Job:
    """Move a job; one that is `there` already, by somebody else's hand too, is where it should be.

    Raises:
        JobNotFound: there is none.
        IllegalMove: it is not there, and cannot go.
    """
    job = store.get(job_id)
    if job.state in there:
        return job
    try:
        return store.move(job_id, edge)
    except IllegalMove:
        job = store.get(job_id)
        if job.state in there:
            return job
        raise


def _is_here(manifest: Manifest, place: Place) -> bool:
    """Whether every file is here and whole. Files of the right size are hashed, if that is done soon enough.

    Not where what was found could not be noted: each request would hash them again.
    """
    shelf = place.shelf
    states = {file: shelf.state_of(file) for file in manifest.files}
    if not set(states.values()) <= {FileState.PRESENT, FileState.UNVERIFIED}:
        return False
    unverified = [file for file, state in states.items() if state is FileState.UNVERIFIED]
    if sum(file.size for file in unverified) > HASH_AT_ONCE:
        return False
    if unverified and place.folder.condition() is not Condition.READY:
        return False
    return all(shelf.adopt(file) for file in unverified)
