"""What to start and what to stop, and who may stop waiting for room: pure decisions over the queue."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from windlass.jobs.job import Job

PATIENCE = 24 * 3600.0  # seconds that a job waits for room
OVERHEAD = 1024 * 1024  # bytes beyond its own that a job needs: for ledgers, receipts, and what the disk notes of files


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


class Relief(NamedTuple):
    """Jobs for which there is room, and jobs that have waited for it long enough, by id."""

    proceed: tuple[str, ...]
    expire: tuple[str, ...]


def relieve(waiting: Iterable[Job], active: Iterable[Job], usable: int, now: float) -> Relief:
    """Decide who may go on, in the order of `step`.

    A job goes on when all that it still needs fits beside what is promised to the others; less would only fill the disk
    again. One that is too large does not hold up a smaller one behind it.

    Args:
        waiting: the jobs that wait for room.
        active: those that are queued or run: what they still need is promised to them.
        usable: bytes that may be used on the disk.
        now: Unix time.
    """
    usable -= sum(job.left for job in active)
    proceed, expire = [], []
    for job in sorted(waiting, key=_order):
        if job.left + OVERHEAD <= usable:
            usable -= job.left + OVERHEAD
            proceed.append(job.id)
        elif job.waiting_since is not None and now - job.waiting_since >= PATIENCE:
            expire.append(job.id)
    return Relief(tuple(proceed), tuple(expire))


def _order(job: Job) -> tuple[int, int]:
    return -job.priority, job.number
