"""A job as lines of a terminal: one for all of it, and one for each file that is under way."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from windlass import words

_SIZES = 19  # columns: `1.20 GB / 2.28 GB`
_TAIL = 22  # columns: `107 MB/s  7h 12m left`
_LEAST_NAME = 12
_NAME_BESIDE_A_BAR = 18
_MOST_NAME = 44
_MOST_BAR = 22
_MOST_FILES = 6  # shown at once below the job
_SECONDS = 3.0  # over which the speed of a file is taken

_ENDING = re.compile(r"\.(?:gguf|safetensors)$")  # all have it, and the number of a shard stands before it

Job = Mapping[str, Any]


class Rates:
    """How fast each file comes, as seen from here; the server tells the speed of a job and of each connection."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def of(self, path: str, done: int) -> float:
        """Bytes per second, now that the file has come so far; 0 where nothing can be said yet."""
        now = self._clock()
        seen = self._seen.setdefault(path, deque())
        if seen and now - seen[-1][0] > 2 * _SECONDS:  # it was not shown for a while, or the machine has slept
            seen.clear()
        seen.append((now, done))
        while len(seen) > 2 and now - seen[1][0] >= _SECONDS:
            seen.popleft()
        (began, before), took = seen[0], now - seen[0][0]
        return (done - before) / took if took > 0 and began < now else 0.0


def lines(job: Job, width: int, rates: Rates) -> list[Text]:
    """The job on a terminal of so many columns; the files where there are several of them, and room for their names."""
    shown = [_row(width, job["model"], job, words.tail(job))]
    if len(job["files"]) > 1 and _has_names(width):
        busy = [_file(width, file, rates) for file in _under_way(job["files"])]
        shown += [*busy, *_more(job["files"], len(busy))]
    return shown


def _more(files: list[dict[str, Any]], shown: int) -> list[Text]:
    """How many are still to come beside those, where there are more than are ever shown at once."""
    left = sum(file.get("downloaded_bytes", 0) < file["size_bytes"] or _is_busy(file) for file in files) - shown
    if len(files) <= _MOST_FILES or left <= 0:
        return []
    return [Text(f"  … and {'1 more file' if left == 1 else f'{left} more files'}", "dim")]


def _under_way(files: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    found = (file for file in files if 0 < file.get("downloaded_bytes", 0) < file["size_bytes"] or _is_busy(file))
    return (file for _, file in zip(range(_MOST_FILES), found, strict=False))


def _is_busy(file: dict[str, Any]) -> bool:
    return bool(file.get("connections")) or 0 < file.get("verified_bytes", 0) < file["size_bytes"]


def _file(width: int, file: dict[str, Any], rates: Rates) -> Text:
    size, done = file["size_bytes"], file.get("downloaded_bytes", 0)
    rate = rates.of(file["path"], done)
    left = f"{words.speed(rate)}  {words.duration((size - done) / rate)} left" if rate > 0 else ""
    tail = "verifying" if done == size else file.get("note") or left
    name = "  " + _ENDING.sub("", file["path"].rpartition("/")[2])
    return _row(width, name, {"total_size_bytes": size, "downloaded_bytes": done}, tail)


def _row(width: int, name: str, job: Job, tail: str) -> Text:
    """Name, bar, sizes, speed and time left. With little room the bar goes first, then the name, then sizes."""
    done, total = job["downloaded_bytes"], job["total_size_bytes"]
    share = min(1.0, done / total) if total else 0.0
    sizes = f"{words.size(done)} / {words.size(total)}"
    if width < _SIZES + 2 + _TAIL:
        return Text.assemble((f"{int(100 * share):3d} %", "green"), "  ", (tail, "cyan"))
    for_name, for_bar = _columns(width)
    parts: list[Any] = [_short(name, for_name) + "  "] if for_name else []
    parts += [*_bar(share, for_bar), "  "] if for_bar else []
    return Text.assemble(*parts, (sizes.rjust(_SIZES), "green"), "  ", (tail, "cyan"))


def _columns(width: int) -> tuple[int, int]:
    """Columns for the name and for the bar; 0 for what has no room."""
    room = width - 1 - _SIZES - 2 - _TAIL - 2
    if room < _LEAST_NAME:
        return 0, 0
    bar = min(_MOST_BAR, room // 3)
    name = room - bar - 2
    return (min(_MOST_NAME, name), bar) if name >= _NAME_BESIDE_A_BAR else (min(_MOST_NAME, room), 0)


def _has_names(width: int) -> bool:
    return _columns(width)[0] > 0


def _bar(share: float, columns: int) -> list[tuple[str, str]]:
    full = int(share * columns)
    return [("━" * full, "green"), ("─" * (columns - full), "bright_black")]  # two signs: without colour, too, it tells


def _short(text: str, width: int) -> str:
    """Cut inside: the end of a file name tells most (`-00001-of-00003.gguf`), its beginning the rest."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    tail = min(width - 4, max(20, width * 2 // 3))
    begin, end = set_cell_size(text, width - 1 - tail), text
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(f"{begin}…{end}", width)
