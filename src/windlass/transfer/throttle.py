"""Limits on bytes per second, of all jobs together and of each: who may take how much, and when.

A connection asks its job's lane for credit, and is answered when its turn has come: the lanes take turns, so that a job
of eight connections gets no more than a job of one; within a lane it goes by the order of asking. A bucket that is open
to all while it has something in it was tried first: whoever asks next takes what the others wait for, and one
connection starves the rest. Counting each connection's place in one line came next, and gave the job with the most
connections the most.

Everything here belongs to the thread of one asyncio loop, but the rates, which any thread may set.
"""

import asyncio
from collections import deque

# Seconds of the rate that may be saved up. More would let a resumed transfer leap; with 0.05 what a busy disk holds up
# for longer is lost: 0.92 and 0.94 of 300 MB/s came over the wire, with this 1.00 and 0.99.
_BURST = 0.15
_SAVED = 0.25  # seconds of its own rate that a lane may save up while it waits for its turn among others
_SLICE = 0.01  # seconds of the rate that are given at once
_MOST = 512 * 1024  # bytes given at once
_SOONEST = 0.001  # seconds: below this a loop's timers are not exact, and what comes late is made good by the burst
_RECHECK = 0.25  # seconds after which the line is looked at again in any case, so that a changed rate is soon felt


class Bucket:
    """A rate in bytes per second, None for no limit, and what has been taken ahead of it. Pure: time is handed in."""

    def __init__(self, rate: int | None = None, burst: float = _BURST) -> None:
        self.rate = rate
        self._burst = burst
        self._owed = 0.0
        self._at = 0.0

    @property
    def saved(self) -> int:
        """Bytes that may be taken at once."""
        return max(0, int(-self._owed))

    def wait(self, now: float) -> float:
        """Seconds until more may be taken, 0 for now."""
        rate, passed, self._at = self.rate, now - self._at, now
        if rate is None:
            self._owed = 0.0
            return 0.0
        self._owed = max(self._owed - passed * rate, -rate * self._burst)
        return max(0.0, self._owed / rate)

    def take(self, size: int) -> None:
        """Account for bytes; less than 0 gives some back."""
        self._owed += size


class Throttle:
    """The limit over all jobs, and the line in which their lanes wait."""

    def __init__(self, rate: int | None = None) -> None:
        self.bucket = Bucket(rate)
        self._waiting: deque[Lane] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def lane(self, rate: int | None = None) -> "Lane":
        """A job's share, with a limit of its own or not."""
        return Lane(self, Bucket(rate, _SAVED))

    def close(self) -> None:
        """Serve nobody any more."""
        if self._timer:
            self._timer.cancel()

    def line_up(self, lane: "Lane") -> None:
        """Have a lane wait for its turn, if it does not already."""
        if lane not in self._waiting:
            self._waiting.append(lane)
        if self._timer is None:
            self._serve()

    def _serve(self) -> None:
        """Give credit to all whose turn has come; look again when it is the next one's."""
        self._timer, now = None, _now()
        while self._waiting:
            common = self.bucket.wait(now)
            wait, lane = min(((max(common, lane.bucket.wait(now)), lane) for lane in self._waiting), key=_first)
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(max(_SOONEST, min(wait, _RECHECK)), self._serve)
                return
            self._waiting.remove(lane)
            size = _turn(self.bucket, lane.bucket)
            if lane.give(size):
                self.bucket.take(size)
                lane.bucket.take(size)
            if lane.asked:
                self._waiting.append(lane)


class Lane:
    """What one job may take. Its connections wait in the order in which they ask."""

    def __init__(self, throttle: Throttle, bucket: Bucket) -> None:
        self.bucket = bucket
        self.asked: deque[asyncio.Future[int]] = deque()
        self._throttle = throttle

    @property
    def limited(self) -> bool:
        """Whether any limit applies now; where none does, nobody need ask."""
        return self.bucket.rate is not None or self._throttle.bucket.rate is not None

    def ask(self) -> "asyncio.Future[int]":
        """How many bytes may be taken, answered when they may. Whoever does not want them any more cancels it."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.asked.append(future)
        self._throttle.line_up(self)
        return future

    def give_back(self, credit: int) -> None:
        """Return what was given and not taken; less than 0 for what was taken beyond it."""
        for bucket in (self.bucket, self._throttle.bucket):
            bucket.take(-credit)

    def give(self, size: int) -> bool:
        """Answer the first who still waits; False where nobody does."""
        while self.asked:
            future = self.asked.popleft()
            if not future.done():
                future.set_result(size)
                return True
        return False


def _turn(common: Bucket, own: Bucket) -> int:
    """Bytes that a lane is given in its turn.

    A slice of the slower rate; but not less than it has saved up of its own since its last turn, as far as a slice of
    the common rate goes: a turn takes as long as all lanes need for theirs, and it would get less than its own limit.
    """
    return max(_slice(common.rate, own.rate), min(own.saved, _slice(common.rate)) if own.rate else 0)


def _slice(*rates: int | None) -> int:
    slowest = min((rate for rate in rates if rate is not None), default=None)
    return _MOST if slowest is None else max(1, min(_MOST, int(slowest * _SLICE)))


def _first(turn: tuple[float, Lane]) -> float:
    return turn[0]


def _now() -> float:
    return asyncio.get_running_loop().time()
