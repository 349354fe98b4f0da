"""Numbers, and how a job goes, as people read them. Units are of 1000, as in `lms` and on the label of a disk."""

import math
from collections.abc import Mapping
from typing import Any

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes, in three digits: `948 B`, `2.28 GB`, `107 MB`."""
    power = 0
    while count >= 999.5 and power < len(_UNITS) - 1:
        count, power = count / 1000, power + 1
    digits = 0 if power == 0 or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {_UNITS[power]}"


def count(number: int) -> str:
    """How many, in three digits: `948`, `2.28k`, `107M`."""
    return size(number).replace(" ", "").removesuffix("B")


def speed(per_second: float) -> str:
    """Bytes per second."""
    return f"{size(per_second)}/s"


def duration(seconds: float | None) -> str:
    """Time left: `42s`, `3m 05s`, `7h 12m`, `2d 3h`; `--` where it is not known."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "--"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def tail(job: Mapping[str, Any]) -> str:
    """Speed and time left, or where nothing moves the phase or the end."""
    if job["status"] != "downloading":
        return str(job["status"])
    rate = job.get("bytes_per_second", 0.0)
    if job["phase"] != "transferring" or rate <= 0:
        return str(job["phase"])
    left = (job["total_size_bytes"] - job["downloaded_bytes"]) / rate
    return f"{speed(rate)}  {duration(left)} left"
