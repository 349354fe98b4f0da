"""The contract of jobs as a small model of its own: what may a job be now, and what must an answer look like?

Each job has a set of lives that it may be in, for bytes come in the background: one that was active may be completed by
the next look. What is asked of it, and each look at it, make the set smaller. Written from what the API promises.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from e2e.outside import Answer, Json
from e2e.world import Wish

STATUSES = ("downloading", "paused", "completed", "failed")
PHASES = {"queued", "resolving", "transferring", "verifying", "done"}
JOB_ID = re.compile(r"job_[0-9a-f]{10}")

# code → HTTP status and type, as the table of errors has them
REFUSALS = {
    "invalid_model": (400, "invalid_request"),
    "invalid_request": (400, "invalid_request"),
    "quantization_not_found": (400, "invalid_request"),
    "unsupported_media_type": (415, "invalid_request"),
    "model_gated": (403, "model_gated"),
    "model_not_found": (404, "model_not_found"),
    "job_not_found": (404, "job_not_found"),
    "unknown_endpoint": (404, "invalid_request"),
    "illegal_move": (409, "invalid_request"),
    "hub_error": (502, "hub_error"),
    "hub_unreachable": (503, "hub_unreachable"),
}


class Life(Enum):
    """Where a job stands, in five words where the API has four: cancelled is `failed` there."""

    ACTIVE = "downloading"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


Lives = frozenset[Life]
ACTIVE, PAUSED, COMPLETED, FAILED, CANCELLED = (frozenset({life}) for life in Life)
OPEN = ACTIVE | PAUSED | FAILED  # one of these a model and quantization
OVER = COMPLETED | FAILED | CANCELLED  # may be forgotten

# From which lives a verb leads where, the last one among them: twice is once. From any other it is refused.
VERBS: dict[str, tuple[Lives, Lives]] = {
    "pause": (ACTIVE | PAUSED, PAUSED),
    "resume": (OPEN, ACTIVE),
    "cancel": (OPEN | CANCELLED, CANCELLED),
    "ask": (OPEN, ACTIVE),  # for its model; of one that is over it leads to another job
}


def after(verb: str, lives: Lives) -> Lives:
    """What a job may be once it was told, where nothing else happens."""
    sources, target = VERBS[verb]
    return (lives - sources) | (target if lives & sources else frozenset())


def drifted(lives: Lives, *, fails: bool) -> Lives:
    """What it may have become by itself a while later."""
    return lives | (COMPLETED | (FAILED if fails else frozenset()) if lives & ACTIVE else frozenset())


@dataclass
class Known:
    """A job as it is known from what was asked of it and answered.

    Attributes:
        may: the lives it may have been in when it was last heard of.
        fails: the codes that it may fail with since it was last set going.
        had: the `downloaded_bytes` that were told of it last.
        lossy: whether bytes that counted may be gone: they were wrong, or somebody has deleted a file.
        robbed: whether somebody has deleted a file since it was last set going.
        told: what never changes, as it was told first.
    """

    id: str
    wish: Wish
    may: Lives = ACTIVE
    fails: set[str] = field(default_factory=set)
    had: int = 0
    lossy: bool = False
    robbed: bool = False
    priority: int = 0
    limit_rate: int | None = None
    told: Json = field(default_factory=dict)

    def by_now(self) -> Lives:
        """What it may have become by itself in the meantime."""
        return drifted(self.may, fails=bool(self.fails))

    def set_going(self, fails: Iterable[str]) -> None:
        """It was asked to go on, and may fail with these."""
        if self.may & ACTIVE:  # it may run as before
            self.fails |= set(fails)
        else:
            self.fails, self.robbed = set(fails), False
        self.may = ACTIVE

    def see(self, body: Json) -> None:
        """Hold a look at it against what it may be; from then on it is known to be that."""
        life = life_of(body)
        assert life in self.by_now(), f"{self.id} is {life}, and may be {self.by_now()}"
        if life is Life.FAILED:
            assert self.may & FAILED or body["error_code"] in self.fails
        self.may = frozenset({life})
        self._look_at_bytes(body)
        fixed = {name: body[name] for name in ("job_id", "total_size_bytes", "items", "started_at")}
        self.told = self.told or fixed
        assert fixed == self.told

    def _look_at_bytes(self, body: Json) -> None:
        have, total = body["downloaded_bytes"], body["total_size_bytes"]
        assert have <= total
        assert have >= self.had or self.lossy, f"{self.id} had {self.had} bytes, and has {have}"
        assert self.wish.catalog == (total > self.wish.size)
        self.had = have


def life_of(body: Json) -> Life:
    """The life of a well-formed job; that it is well-formed is asserted."""
    assert "error" not in body
    assert None not in body.values()
    assert JOB_ID.fullmatch(body["job_id"])
    assert body["phase"] in PHASES
    sizes = [item["size_bytes"] for item in body["items"]]
    assert body["total_size_bytes"] == sum(sizes)
    assert ("completed_at" in body) == (body["status"] == "completed")
    if body["status"] == "completed":
        assert body["downloaded_bytes"] == body["total_size_bytes"]
        assert body["phase"] == "done"
    assert ("error_code" in body) == (body["status"] == "failed") == bool(body.get("error_message"))
    return Life.CANCELLED if body.get("error_code") == "cancelled" else Life(body["status"])


def success(answer: Answer) -> Any:
    """The body of a success."""
    assert answer.status == 200, answer.body
    assert "error" not in answer.json
    return answer.json


def refused(answer: Answer, *codes: str) -> str:
    """The code of a refusal, which must be one of these, and look as the table has it."""
    error, body = answer.error, answer.json
    assert set(body) == {"error"}
    assert error["code"] in codes, body
    assert (answer.status, error["type"]) == REFUSALS[error["code"]]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert ("param" in error) == (error["code"] in {"invalid_model", "invalid_request", "quantization_not_found"})
    return str(error["code"])


def look_at_lists(lists: dict[str, list[Json]], jobs: Collection[Known]) -> None:
    """The four lists have each job once, under its status, newest first; of a model one is open; each job may be so."""
    assert tuple(lists) == STATUSES
    bodies = {body["job_id"]: body for rows in lists.values() for body in rows}
    assert len(bodies) == sum(map(len, lists.values()))
    order = [job.id for job in reversed(list(jobs))]
    assert sorted(bodies) == sorted(order)
    for status, rows in lists.items():
        assert {body["status"] for body in rows} <= {status}
        assert [body["job_id"] for body in rows] == [
            job_id for job_id in order if job_id in {b["job_id"] for b in rows}
        ]
    for job in jobs:
        job.see(bodies[job.id])
    busy = [job.wish for job in jobs if job.may <= OPEN]
    assert len(busy) == len(set(busy)), "two jobs bring in the same model"


def transferring(lists: dict[str, list[Json]]) -> int:
    """How many jobs do not wait for their turn."""
    return sum(body["phase"] != "queued" for body in lists["downloading"])


def wanted(jobs: Iterable[Known]) -> set[str]:
    """The files that open jobs want."""
    return {path for job in jobs if job.by_now() & OPEN for path in job.wish.files}
