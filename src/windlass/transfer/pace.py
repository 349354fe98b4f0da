"""Limits on bytes per second. Pure arithmetic: time is handed in."""

_BURST = 0.05  # seconds of the rate that may be saved up: more would let a resumed transfer leap
_RECHECK = 0.25  # seconds after which a held-back connection asks again, so that a changed rate is felt at once


class Pace:
    """A limit that lets bytes through at `rate` per second (None: no limit), to all that share it in turn.

    Whoever takes a piece stands in line behind everybody's bytes so far: its turn is a count of bytes, and it may take
    more when so many have been let through. A bucket that is open to all while it has something in it was tried first:
    whoever asks next takes the piece that the others wait for, and one connection starves the rest.
    """

    def __init__(self, rate: int | None = None) -> None:
        self._rate = rate
        self._taken = 0
        self._passed = 0.0  # of the bytes taken, how many the rate has let through; a little more after an idle time
        self._filled_at = 0.0

    @property
    def rate(self) -> int | None:
        """Bytes per second, None for no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: int | None) -> None:
        self._rate, self._passed = rate, min(self._passed, self._taken) if rate else float(self._taken)

    @property
    def turn(self) -> int:
        """The turn of a newcomer: behind all that is there."""
        return self._taken

    def wait(self, now: float, turn: int) -> float:
        """Seconds until whoever has this turn may take something, 0 for now."""
        if self._rate is None:
            return 0.0
        passed = self._passed + (now - self._filled_at) * self._rate
        self._passed, self._filled_at = min(passed, self._taken + self._rate * _BURST), now
        ahead = turn - self._passed
        return 0.0 if ahead <= 0 else min(_RECHECK, max(0.001, ahead / self._rate))

    def take(self, size: int) -> int:
        """Account for bytes taken, by one for whom `wait` has answered 0; answers its next turn."""
        self._taken += size
        if self._rate is None:
            self._passed = float(self._taken)
        return self._taken
