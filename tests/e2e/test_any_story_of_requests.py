"""Any story of requests, restarts and troubles at the hub: what the contract promises holds at every moment of it.

A real server is driven from outside. `contract.py` knows what may be true of its jobs, `world.py` what there is to ask
for and what goes wrong. The suite tells the same few stories each time; `EXAMPLES=300` has so many new ones told.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from e2e import contract
from e2e.contract import ACTIVE, COMPLETED, OPEN, OVER, Known, Lives, after, drifted
from e2e.outside import POLL
from e2e.storyteller import DOWNLOAD, OWN, Storyteller, pick
from e2e.world import KIB, RIGHT, TROUBLES, WEIGHTS, WISHES, Trouble, Wish
from standin import ALWAYS

LIVES = 4  # starts of the server in one story: each takes a second

NUMBER = st.integers(0, 20)  # of a job, or of a spelling
WISH = st.sampled_from(WISHES)
VERB = st.sampled_from(["pause", "resume", "cancel"])
RATES = st.sampled_from([None, 100 * KIB, 2000 * KIB])

# Requests that cannot be met, whatever the hub does.
AMISS: list[tuple[str, str, Any, str]] = [
    ("POST", DOWNLOAD, {}, "invalid_model"),
    ("POST", DOWNLOAD, {"model": "just-a-word"}, "invalid_model"),
    ("POST", DOWNLOAD, {"model": "acme/rope", "quantization": 4}, "invalid_request"),
    ("GET", f"{DOWNLOAD}/status/job_0000000000", None, "job_not_found"),
    ("POST", f"{OWN}/jobs/job_0000000000/pause", None, "job_not_found"),
    ("DELETE", f"{OWN}/jobs/job_0000000000", None, "job_not_found"),
    ("PUT", f"{OWN}/limits", {"max_jobs": 0}, "invalid_request"),
    ("GET", f"{OWN}/jobs?limit=0", None, "invalid_request"),
    ("GET", f"{OWN}/nothing", None, "unknown_endpoint"),
]


def in_turn(first: str, second: str, may: Lives, job: Known) -> Lives:
    """What a job may be that was told one thing and then another."""
    return after(second, drifted(after(first, may), fails=bool(job.fails)))


class StoryOfRequests(Storyteller):
    """See the module."""

    @initialize(
        rate=st.sampled_from([60 * KIB, 300 * KIB, None]),
        max_jobs=st.integers(1, 3),
        wishes=st.lists(WISH, min_size=2, max_size=4, unique=True),
        part=st.none() | st.integers(0, 3),
    )
    def begin(self, rate: int | None, max_jobs: int, wishes: list[Wish], part: int | None) -> None:
        """Some models are asked for, and maybe a byte of the first is wrong."""
        self.set_out(rate)
        self.limit_all(max_jobs, None)
        if part is not None:
            self.world.spoil(wishes[0].files[-1], part, times=1)
        for wish in wishes:
            self.ask_for(wish, 0)

    # What people ask for

    @rule(wish=WISH, spelling=NUMBER, at_once=st.sampled_from([1, 1, 4]))
    def ask_for(self, wish: Wish, spelling: int, at_once: int = 1) -> None:
        """A model: the job that brings it in, or did; one, however many ask at once."""
        before, job = self.whole(), self.open_job(wish)
        with ThreadPoolExecutor(at_once) as pool:
            asked = pool.map(lambda number: self.download(wish, spelling + number), range(at_once))
            bodies = [body for body in asked if body]
        assert len({body["job_id"] for body in bodies}) <= 1
        if bodies:
            self.answered(wish, bodies[0], before, job)

    @rule(number=NUMBER, verb=VERB, keep=st.booleans())
    def tell_a_job(self, number: int, verb: str, keep: bool) -> None:
        """To pause, to go on, to end. Twice is once."""
        for job in self.one(number):
            self.tell_one(job, verb, keep=keep)

    @rule(number=NUMBER, first=VERB, second=VERB | st.just("ask"))
    def quarrel(self, number: int, first: str, second: str) -> None:
        """Two people tell a job two things at the same moment: it ends as if one of them had been the first."""
        for job in self.one(number):
            may, before, was_open = job.by_now(), self.whole(), self.open_job(job.wish)
            job.fails |= self.fails(job.wish)
            with ThreadPoolExecutor(2) as pool:
                telling = pool.submit(self.tell, job, first)
                asked = self.download(job.wish, 0) if second == "ask" else None
                answers = [telling.result()] if second == "ask" else [self.tell(job, second), telling.result()]
            for answer in answers:
                if answer.status != 200:
                    contract.refused(answer, "illegal_move")
            turns = in_turn(first, second, may, job) | in_turn(second, first, may, job)
            job.may = turns if asked or second != "ask" else turns | after(first, may)
            if asked and (was_open is not job or asked["job_id"] != job.id):
                self.answered(job.wish, asked, before, was_open)
            elif asked and asked["status"] == "already_downloaded":
                job.may = COMPLETED

    @rule(number=NUMBER)
    def forget(self, number: int) -> None:
        """A job that is over is forgotten; one that is not stays."""
        for job in self.one(number):
            may, answer = job.by_now(), self.ask("DELETE", f"{OWN}/jobs/{job.id}")
            if answer.status != 200:
                contract.refused(answer, "illegal_move")
                assert may - OVER
                continue
            assert may & OVER
            assert contract.success(answer) == {"job_id": job.id, "removed": True}
            self.jobs.remove(job)
            self.forgotten.add(job.id)
            for path in (f"{DOWNLOAD}/status", f"{OWN}/jobs"):
                contract.refused(self.ask("GET", f"{path}/{job.id}"), "job_not_found")

    @rule(max_jobs=st.integers(1, 3), rate=RATES, number=NUMBER, priority=st.integers(-2, 2), own_rate=RATES)
    def limit(self, max_jobs: int, rate: int | None, number: int, priority: int, own_rate: int | None) -> None:
        """What was set is so, and stays so; those who are too many yield."""
        self.limit_all(max_jobs, rate)
        for job in self.one(number):
            self.change_one(job, {"priority": priority, "limit_rate": own_rate})

    @rule(number=NUMBER, limit=st.integers(1, 3), looks=st.integers(1, 8), amiss=st.sampled_from(AMISS))
    def look_closely(self, number: int, limit: int, looks: int, amiss: tuple[str, str, Any, str]) -> None:
        """Some times, as clients do. The pages have what the lists have, and a job's own page agrees."""
        method, path, body, code = amiss
        contract.refused(self.ask(method, path, body), code)
        rows, newest_first = list(self.pages(limit)), self.jobs[::-1]
        assert [row["job_id"] for row in rows] == [job.id for job in newest_first]
        for row, job in zip(rows, newest_first, strict=True):
            self.see_row(job, row)
        for job in self.one(number):
            detail = contract.success(self.ask("GET", f"{OWN}/jobs/{job.id}"))
            self.see_row(job, detail)
            assert {file["path"] for file in detail["files"]} == set(job.wish.files)
            for _ in range(looks):
                job.see(contract.success(self.ask("GET", f"{DOWNLOAD}/status/{job.id}")))
                time.sleep(POLL)

    # What happens to them

    @rule(trouble=st.sampled_from(TROUBLES))
    def go_wrong(self, trouble: Trouble) -> None:
        self.note(f"trouble: {trouble.name}")
        self.world.begin(trouble)
        for job in self.jobs:
            job.fails |= trouble.fails

    @rule(number=NUMBER, part=st.integers(0, 3), times=st.sampled_from([1, ALWAYS]))
    def send_wrong_bytes(self, number: int, part: int, times: float) -> None:
        """In a file that is not there yet."""
        for path in pick(sorted(WEIGHTS - self.whole()), number):
            self.note(f"wrong bytes: {path}, {times} times")
            self.world.spoil(path, part, times)
            for job in self.jobs:
                if path in job.wish.files:
                    job.lossy = True
                    job.fails.add("checksum_mismatch")

    @precondition(lambda self: self.world.trouble or self.world.spoils)
    @rule(to_the_end=st.booleans())
    def go_right(self, to_the_end: bool) -> None:
        """And all that was asked for comes in, if people wait for it."""
        self.note("the hub does right")
        self.world.end()
        if to_the_end:
            self._end_well()
            self.world.hub.rate = self.rate

    @rule(number=NUMBER)
    def delete_a_file(self, number: int) -> None:
        """As people do."""
        for path in pick(sorted(self.whole()), number):
            self.note(f"delete {path}")
            (self.home.models / path).unlink()
            self.by_hand.discard(path)
            for job in self.jobs:
                if path in job.wish.files:
                    job.lossy = job.robbed = True

    @rule(wish=WISH)
    def bring_by_hand(self, wish: Wish) -> None:
        """Somebody copies a model there."""
        for path in wish.files:
            place, beside = self.home.models / path, self.root / "copy"
            if not place.exists():
                self.note(f"bring {path}")
                place.parent.mkdir(parents=True, exist_ok=True)
                beside.write_bytes(RIGHT[path])
                beside.rename(place)
                self.by_hand.add(path)

    @precondition(lambda self: self.lives < LIVES)
    @rule(kill=st.booleans(), number=NUMBER, amid=st.none() | VERB)
    def die(self, kill: bool, number: int, amid: str | None) -> None:
        """And come back; in the midst of a request, maybe, which has been heard or not."""
        self.lives += 1
        for job in self.one(number):
            may = job.by_now()
            with ThreadPoolExecutor(1) as pool:
                if amid:
                    pool.submit(self.tell_in_vain, job, amid)
                    job.may |= in_turn(amid, amid, may, job)
                self.note("kill" if kill else "end")
                self.stop(kill=kill)
            self.server.restart()
            self.see_limits(self.ask("GET", f"{OWN}/limits"))
        for job in self.jobs:
            job.fails |= self.fails(job.wish)

    # What must hold

    @invariant()
    def all_is_as_promised(self) -> None:
        """At every moment."""
        if not self.has_begun:
            return
        before = self.whole()
        active = [job for job in self.jobs if job.may == ACTIVE]
        assert contract.transferring(self.lists()) <= self.limits["max_jobs"]
        listed = self.models()
        there = self.whole()
        for job in active:
            assert job.may != COMPLETED or job.robbed or set(job.wish.files) <= there
        self._look_at_models(listed, before, there)
        self.until(self._has_no_leftovers)

    def _look_at_models(self, sizes: set[int], before: set[str], there: set[str]) -> None:
        """Only whole models are listed, and each that a job brought in. Of a person's own nobody knows the parts."""
        own = {sum(len(RIGHT[path]) for path in self.by_hand & set(wish.files)) for wish in WISHES}
        own |= {len(RIGHT[path]) for path in self.by_hand}
        assert sizes <= own | {wish.size for wish in WISHES if set(wish.files) <= there}
        assert sizes >= {job.wish.size for job in self.jobs if job.may == COMPLETED and set(job.wish.files) <= before}

    def _has_no_leftovers(self) -> bool:
        """No partial is there that no open job wants; one that was just begun is empty."""
        sizes = {len(RIGHT[path]) for path in contract.wanted(self.jobs) | self.kept}
        return self.partials() <= (sizes | {0} if sizes else set())

    def end(self) -> None:
        """All that was asked for is here; then all that there is can be had."""
        self._end_well()
        for wish in WISHES:
            self.ask_for(wish, 0)
        self._end_well()
        self.all_is_as_promised()
        assert self.whole() == set(RIGHT)
        self.stop(kill=False)

    def _end_well(self) -> None:
        """Nothing is in the way any more, and all are asked to go on: they end."""
        self.note("all is well")
        self.world.end()
        self.world.hub.rate = None
        self.limit_all(3, None)
        for job in [job for job in self.jobs if job.by_now() & OPEN]:
            self.change_one(job, {"limit_rate": None})
            self.tell_one(job, "pause")  # one that has failed often would wait up to 20 s before it tries again
            self.tell_one(job, "resume")
            job.fails.clear()
        self.until(lambda: not self.lists()["downloading"])
        assert not contract.wanted(self.jobs)


EXAMPLES = int(os.environ.get("EXAMPLES", "0"))

TestStoryOfRequests = StoryOfRequests.TestCase
# Shortening a story that ends badly takes long, and what has led there is told with it.
TestStoryOfRequests.settings = settings(
    max_examples=EXAMPLES or 4,
    derandomize=not EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
