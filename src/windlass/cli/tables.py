"""`windlass ls` and `windlass ps`: what is here, and what is on its way."""

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console

from windlass import words

if TYPE_CHECKING:
    from rich.table import Column, Table

    from windlass.library.stock import Oddity
    from windlass.tokens import Token

Row = dict[str, Any]

_TEXTS = frozenset({"MODEL", "FILE", "NO MODEL", "WHY", "COMMIT", "SCOPES"})  # may be cut
_LONG = 24  # columns that a text gets at least, if it has so much
_SHORT = 8  # columns that are worth more than what it has or how much of it has come
_LEAST = ("PARAMS", "FORMAT", "DOWNLOADS", "LEFT", "COMMIT", "SIZE", "SPEED", "MADE")  # the first goes first
_LAST = ("STATUS", "DONE")  # after those, and only where a text would have no room at all

NO_JOBS = "Nothing is on its way."


def console(*, stderr: bool = False, markup: bool = True) -> Console:
    """A console that with NO_COLOR set writes no style at all; Rich alone would still write bold and dim.

    Text is text: `:x:` in a name is no picture, and without `markup` `[/b]` is no end of anything. A pipe has no width:
    nothing is cut off there, and no command is parted in two.
    """
    plain: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    made = Console(stderr=stderr, highlight=False, emoji=False, markup=markup, **plain)
    if not made.is_terminal:
        made.width = 10_000
    return made


def output(*, stderr: bool = False) -> Console:
    """A console on stdout, for names that others gave: nothing in them is markup, and what it cannot write is escaped.

    With `stderr` the same on stderr, which escapes by itself.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and not stderr:
        sys.stdout.reconfigure(errors="backslashreplace")
    return console(stderr=stderr, markup=False)


def show_models(rows: list[Row], *, as_json: bool) -> None:
    """The models on the shelf, as `/api/v1/models` lists them."""
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    _print(_models(rows), rows, "No models yet. Bring one in: windlass get qwen/qwen3-4b-2507")


def show_shelf(rows: list[Row], oddities: "Sequence[Oddity]", *, as_json: bool) -> None:
    """The models, and what stands among them and is none."""
    if as_json:
        odd = [{"path": path, "reason": reason} for path, reason in oddities]
        sys.stdout.write(json.dumps({"models": rows, "oddities": odd}) + "\n")
        return
    show_models(rows, as_json=False)
    shown = table("NO MODEL", "WHY")
    for path, reason in oddities:
        shown.add_row(path, reason)
    _print(shown, oddities, "Nothing else stands there.")


def _models(rows: list[Row]) -> "Table":
    shown = table("MODEL", "QUANT", "FORMAT", "PARAMS", "SIZE")
    for row in rows:
        quantization = (row.get("quantization") or {}).get("name") or ""
        sizes = (row.get("params_string") or "", words.size(row["size_bytes"]))
        shown.add_row(row["key"], quantization, row.get("format") or "", *sizes)
    return shown


def show_outdated(rows: list[Row], *, as_json: bool) -> None:
    """The models for which there is something newer, with what it would fetch, as `/models/{key}` tells it."""
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    shown = table("MODEL", "QUANT", "FILES", "SIZE", "COMMIT")
    for row in rows:
        quantization, update = (row.get("quantization") or {}).get("name") or "", row["update"]
        commits = dict.fromkeys((update["commit"][:7], update["newest_commit"][:7]))
        sizes = str(len(update["files"])), words.size(update["bytes_to_fetch"])
        shown.add_row(row["key"], quantization, *sizes, " → ".join(commits))
    _print(shown, rows, "Nothing newer is known.")


def show_jobs(jobs: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """The jobs."""
    if as_json:
        sys.stdout.write(json.dumps(jobs) + "\n")
        return
    _print(jobs_table(jobs), jobs, NO_JOBS)


def jobs_table(jobs: Sequence[Mapping[str, Any]]) -> "Table":
    """One row a job."""
    shown = table("JOB", "MODEL", "STATUS", "DONE", "SIZE", "SPEED", "LEFT")
    for job in jobs:
        status = job["phase"] if job["status"] == "downloading" else job.get("error_code") or job["status"]
        done = f"{100 * job['downloaded_bytes'] / max(1, job['total_size_bytes']):.0f} %"
        rate = words.speed(job["bytes_per_second"]) if "bytes_per_second" in job else ""
        model = job["items"][-1]
        label = words.quantization(model["quantization"]["name"]) if "quantization" in model else ""
        name = f"{model['id']}@{label}" if label else model["id"]
        sizes = done, words.size(job["total_size_bytes"])
        shown.add_row(job["job_id"], name, status, *sizes, rate, words.time_left(job))
    return shown


def show_tokens(tokens: "Sequence[Token]", *, as_json: bool) -> None:
    """The tokens, without what is secret."""
    rows = [
        {"name": one.name, "id": one.id, "scopes": [*one.scopes], "created_at": words.timestamp(one.created_at)}
        for one in tokens
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    shown = table("NAME", "TOKEN", "SCOPES", "MADE")
    for one in tokens:
        made = datetime.fromtimestamp(one.created_at).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - people's own time
        shown.add_row(one.name, f"sk-lm-{one.id}:…", " ".join(one.scopes), made)
    _print(shown, rows, "No tokens: whoever reaches the server may use it. Make one: windlass token create")


def table(*columns: str) -> "Table":
    """An empty table: plain columns, numbers to the right. `fitted` makes it fit once it is filled."""
    from rich.table import Table

    empty = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column in ("#", "FILES", "SIZE", "DONE", "SPEED", "LEFT", "DOWNLOADS")
        empty.add_column(column, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    return empty


def fitted(table: "Table", width: int) -> "Table":
    """The same table, made to fit a terminal of `width` columns: long texts give way first, then what matters least.

    What people copy or compare stays whole: half an id or half a number says nothing. Rich alone would cut them all.
    """
    widths = {str(column.header): _width(column) for column in table.columns}
    for least, enough in [*((name, _LONG) for name in _LEAST), *((name, _SHORT) for name in _LAST)]:
        if _needed(widths, enough) <= width:
            break
        widths.pop(least, None)
    table.columns = [column for column in table.columns if str(column.header) in widths]
    texts = sorted((column for column in table.columns if column.header in _TEXTS), key=_width)
    room = width - 2 * len(widths) - sum(widths.values()) + sum(map(_width, texts))
    for left, column in enumerate(texts):  # the shortest first: what it leaves is for the longer ones
        column.max_width = min(_width(column), max(1, room // (len(texts) - left)))
        room -= column.max_width
    return table


def _needed(widths: Mapping[str, int], enough: int) -> int:
    """Columns for a table in which a text gets `enough`, if it has so much."""
    return sum(min(wide, enough) if name in _TEXTS else wide for name, wide in widths.items()) + 2 * len(widths)


def _width(column: "Column") -> int:
    return max(map(cell_len, [str(column.header), *map(str, column.cells)]))


def show_table(filled: "Table", *, stderr: bool = False) -> None:
    """Print it on stdout, so that it fits; on stderr where it is part of a question."""
    out = output(stderr=stderr)
    out.print(fitted(filled, out.width))


def _print(table: "Table", rows: "Sequence[object]", otherwise: str) -> None:
    if not rows:
        console(stderr=True).print(otherwise)
        return
    show_table(table)
