"""How many connections a file gets: more while that makes the whole faster, fewer after trouble. Pure; time is given.

It begins with half of what is allowed, doubles while the total grows with it, and goes back a step where it does not: a
source or a line that is full gains nothing from being asked by more, and others may be using it too.
"""

_LOOK_EVERY = 0.5  # seconds at one size before its speed is judged
_FIRST_LOOK = 0.2  # the first size is only a mark to compare with: what is tried next shows whether more is of use
_GROWTH = 1.1  # a larger crew that is not faster by this much is not worth its connections
_LOOK_AGAIN = 30.0  # seconds after which a size that did not pay is tried once more: lines change
_CALM = 5.0  # seconds without trouble before a withdrawn connection is tried again
_LATE = 10.0  # seconds that the last bytes of a file may take in any case
_FACTOR = 8  # times as long as on the fastest connection is too long
_ENOUGH = 1024 * 1024  # bytes from which on an exchange tells a speed


class CrewSize:
    """The number of connections that are of use now, from 1 to the most that the settings allow."""

    def __init__(self, most: int) -> None:
        self._wanted = max(1, -(-most // 2))
        self._before: tuple[int, float] | None = None  # the last smaller size, and its bytes per second
        self._mark: tuple[float, int] | None = None  # when the current size was first looked at, and the count then
        self._grow_at = 0.0
        self._pause = _FIRST_LOOK

    def now(self, most: int) -> int:
        """The size; `most` may have changed since."""
        return max(1, min(self._wanted, most))

    def look(self, now: float, count: int, most: int) -> None:
        """Note how many bytes have come so far (all connections together), and judge the size if it is time."""
        if self._mark is None or count < self._mark[1]:
            self._mark = now, count
            return
        (since, before), seconds = self._mark, now - self._mark[0]
        if seconds < self._pause or since + seconds < self._grow_at:
            return
        self._judge(now, (count - before) / seconds, most)
        self._mark = now, count

    def withdraw(self, busy: int, now: float) -> None:
        """One of `busy` connections was refused or broken while others are well: do with one less for a while."""
        self._resize(max(1, busy - 1), now + _CALM)
        self._before = None

    def _judge(self, now: float, speed: float, most: int) -> None:
        self._pause = _LOOK_EVERY
        # Where nothing comes at all it grows, too: the connections may have died of a network that has changed.
        if self._before and speed < _GROWTH * self._before[1]:
            self._resize(self._before[0], now + _LOOK_AGAIN)
            self._before = None
        elif self._wanted < most:
            self._before = self._wanted, speed
            self._resize(min(most, self._wanted * 2), now)

    def _resize(self, wanted: int, grow_at: float) -> None:
        self._wanted, self._grow_at, self._mark = wanted, grow_at, None


def speed_of(taken: int, seconds: float) -> float:
    """Bytes per second of an exchange that brought so much in so long; 0 where that is too little to tell."""
    return taken / seconds if seconds > 0 and taken >= _ENOUGH else 0.0


def is_late(left: int, taken: int, seconds: float, best: float) -> bool:
    """Whether a connection would hold up the end of a file: another one would have its last bytes far sooner.

    Args:
        left: bytes still to come on it.
        taken: what it has brought.
        seconds: since its first byte.
        best: bytes per second of the fastest exchange so far, 0 where none is known.
    """
    if best <= 0 or seconds < _LATE:
        return False
    return left * seconds > max(taken, 1) * max(_LATE, _FACTOR * left / best)
