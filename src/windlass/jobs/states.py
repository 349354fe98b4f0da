"""The states of a job and the moves between them, as one table.

A job that was added waits in the queue, runs, and is completed; what else can happen to it is an edge with a name.
`completed` and `cancelled` are over. `failed` is not: asking again for the same model goes on with it. LM Studio's API
knows fewer words; `status_of` says which of its words a state is.
"""

from enum import StrEnum
from typing import Literal, NamedTuple

Status = Literal["downloading", "paused", "completed", "failed"]


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
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
PAUSE = _edge("pause", "queued running", State.PAUSED)
RESUME = _edge("resume", "paused", State.QUEUED)
RETRY = _edge("retry", "failed", State.QUEUED)
CANCEL = _edge("cancel", "queued running paused failed", State.CANCELLED)
YIELD = _edge("yield", "running", State.QUEUED)  # its process ends, or ended: another may go on with it
FOUND = _edge("found", "queued paused failed", State.COMPLETED)  # the files came by another way

EDGES = (START, FINISH, FAIL, PAUSE, RESUME, RETRY, CANCEL, YIELD, FOUND)

OPEN = frozenset({State.QUEUED, State.RUNNING, State.PAUSED, State.FAILED})  # one of these a model and quantization
OVER = frozenset({State.COMPLETED, State.CANCELLED, State.FAILED})  # may be forgotten

_STATUS: dict[State, Status] = {
    State.QUEUED: "downloading",
    State.RUNNING: "downloading",
    State.PAUSED: "paused",
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
