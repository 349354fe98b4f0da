"""A job as bars on a terminal: one for all of it, and one for each file that is under way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from windlass.cli import words

_NUMBERS = 46  # columns that bytes, speed and time left take
_MOST_FILES = 6  # shown at once below the job

Job = Mapping[str, Any]


@contextmanager
def bars(console: Console) -> Iterator["Bars"]:
    """Bars that stand at the foot of the terminal for as long as the `with` block lasts."""
    name, bar = _widths(console.width)
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), _Sizes(), _Speed()]
    if bar:
        columns.insert(1, BarColumn(bar_width=bar))
    with Progress(*columns, console=console, refresh_per_second=8) as progress:
        yield Bars(progress, name)


def _widths(columns: int) -> tuple[int, int]:
    """Columns for the name and for the bar beside it; the bar is the first to go where there is little room."""
    name = min(44, columns // 3)
    bar = min(22, columns - name - _NUMBERS)
    return (name, bar) if bar >= 8 else (max(8, columns - _NUMBERS), 0)


class _Sizes(ProgressColumn):
    """Done and total."""

    def render(self, task: Task) -> Text:
        """As in `1.20 GB / 2.28 GB`."""
        return Text(f"{words.size(task.completed)} / {words.size(task.total or 0)}", style="progress.download")


class _Speed(ProgressColumn):
    """Speed and time left, or the phase where nothing moves."""

    def render(self, task: Task) -> Text:
        """As in `107 MB/s  12s left`."""
        return Text(str(task.fields.get("tail", "")), style="progress.data.speed")


class Bars:
    """One bar for the job, and one for each file that is under way."""

    def __init__(self, progress: Progress, width: int) -> None:
        self._progress = progress
        self._width = width
        self._job = progress.add_task("", total=None)
        self._files: dict[str, TaskID] = {}

    def show(self, job: Job) -> None:
        """Bring the bars up to date."""
        width = self._width
        self._progress.update(
            self._job,
            description=_short(job["model"], width),
            total=job["total_size_bytes"],
            completed=job["downloaded_bytes"],
            tail=words.tail(job),
        )
        if len(job["files"]) > 1:
            self._show_files(job, width)

    def _show_files(self, job: Job, width: int) -> None:
        shown = [file for file in job["files"] if _is_under_way(file)][:_MOST_FILES]
        for path in self._files.keys() - {file["path"] for file in shown}:
            self._progress.remove_task(self._files.pop(path))
        for file in shown:
            name = file["path"].rpartition("/")[2]
            if file["path"] not in self._files:
                self._files[file["path"]] = self._progress.add_task("", total=file["size_bytes"])
            self._progress.update(
                self._files[file["path"]],
                description=_short(f"  {name}", width),
                completed=file.get("downloaded_bytes", 0),
                tail="",
            )


def _is_under_way(file: dict[str, Any]) -> bool:
    return bool(0 < file.get("downloaded_bytes", 0) < file["size_bytes"] or file.get("connections"))


def _short(text: str, width: int) -> str:
    """Cut inside: the end of a file name tells most (`-00001-of-00003.gguf`), its beginning the rest."""
    if len(text) <= width:
        return text.ljust(width)
    tail = min(width - 4, max(20, width * 2 // 3))
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
