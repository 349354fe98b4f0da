"""Numbers, and how a job goes, as people read them; and times, as programs do.

Units are of 1000, as in `lms` and on the label of a disk.
"""

import math
import re
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_BITS = re.compile(r"(?<=\d)BIT\b")
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


def files(number: int) -> str:
    """`1 file`, `3 files`."""
    return "1 file" if number == 1 else f"{number} files"


def quantization(name: str) -> str:
    """As the hub and the lists have it; LM Studio's jobs alone say `4BIT`."""
    return _BITS.sub("bit", name)


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


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as UTC in ISO 8601 with milliseconds and `Z`, as everywhere in the API."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_left(job: Mapping[str, Any]) -> str:
    """As `duration` has it; nothing where nothing moves."""
    rate = job.get("bytes_per_second", 0.0)
    if job["status"] != "downloading" or job["phase"] != "transferring" or rate <= 0:
        return ""
    return duration((job["total_size_bytes"] - job["downloaded_bytes"]) / rate)


def hanging(first: str, text: str, width: int | None) -> str:
    """`first` and then `text`, whose further lines begin below its first where the terminal is `width` columns wide.

    Names, addresses and commands stay whole, that they can be copied. Without a width it is one line.
    """
    if width is None:
        return first + text
    indent = " " * len(first)
    return textwrap.fill(
        text, max(width, len(first) + 20), initial_indent=first, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def tail(job: Mapping[str, Any]) -> str:
    """Speed and time left, or where nothing moves the phase or the end."""
    if job["status"] != "downloading":
        return str(job["status"])
    left = time_left(job)
    return f"{speed(job['bytes_per_second'])}  {left} left" if left else str(job["phase"])
