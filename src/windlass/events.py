"""What happens to jobs, for readers that follow it: the latest of each job, with no queue for anybody.

A reader keeps his place and asks what came after it. However slow he is, he costs the memory of one number, and when he
looks again he sees each job as it is now, not each of its steps. While nobody reads, nobody looks.

An event is known (`Last-Event-ID`) by the number of the store's last move at its time. That outlives this process, so
whoever comes back is told of every job that was moved meanwhile.
"""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from windlass.errors import JobNotFound, WindlassError

BEAT = 0.25  # seconds between looks: no job is told of more often than that

_KEPT = 2_000  # jobs whose latest event is at hand

_log = logging.getLogger(__name__)


class Event(NamedTuple):
    """One event; `data` is JSON."""

    kind: Literal["job", "removed"]
    data: str
    moved: int
    place: int = 0


class Source(Protocol):
    """Where what happens is read."""

    def last_move(self) -> int:
        """The number of the last move of any job, 0 where there was none."""

    def moved_since(self, number: int) -> Iterable[str]:
        """Ids of jobs that were moved after that move, or are gone since."""

    def running(self) -> Iterable[str]:
        """Ids of jobs that run, here or elsewhere."""

    def open(self) -> Iterable[str]:
        """Ids of jobs that are not over."""

    def show(self, job_id: str) -> dict[str, Any]:
        """A job as JSON. Raises JobNotFound."""


@dataclass(slots=True)
class _Board:
    """The latest event of each job, oldest first; `dropped` is the place up to which some are not here any more."""

    events: OrderedDict[str, Event] = field(default_factory=OrderedDict)
    place: int = 0
    dropped: int = 0

    def post(self, job_id: str, event: Event, *, changed: bool) -> None:
        """Where it is not known to have changed, the same again is not told.

        Where it is, it is told all the same: a reader who came in between may have been told something else.
        """
        before = self.events.get(job_id)
        if not changed and before and (before.kind, before.data) == (event.kind, event.data):
            return
        self.place += 1
        self.events.pop(job_id, None)
        self.events[job_id] = event._replace(place=self.place)
        while len(self.events) > _KEPT:
            self.dropped = self.events.popitem(last=False)[1].place

    def after(self, place: int) -> list[Event]:
        later = []
        for event in reversed(self.events.values()):
            if event.place <= place:
                break
            later.append(event)
        return later[::-1]


class Events:
    """Follows the jobs of `source` for as long as somebody reads. Threads may share it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._board = _Board()
        self._touched: set[str] = set()
        self._moved: int | None = None  # up to which move was looked; None where no reader has begun
        self._readers = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.closed = False

    @property
    def readers(self) -> int:
        """How many follow."""
        return self._readers

    def close(self) -> None:
        """Tell nobody any more."""
        self.closed = True
        self._wake.set()
        if thread := self._thread:
            thread.join()

    def touch(self, job_id: str) -> None:
        """Say that a job has changed in a way that is no move."""
        with self._lock:
            if self._readers:
                self._touched.add(job_id)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Somebody follows. Asks the source nothing: it is called where nobody may wait for a disk."""
        with self._lock:
            if not self._readers:
                self._start()
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1

    def begin(self, moved: int | None) -> tuple[list[Event], int]:
        """What a reader is told first, and his place: the open jobs, and those moved or gone since he was told last.

        Args:
            moved: what he was told last was known by; None for one who comes for the first time.
        """
        place, now = self._board.place, self._source.last_move()
        with self._lock:  # before the jobs are read: what is moved after them comes with the next look
            self._moved = now if self._moved is None else self._moved
        ids = dict.fromkeys(self._source.open())
        if moved is not None:
            ids |= dict.fromkeys(self._source.moved_since(moved))
        told = [self._event(job_id, now) for job_id in ids]
        return [event for event in told if event.kind == "job" or moved is not None], place

    def after(self, place: int) -> tuple[list[Event], int] | None:
        """What has come after a place, and the place to ask from next; None for one who must begin anew."""
        with self._lock:
            return (self._board.after(place), self._board.place) if place >= self._board.dropped else None

    def _start(self) -> None:
        self._moved = None
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._follow, name="windlass-events", daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        while not self.closed:
            with self._lock:
                if not self._readers:
                    self._thread = None
                    return
            try:
                self._look()
            except WindlassError:
                _log.exception("What happens to jobs could not be looked at; the next try comes soon.")
            self._wake.wait(BEAT)

    def _look(self) -> None:
        before = self._moved
        if before is None:
            return
        now = self._source.last_move()
        with self._lock:
            touched, self._touched = self._touched, set()
        changed = dict.fromkeys([*self._source.moved_since(before), *touched])
        with self._lock:
            if self._moved is not None:  # else the readers went meanwhile, and who came then begins where he comes
                self._moved = now
        for job_id in changed | dict.fromkeys(self._source.running()):
            event = self._event(job_id, now)
            with self._lock:
                self._board.post(job_id, event, changed=job_id in changed)

    def _event(self, job_id: str, moved: int) -> Event:
        try:
            return Event("job", json.dumps(self._source.show(job_id)), moved)
        except JobNotFound:
            return Event("removed", json.dumps({"job_id": job_id}), moved)
