"""The queue's one decision, for any queue."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sample import manifest_of
from windlass.jobs.job import Job
from windlass.jobs.queue import OVERHEAD, PATIENCE, relieve, step
from windlass.jobs.states import Phase, State

FIRST = Job(
    "job_0", 0, State.QUEUED, Phase.QUEUED, manifest_of(), 0, 0, None, None, None, None, 0.0, None, None
)  # fmt: skip


@st.composite
def jobs(draw: st.DrawFn) -> tuple[list[Job], list[Job]]:
    """Waiting and running jobs, in any order, with few priorities so that many are alike."""
    count = draw(st.integers(0, 12))
    priorities = draw(st.lists(st.integers(-2, 2), min_size=count, max_size=count))
    made = [replace(FIRST, id=f"job_{n}", number=n, priority=priority) for n, priority in enumerate(priorities)]
    made = draw(st.permutations(made))
    running = draw(st.integers(0, count))
    return made[running:], made[:running]


def in_order(some: list[Job]) -> list[str]:
    return [job.id for job in sorted(some, key=lambda job: (-job.priority, job.number))]


@given(jobs(), st.integers(1, 8))
def test_there_is_never_more_at_work_than_allowed_nor_less_than_there_could_be(
    some: tuple[list[Job], list[Job]], max_jobs: int
) -> None:
    """After the step exactly as many run as may and as there are."""
    queued, running = some
    decision = step(queued, running, max_jobs)
    assert set(decision.start) <= {job.id for job in queued}
    assert set(decision.stop) <= {job.id for job in running}
    after = len(running) + len(decision.start) - len(decision.stop)
    assert after == min(max_jobs, len(queued) + len(running)) or (not decision.start and after == max_jobs)
    assert after <= max_jobs


@given(jobs(), st.integers(1, 8))
def test_what_starts_is_the_most_urgent_then_the_oldest(some: tuple[list[Job], list[Job]], max_jobs: int) -> None:
    """Of those that wait, the first in order start, in that order."""
    queued, running = some
    start = list(step(queued, running, max_jobs).start)
    assert start == in_order(queued)[: len(start)]


@given(jobs(), st.integers(1, 8))
def test_a_running_job_is_stopped_only_when_too_many_run(some: tuple[list[Job], list[Job]], max_jobs: int) -> None:
    """However urgent a waiting one is; and then the last in order yield, as few as will do."""
    queued, running = some
    decision = step(queued, running, max_jobs)
    assert len(decision.stop) == max(0, len(running) - max_jobs)
    assert list(decision.stop) == in_order(running)[max_jobs:]


@given(jobs(), st.integers(1, 8))
def test_a_second_step_has_nothing_to_do(some: tuple[list[Job], list[Job]], max_jobs: int) -> None:
    """Done, the decision is where it wants to be. What yielded does not start again at once."""
    queued, running = some
    decision = step(queued, running, max_jobs)
    everything = {job.id: job for job in [*queued, *running]}
    now = {job.id for job in running} - set(decision.stop) | set(decision.start)
    waiting = [job for name, job in everything.items() if name not in now]
    assert step(waiting, [everything[name] for name in now], max_jobs) == ((), ())


def test_an_empty_queue_needs_nothing() -> None:
    """No jobs, no step."""
    assert step([], [], 3) == ((), ())


# Who may stop waiting for room

NOW = 1_760_000_000.0
SIZE = FIRST.total
ROOM = st.integers(-10, 50) | st.integers(0, 13).map(lambda jobs: jobs * (SIZE + OVERHEAD))


@st.composite
def waiting(draw: st.DrawFn) -> tuple[list[Job], list[Job]]:
    """Jobs that wait for room since some hour of the last two days, and active ones, each with some bytes kept."""
    some, active = draw(jobs())
    kept = st.integers(0, SIZE)
    since = st.sampled_from([0.0, PATIENCE - 1, PATIENCE, 2 * PATIENCE]).map(lambda ago: NOW - ago)
    return (
        [replace(job, downloaded=draw(kept), waiting_since=draw(since)) for job in some],
        [replace(job, downloaded=draw(kept)) for job in active],
    )


@given(waiting(), ROOM)
def test_room_is_given_out_once(some: tuple[list[Job], list[Job]], usable: int) -> None:
    """Those who go on fit, together with all that is promised; and nobody is left behind who fitted as well."""
    there, active = some
    relief = relieve(there, active, usable, NOW)
    rest = usable - sum(job.left for job in active)
    rest -= sum(job.left + OVERHEAD for job in there if job.id in relief.proceed)
    assert rest >= 0 or not relief.proceed
    assert all(job.left + OVERHEAD > rest for job in there if job.id not in relief.proceed)


@given(waiting(), ROOM)
def test_the_first_in_order_that_fits_goes_on(some: tuple[list[Job], list[Job]], usable: int) -> None:
    """No later one takes the room from it."""
    there, active = some
    relief = relieve(there, active, usable, NOW)
    assert list(relief.proceed) == [name for name in in_order(there) if name in relief.proceed]
    rest = usable - sum(job.left for job in active)
    fitting = [job for job in there if job.left + OVERHEAD <= rest]
    assert list(relief.proceed[:1]) == in_order(fitting)[:1]


@given(waiting(), ROOM)
def test_who_has_waited_for_a_day_is_given_up_unless_there_is_room_now(
    some: tuple[list[Job], list[Job]], usable: int
) -> None:
    """Each goes on, is given up, or waits on."""
    there, active = some
    relief = relieve(there, active, usable, NOW)
    old = {job.id for job in there if job.waiting_since is not None and job.waiting_since <= NOW - PATIENCE}
    assert set(relief.expire) == old - set(relief.proceed)
