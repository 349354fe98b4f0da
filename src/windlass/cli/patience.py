"""A server that is started anew does not answer for some seconds; who watches it waits for it."""

from collections.abc import Callable
from typing import TypeVar

from windlass.errors import ServerUnreachable

T = TypeVar("T")

LONGEST = 30.0  # seconds: more than a restart takes
AGAIN = 0.5  # seconds
SAID = "The server does not answer; waiting for it to come back …"


def patient(
    ask: Callable[[], T], say: Callable[[str], object], wait: Callable[[float], object], clock: Callable[[], float]
) -> Callable[[], T]:
    """What asks, and asks again where the server is away; `say` is told so, once for each time that it goes.

    The answer raises ServerUnreachable where it has been away for `LONGEST`.
    """

    def answer() -> T:
        end = None
        while True:
            try:
                return ask()
            except ServerUnreachable:
                if end is None:
                    end = clock() + LONGEST
                    say(SAID)
                elif clock() >= end:
                    raise
                wait(AGAIN)

    return answer
