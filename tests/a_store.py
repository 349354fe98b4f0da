"""A store that tells of its changes, so that a test waits for one instead of polling."""

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from windlass.errors import StateFailure
from windlass.jobs.job import Job
from windlass.jobs.states import Edge, Phase, State
from windlass.jobs.store import Store


class News:
    """Wakes a test when something has happened, so that none has to poll or sleep."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def tell(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self._condition:
            assert self._condition.wait_for(true, 20), "it did not come to that"


class Noted(Store):
    """A store that tells of each change; `broken` makes it fail as on a full disk."""

    def __init__(self, url: str, news: News) -> None:
        super().__init__(url, time.time)
        self.news = news
        self.broken = False
        self.looks = 0

    def move(self, job_id: str, edge: Edge, **more: Any) -> Job:
        job = super().move(job_id, edge, **more)
        self.news.tell()
        return job

    def jobs(self, states: Collection[State] = tuple(State), **more: Any) -> list[Job]:
        self.looks += 1
        self.news.tell()
        if self.broken:
            raise StateFailure("database or disk is full")
        return super().jobs(states, **more)

    def progress(self, job_id: str, downloaded: int, phase: Phase | None = None) -> bool:
        noted = super().progress(job_id, downloaded, phase)
        self.news.tell()
        return noted
