"""How long to wait, and when to give up. Pure: time and chance are handed in."""

from dataclasses import dataclass

FIRST = 0.5
LONGEST = 20.0


@dataclass(frozen=True, slots=True)
class Persistence:
    """When to give a source up: after at least `failures` in a row *and* at least `seconds` without progress.

    Both, because a burst of quick failures is over in a second, and a slow failure alone proves little.
    """

    failures: int = 8
    seconds: float = 75.0
    longest_wait: float = 310.0  # the Hub's windows are of 300 s


def backoff(failures: int, chance: float) -> float:
    """Seconds to wait after the n-th failure in a row: full jitter, so that many clients do not come back together.

    Args:
        failures: 1 for the first.
        chance: uniform in [0, 1).
    """
    return float(chance * min(LONGEST, FIRST * 2 ** min(failures, 16)))


def give_up(failures: int, seconds: float, persistence: Persistence) -> bool:
    """Whether the n-th failure in a row, `seconds` after the last progress, is the last."""
    return failures >= persistence.failures and seconds >= persistence.seconds
