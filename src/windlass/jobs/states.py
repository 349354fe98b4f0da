"""The states of a job and the moves between them, as one table.

A job that was added waits in the queue, runs, and is completed; what else can happen to it is an edge with a name.
`completed` and `cancelled` are over. `failed` is not: asking again for the same model goes on with it. LM Studio's API
knows fewer words; `status_of` says which of its words a state is.

`waiting` is a pause that nobody asked for: the disk has no room. It is a state of its own, not a pause with a mark, so
that no edge leads by itself out of the pause of a person.
"""

from enum import StrEnum
from typing import Literal, NamedTuple

Status = Literal["downloading", "paused", "completed", "failed"]


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """What a job is busy with, as the API says it."""

    QUEUED = "queued"
    RESOLVING = "resolving"
    TRANSFERRING = "transferring"
    VERIFYING = "verifying"
    DONE = "done"


class Edge(NamedTuple):
    """A move: from any of `sources` to `target`; `when` is for people, and stands in docs/jobs.md."""

    name: str
    sources: frozenset[State]
    target: State
    when: str


def _edge(name: str, sources: str, target: State, when: str) -> Edge:
    return Edge(name, frozenset(State(source) for source in sources.split()), target, when)


START = _edge("start", "queued", State.RUNNING, "its turn has come")
FINISH = _edge("finish", "running", State.COMPLETED, "all its files are whole and in their place")
FAIL = _edge("fail", "running", State.FAILED, "it cannot go on; `error_code` says why")
PAUSE = _edge("pause", "queued running waiting", State.PAUSED, "a person pauses it")
RESUME = _edge("resume", "paused waiting", State.QUEUED, "a person resumes it, or asks for the model again")
RETRY = _edge("retry", "failed", State.QUEUED, "a person resumes it, or asks for the model again")
CANCEL = _edge("cancel", "queued running paused waiting failed", State.CANCELLED, "a person cancels it")
YIELD = _edge(
    "yield", "running", State.QUEUED, "its process ends or has ended, or `max_jobs` was lowered: another may go on"
)
WAIT = _edge("wait", "running", State.WAITING, "the disk has no room")
PROCEED = _edge("proceed", "waiting", State.QUEUED, "the disk has room again")
EXPIRE = _edge("expire", "waiting", State.FAILED, "nobody has made room for a day")
FOUND = _edge("found", "queued paused waiting failed", State.COMPLETED, "the files came by another way")

EDGES = (START, FINISH, FAIL, PAUSE, RESUME, RETRY, CANCEL, YIELD, WAIT, PROCEED, EXPIRE, FOUND)

# One of these a model and quantization.
OPEN = frozenset({State.QUEUED, State.RUNNING, State.PAUSED, State.WAITING, State.FAILED})
OVER = frozenset({State.COMPLETED, State.CANCELLED, State.FAILED})  # may be forgotten

_STATUS: dict[State, Status] = {
    State.QUEUED: "downloading",
    State.RUNNING: "downloading",
    State.PAUSED: "paused",
    State.WAITING: "paused",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}


def status_of(state: State) -> Status:
    """LM Studio's word for a state; a cancelled job is `failed` there (docs/rest.md)."""
    return _STATUS[state]


def states_of(status: Status) -> frozenset[State]:
    """The states that LM Studio's API calls by this word."""
    return frozenset(state for state, word in _STATUS.items() if word == status)
