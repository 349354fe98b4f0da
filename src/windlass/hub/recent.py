"""What was answered a short while ago: the same question again costs nothing, and asked at once by many costs one.

Three hundred requests for one model at the same moment ask the hub for its files once. What was kept is soon asked for
anew: a branch moves, and who has just been granted access must not be told no. So errors are not kept at all, only
shared by those who asked meanwhile.
"""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

SECONDS = 10.0

T = TypeVar("T")


@dataclass(slots=True)
class _Answer(Generic[T]):
    """An answer, or the promise of one; `weight` is 0 until it is there."""

    future: "Future[T]"
    asked_at: float
    weight: int = 0


class Recent(Generic[T]):
    """Answers by question. Threads may share it.

    Args:
        clock: seconds that only go forward.
        most: what all answers that are kept may weigh together.
        weigh: what one weighs; 0 for one that is not worth keeping.
        seconds: how long one is kept.
    """

    def __init__(
        self, clock: Callable[[], float], most: int, weigh: Callable[[T], int], seconds: float = SECONDS
    ) -> None:
        self._clock = clock
        self._most = most
        self._weigh = weigh
        self._seconds = seconds
        self._answers: dict[Hashable, _Answer[T]] = {}
        self._lock = threading.Lock()

    def get(self, question: Hashable, ask: Callable[[], T]) -> T:
        """The answer: a recent one, the one that somebody is getting just now, or what `ask` says; raises as that."""
        with self._lock:
            self._forget_old()
            answer = self._answers.get(question)
            if answer is not None:
                mine = False
            else:
                mine, answer = True, _Answer(Future(), self._clock())
                self._answers[question] = answer
        if mine:
            self._fill(question, answer, ask)
        return answer.future.result()

    def forget(self) -> None:
        """Keep nothing of what was answered up to now."""
        with self._lock:
            self._answers = {}

    def _fill(self, question: Hashable, answer: _Answer[T], ask: Callable[[], T]) -> None:
        weight = 0
        try:
            result = ask()
            weight = self._weigh(result)
        except BaseException as error:
            answer.future.set_exception(error)
        else:
            answer.future.set_result(result)
        with self._lock:
            answer.weight = weight
            if not weight and self._answers.get(question) is answer:
                del self._answers[question]
            self._make_room()

    def _forget_old(self) -> None:
        now = self._clock()
        old = [question for question, one in self._answers.items() if one.weight and now - one.asked_at > self._seconds]
        for question in old:
            del self._answers[question]

    def _make_room(self) -> None:
        """Drop the oldest until the others are light enough."""
        there = [(question, one.weight) for question, one in self._answers.items() if one.weight]
        weight = sum(weight for _, weight in there)
        for question, less in there:
            if weight <= self._most:
                return
            del self._answers[question]
            weight -= less
