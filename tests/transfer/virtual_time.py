"""An asyncio loop whose clock jumps to the next timer when there is nothing to do: an hour passes in no time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class NothingWillEverHappen(AssertionError):
    """Every task waits, and no timer is set: on a real loop this would hang."""


class Inline(Executor):
    """A pool of threads without threads: work is done where it is submitted, so every run is the same."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Later(Executor):
    """Work is done a turn of the loop after it is submitted, as if on a thread: what waits for it can be stopped."""

    def __init__(self) -> None:
        self.busy = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.busy += 1

        def work() -> None:
            self.busy -= 1
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        asyncio.get_running_loop().call_soon(work)
        return future


class _Selector(selectors.DefaultSelector):
    """Never waits: what the loop would have slept is added to its clock."""

    now = 0.0
    turns = 0
    at_turn: tuple[int, Callable[[], object]] = (-1, int)

    def select(self, timeout: float | None = None) -> Any:
        self.turns += 1
        if self.turns == self.at_turn[0]:
            self.at_turn[1]()
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise NothingWillEverHappen
        self.now += max(0.0, timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now

    @property
    def turns(self) -> int:
        """How often the loop has looked for what there is to do."""
        return self._clock.turns

    def at_turn(self, turn: int, callback: Callable[[], object]) -> None:
        """Have `callback` called then: between any two steps of anything."""
        self._clock.at_turn = turn, callback

    def leap(self, seconds: float) -> None:
        """The clock goes on, and nothing else can: the machine is asleep."""
        self._clock.now += seconds


def run(work: Coroutine[Any, Any, T], *, within: float = 3600.0) -> T:
    """The result of `work`, which must end within so many seconds of its own time."""

    async def bounded() -> T:
        async with asyncio.timeout(within):
            return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())
