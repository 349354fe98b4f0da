"""What all rules of the stories of requests need: a server to ask, a memory of its jobs, a trace of what was said."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from e2e import contract
from e2e.contract import ACTIVE, CANCELLED, COMPLETED, OPEN, VERBS, Known
from e2e.outside import PATIENCE, POLL, Answer, Home, Json, Server
from e2e.world import RIGHT, Wish, World

DOWNLOAD, OWN = "/api/v1/models/download", "/api/windlass/v1"
HUB_IS_ILL = ("hub_error", "hub_unreachable")

T = TypeVar("T")

_TRACED = 120  # lines that a story which ended badly shows


class Storyteller(RuleBasedStateMachine):
    """A machine, its server, and what is known of its jobs."""

    def set_out(self, rate: int | None) -> None:
        """Begin with nothing on the disk, and a hub that sends so many bytes a second on each connection."""
        self.root = Path(tempfile.mkdtemp())
        self.world = World()
        self.world.hub.rate = self.rate = rate
        self.home = Home(self.root, self.world.hub.url)
        self.limits: Json = {"max_jobs": 3, "limit_rate": None}
        self.lives = 1
        self.jobs: list[Known] = []  # oldest first
        self.forgotten: set[str] = set()
        self.by_hand: set[str] = set()  # files that a person has brought
        self.kept: set[str] = set()  # files whose partials were to be kept
        self.trace: list[str] = []
        self.server = Server(self.home)

    @property
    def has_begun(self) -> bool:
        return hasattr(self, "server")

    def teardown(self) -> None:
        """Every story ends well, if it has not ended in an error; then it tells what has led there."""
        if not self.has_begun:
            return
        error = sys.exc_info()[1]
        try:
            if error is None:
                self.end()
        except BaseException as failure:
            error = failure
            raise
        finally:
            if error:
                error.add_note("\n".join([*self.trace[-_TRACED:], *self.server.said.splitlines()[-_TRACED:]]))
            self.server.__exit__()
            self.world.hub.close()
            shutil.rmtree(self.root)

    def end(self) -> None:
        """How a story ends."""
        raise NotImplementedError

    # The trace

    def note(self, what: str) -> None:
        self.trace.append(what)

    def until(self, holds: Callable[[], bool]) -> None:
        """Poll until something holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end
            time.sleep(POLL)

    # Requests

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        answer = self.server.ask(method, path, body)
        said = "" if body is None else json.dumps(body)
        self.note(f"{method} {path} {said} → {answer.status} {_gist(answer)}")
        return answer

    def tell(self, job: Known, verb: str, *, keep: bool = False) -> Answer:
        """Pause, resume or cancel it."""
        body = {"keep_partial": True} if keep and verb == "cancel" else None
        return self.ask("POST", f"{OWN}/jobs/{job.id}/{verb}", body)

    def tell_in_vain(self, job: Known, verb: str) -> None:
        """Tell it, and do not wait for an answer."""
        with suppress(OSError, HTTPException):
            self.tell(job, verb)

    def download(self, wish: Wish, spelling: int) -> Json | None:
        """The job that brings a model in; None where the hub is in the way of an answer."""
        model, quantization = wish.spellings[spelling % len(wish.spellings)]
        body = {"model": model} | ({"quantization": quantization} if quantization else {})
        answer = self.ask("POST", DOWNLOAD, body)
        if answer.status == 200:
            found: Json = contract.success(answer)
            return found
        assert self.world.trouble, answer.body
        contract.refused(answer, *HUB_IS_ILL, *self.world.fails)
        return None

    def lists(self) -> dict[str, list[Json]]:
        """The four lists, held against what is known."""
        lists: dict[str, list[Json]] = contract.success(self.server.ask("GET", f"{DOWNLOAD}/status"))
        self.note(f"  {[_short(body) for rows in lists.values() for body in rows]}")
        contract.look_at_lists(lists, self.jobs)
        return lists

    def models(self) -> set[int]:
        """The sizes of the models that are listed."""
        rows = contract.success(self.server.ask("GET", "/api/v1/models"))["models"]
        self.note(f"  {[(row['key'], row['size_bytes']) for row in rows]}")
        return {row["size_bytes"] for row in rows}

    def pages(self, limit: int) -> Iterator[Json]:
        """Windlass's own list, page by page."""
        cursor = ""
        while True:
            page = contract.success(self.ask("GET", f"{OWN}/jobs?limit={limit}&cursor={cursor}"))
            assert 0 < len(page["jobs"]) <= limit or not self.jobs
            yield from page["jobs"]
            if not (cursor := page.get("next_cursor", "")):
                return

    # What is known

    def one(self, number: int) -> list[Known]:
        """A job, or none where there is none; most often one that may be open, for those have more to tell."""
        busy = [job for job in self.jobs if job.by_now() & OPEN]
        return pick(busy if busy and number % 4 else self.jobs, number)

    def open_job(self, wish: Wish) -> Known | None:
        """The one that brings it in, if there may be one."""
        return next((job for job in self.jobs if job.wish == wish and job.by_now() & OPEN), None)

    def fails(self, wish: Wish) -> set[str]:
        """The codes that a job which is set going now may fail with."""
        return {*self.world.fails, *(["checksum_mismatch"] if self.world.doubtful & set(wish.files) else [])}

    def whole(self) -> set[str]:
        """The files that anybody sees. Each is right, byte for byte."""
        seen = self.home.files()
        assert not {path for path, data in seen.items() if RIGHT.get(path) != data}
        return set(seen)

    def partials(self) -> set[int]:
        """The sizes of the partial files."""
        found = (self.home.models / ".windlass" / "partial").glob("*.part")
        return {size for path in found if (size := _size(path)) is not None}

    def see_row(self, job: Known, row: Json) -> None:
        """A job as Windlass's own calls show it."""
        assert (row["priority"], row.get("limit_rate")) == (job.priority, job.limit_rate)
        job.see(row)

    def answered(self, wish: Wish, body: Json, before: set[str], job: Known | None) -> None:
        """A request for a model got this. `before`: what was there; `job`: what may have been bringing it in."""
        already = body["status"] == "already_downloaded"
        body = body | ({"status": "completed"} if already else {})
        known = next((known for known in self.jobs if known.id == body["job_id"]), None)
        assert body["job_id"] not in self.forgotten
        assert not already or set(wish.files) <= self.whole()
        assert already or job or not set(wish.files) <= before
        if job and known is not job:  # it is over by now, and what it brought was deleted, or it was cancelled
            job.may = job.by_now() & (CANCELLED | (COMPLETED if job.robbed else CANCELLED))
            assert job.may
        if known is None:
            known = Known(body["job_id"], wish, COMPLETED if already else ACTIVE, self.fails(wish))
            known.lossy = bool(self.world.doubtful & set(wish.files))
            self.jobs.append(known)
        elif already:
            known.may = COMPLETED
        else:
            assert known is job, "a job that is over goes on"
            known.set_going(self.fails(wish))
        known.see(body)

    def tell_one(self, job: Known, verb: str, *, keep: bool = False) -> None:
        """Pause, resume or cancel it: done, or refused where it may be past that."""
        sources, target = VERBS[verb]
        may, answer = job.by_now(), self.tell(job, verb, keep=keep)
        if answer.status != 200:
            contract.refused(answer, "illegal_move")
            job.may = may - sources
            assert job.may, f"{verb} was refused, and it may be {may}"
            return
        assert may & sources, f"{verb} was granted, and it may be {may}"
        if verb == "resume":
            job.set_going(self.fails(job.wish))
        elif keep and verb == "cancel":
            self.kept |= set(job.wish.files)
        job.may = target
        self.see_row(job, contract.success(answer))

    def change_one(self, job: Known, changes: Json) -> None:
        job.priority, job.limit_rate = changes.get("priority", job.priority), changes["limit_rate"]
        self.see_row(job, contract.success(self.ask("PATCH", f"{OWN}/jobs/{job.id}", changes)))

    def limit_all(self, max_jobs: int, rate: int | None) -> None:
        self.limits = {"max_jobs": max_jobs, "limit_rate": rate}
        self.see_limits(self.ask("PUT", f"{OWN}/limits", self.limits))
        self.until(lambda: contract.transferring(self.lists()) <= max_jobs)

    def see_limits(self, answer: Answer) -> None:
        said = contract.success(answer)
        assert {name: said.get(name) for name in self.limits} == self.limits
        assert said.get("limit_rate_now") == self.limits["limit_rate"]

    def stop(self, *, kill: bool) -> None:
        """End the server; nothing was wrong with it."""
        if kill:
            self.server.kill()
        else:
            assert self.server.end() == 0
        assert not [word for word in ("Traceback", " error: ", " warning: ") if word in self.server.said]


def pick(some: list[T], number: int) -> list[T]:
    """One of them, counted round and round; none of none."""
    return [some[number % len(some)]] if some else []


def _gist(answer: Answer) -> str:
    body = answer.json
    return _short(body) if "job_id" in body and "status" in body else answer.body.decode()[:400]


def _short(body: Json) -> str:
    said = [body["job_id"], body["status"], body["phase"], body["downloaded_bytes"], body.get("error_code")]
    return " ".join(str(word) for word in said if word is not None)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
