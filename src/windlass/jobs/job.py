"""A job as the store keeps it."""

from dataclasses import dataclass
from typing import NamedTuple

from windlass.jobs.states import Phase, State, Status, status_of
from windlass.manifest import Manifest


class End(NamedTuple):
    """How a job ended: the number of the move that did it, whether it is completed or failed, and when (Unix time)."""

    number: int
    job_id: str
    state: State
    at: float


@dataclass(frozen=True, slots=True)
class Job:
    """One request to bring a model in. Times are Unix seconds; None where they have not come yet.

    Attributes:
        number: counts up in the order of asking.
        downloaded: bytes that are kept, as last noted.
        owner: the process that runs it, as `Presence` names it.
        error_code: a code of `windlass.errors`, on `failed`, `cancelled`, and on a pause that was not asked for.
        waiting_since: when it began to wait for room on the disk, while it does.
        folder: the models folder that its files go to; None for the first, of whatever path.
    """

    id: str
    number: int
    state: State
    phase: Phase
    manifest: Manifest
    downloaded: int
    priority: int
    limit_rate: int | None
    owner: str | None
    error_code: str | None
    error_message: str | None
    created_at: float
    started_at: float | None
    completed_at: float | None
    waiting_since: float | None = None
    folder: str | None = None

    @property
    def status(self) -> Status:
        """LM Studio's word for where it stands."""
        return status_of(self.state)

    @property
    def total(self) -> int:
        """Bytes of everything that it brings in."""
        return self.manifest.total_size

    @property
    def left(self) -> int:
        """Bytes that are still to come, as last noted."""
        return self.total - self.downloaded
