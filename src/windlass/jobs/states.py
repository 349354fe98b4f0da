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
    """A move: from any of `sources` to `target`."""

    name: str
    sources: frozenset[State]
    target: State


def _edge(name: str, sources: str, target: State) -> Edge:
    return Edge(name, frozenset(State(source) for source in sources.split()), target)


START = _edge("start", "queued", State.RUNNING)
FINISH = _edge("finish", "running", State.COMPLETED)
FAIL = _edge("fail", "running", State.FAILED)
PAUSE = _edge("pause", "queued running waiting", State.PAUSED)
RESUME = _edge("resume", "paused waiting", State.QUEUED)
RETRY = _edge("retry", "failed", State.QUEUED)
CANCEL = _edge("cancel", "queued running paused waiting failed", State.CANCELLED)
YIELD = _edge("yield", "running", State.QUEUED)  # its process ends, or ended: another may go on with it
WAIT = _edge("wait", "running", State.WAITING)  # the disk has no room
PROCEED = _edge("proceed", "waiting", State.QUEUED)  # it has again
EXPIRE = _edge("expire", "waiting", State.FAILED)  # nobody made any for a day
FOUND = _edge("found", "queued paused waiting failed", State.COMPLETED)  # the files came by another way

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
    """LM Studio's word for a state; a cancelled job is `failed` there (contract §2)."""
    return _STATUS[state]


def states_of(status: Status) -> frozenset[State]:
    """The states that LM Studio's API calls by this word."""
    return frozenset(state for state, word in _STATUS.items() if word == status)
