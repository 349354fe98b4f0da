"""What to start and what to stop: one pure decision over the queue."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from windlass.jobs.job import Job


class Step(NamedTuple):
    """Jobs to start and jobs to send back to the queue, by id."""

    start: tuple[str, ...]
    stop: tuple[str, ...]


def step(queued: Iterable[Job], running: Sequence[Job], max_jobs: int) -> Step:
    """Decide what should run: by priority, then in the order of asking.

    A running job is not put off for a waiting one, however urgent: it would give up connections that have found their
    speed. Only when `max_jobs` was lowered do the last in the order yield.
    """
    if len(running) > max_jobs:
        return Step((), tuple(job.id for job in sorted(running, key=_order)[max_jobs:]))
    free = max_jobs - len(running)
    return Step(tuple(job.id for job in sorted(queued, key=_order)[:free]), ())


def _order(job: Job) -> tuple[int, int]:
    return -job.priority, job.number
