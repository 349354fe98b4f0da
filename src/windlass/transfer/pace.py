"""Limits on bytes per second. Pure arithmetic: time is handed in."""

_BURST = 0.05  # seconds of the rate that may be saved up: more would let a resumed transfer leap
_RECHECK = 0.25  # seconds after which a held-back connection asks again, so that a changed rate is felt at once


class Pace:
    """A bucket that fills at `rate` bytes per second (None: no limit) and may be overdrawn by the last piece taken."""

    def __init__(self, rate: int | None = None) -> None:
        self._rate = rate
        self._balance = 0.0
        self._filled_at = 0.0

    @property
    def rate(self) -> int | None:
        """Bytes per second, None for no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: int | None) -> None:
        self._rate, self._balance = rate, min(self._balance, 0.0) if rate else 0.0

    def wait(self, now: float) -> float:
        """Seconds until something may be taken, 0 for now."""
        if self._rate is None:
            return 0.0
        saved = self._balance + (now - self._filled_at) * self._rate
        self._balance, self._filled_at = min(saved, self._rate * _BURST), now
        return 0.0 if self._balance > 0 else min(_RECHECK, max(0.001, -self._balance / self._rate))

    def take(self, size: int) -> None:
        """Account for bytes taken. Whoever takes has seen `wait` answer 0; the debt of the piece delays the next."""
        if self._rate is not None:
            self._balance -= size
