"""`windlass search`: what there is to download."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from windlass.cli import words
from windlass.cli.backend import Backend
from windlass.cli.tables import console, output, table

Row = dict[str, Any]

_PAGE = 100


def show_found(behind: Backend, wish: tuple[str, str | None], limit: int, *, as_json: bool) -> None:
    """At most `limit` models; `wish` is what they are called, and their format."""
    rows, warnings, more = _find(behind, wish, limit)
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
    elif rows:
        _print(rows)
    aside = console(stderr=True)
    for line in _remarks(wish[0], rows, warnings, more=more):
        aside.print(line, markup=False, soft_wrap=True)


def _find(behind: Backend, wish: tuple[str, str | None], limit: int) -> tuple[list[Row], list[str], bool]:
    """The models, what went wrong, and whether there are more."""
    rows: list[Row] = []
    warnings: dict[str, None] = {}
    cursor = ""
    while True:
        page = behind.search(*wish, min(_PAGE, limit - len(rows)), cursor)
        rows += page["models"]
        warnings |= dict.fromkeys(page["warnings"])
        cursor = page.get("next_cursor", "")
        if not cursor or len(rows) >= limit:
            return rows, list(warnings), bool(cursor)


def _remarks(text: str, rows: list[Row], warnings: list[str], *, more: bool) -> Iterator[str]:
    yield from (f"warning: {warning}" for warning in warnings)
    if not rows:
        yield f"Nothing is called {text!r}." if text else "There is nothing."
    elif more:
        yield f"There are more: windlass search --limit {min(1000, 5 * len(rows))} …"


def _print(rows: list[Row]) -> None:
    shown = table("MODEL", "FORMAT", "PARAMS", "DOWNLOADS", "")
    for row in rows:
        marks = ["catalog"] if row["source"] == "catalog" else []
        marks += ["asks for access"] if row["gated"] else []
        count = words.count(row["downloads"]) if "downloads" in row else ""
        shown.add_row(row["id"], " ".join(row["formats"]), row.get("params_string", ""), count, ", ".join(marks))
    output().print(shown)
