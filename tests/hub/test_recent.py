"""The same question is asked once: again within seconds, or by many at once; errors and old answers are not kept."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import pytest

from windlass.errors import HubUnreachable
from windlass.hub.recent import SECONDS, Recent


class Oracle:
    """Answers with how often it has been asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count(1)
        self.recent = Recent[int](lambda: self.now, 100, lambda _: 40)

    def ask(self, question: str = "q") -> int:
        return self.recent.get(question, lambda: next(self._numbers))


def test_the_same_question_again_is_not_asked() -> None:
    """Within the time; then it is."""
    oracle = Oracle()
    assert [oracle.ask(), oracle.ask()] == [1, 1]
    oracle.now = SECONDS
    assert oracle.ask() == 1
    oracle.now = SECONDS + 0.1
    assert oracle.ask() == 2


def test_the_oldest_make_room_for_the_new() -> None:
    """All together weigh no more than they may."""
    oracle = Oracle()
    assert [oracle.ask(question) for question in "abc"] == [1, 2, 3]
    assert [oracle.ask(question) for question in "cb"] == [3, 2]
    assert oracle.ask("a") == 4


def test_what_weighs_nothing_is_not_kept() -> None:
    """As that a catalog does not know a name."""
    numbers, recent = count(1), Recent[int](lambda: 0.0, 100, lambda _: 0)
    assert [recent.get("q", lambda: next(numbers)) for _ in range(3)] == [1, 2, 3]


def test_an_error_is_not_kept() -> None:
    """Who asks again is answered anew."""
    recent = Recent[str](lambda: 0.0, 100, len)

    def fail() -> str:
        raise HubUnreachable("no")

    for _ in range(2):
        with pytest.raises(HubUnreachable):
            recent.get("q", fail)
    assert recent.get("q", lambda: "yes") == "yes"


def test_many_at_once_ask_once() -> None:
    """All get the one answer."""
    recent, asked = Recent[str](lambda: 0.0, 100, len), list[int]()
    here, all_here = threading.Semaphore(0), threading.Event()

    def answer() -> str:
        asked.append(1)
        assert all_here.wait(10)
        return "yes"

    def ask(_: int) -> str:
        here.release()
        return recent.get("q", answer)

    with ThreadPoolExecutor(30) as threads:
        answers = threads.map(ask, range(30))
        for _ in range(30):
            assert here.acquire(timeout=10)
        all_here.set()
        assert set(answers) == {"yes"}
    assert asked == [1]


def test_an_error_is_shared_by_those_who_asked_meanwhile() -> None:
    """They do not ask again one after the other what has just failed."""
    recent, second = Recent[str](lambda: 0.0, 100, len), ThreadPoolExecutor(1)

    def fail() -> str:
        waiting.append(second.submit(recent.get, "q", lambda: "asked again"))
        until = time.monotonic() + 10
        while not recent._answers["q"].future._condition._waiters and not waiting[0].done():  # type: ignore[attr-defined]
            assert time.monotonic() < until
        raise HubUnreachable("no")

    waiting: list[Future[str]] = []
    with second, pytest.raises(HubUnreachable):
        recent.get("q", fail)
    with pytest.raises(HubUnreachable):
        waiting[0].result(10)
