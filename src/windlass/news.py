"""What happens to jobs, as those who follow it ask for it: the `Source` of events and of webhooks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from windlass.jobs.job import End
from windlass.jobs.states import OPEN, State

if TYPE_CHECKING:
    from windlass.jobs.store import Store


class News:
    """The moves in the store, and each job as it is shown. Threads may share it.

    Args:
        store: the jobs.
        show: a job as JSON; raises JobNotFound.
    """

    def __init__(self, store: "Store", show: Callable[[str], dict[str, Any]]) -> None:
        self._store = store
        self.show = show

    def last_move(self) -> int:
        """The number of the last move of any job, 0 where there was none."""
        return self._store.last_move()

    def moved_since(self, number: int) -> list[str]:
        """Ids of jobs that were moved after that move, or are gone since."""
        return self._store.moved_since(number)

    def next_end(self, after: int) -> End | None:
        """The first move after that one that completed or failed a job."""
        return self._store.next_end(after)

    def running(self) -> list[str]:
        """Ids of jobs that run, here or elsewhere."""
        return self._store.ids({State.RUNNING})

    def open(self) -> list[str]:
        """Ids of jobs that are not over."""
        return self._store.ids(OPEN - {State.FAILED})
