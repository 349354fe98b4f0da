"""`windlass search`: what there is to download."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli import exits
from windlass.cli.backend import Backend, backend
from windlass.cli.get import bring
from windlass.cli.picking import pick_model, pick_quantization
from windlass.cli.tables import console as plain_console
from windlass.cli.tables import show_table, table
from windlass.settings import Settings

Row = dict[str, Any]

_PAGE = 100


def search(
    settings: Settings, console: Console, wish: tuple[str, str | None], limit: int, *, pick: bool, as_json: bool
) -> int:
    """Show what there is; with `pick` ask which one, and bring it in. The exit code."""
    with backend(settings) as behind:
        rows = show_found(behind, wish, limit, as_json=as_json, numbered=pick)
        model = pick_model(rows) if pick and rows else None
        if model is None:
            return exits.DONE
        return bring(behind, console, (model, pick_quantization(behind, model, wish[1]), wish[1], None))


def show_found(
    behind: Backend, wish: tuple[str, str | None], limit: int, *, as_json: bool, numbered: bool = False
) -> list[Row]:
    """At most `limit` models; `wish` is what they are called, and their format. What was shown.

    With numbers they are a question, and go to stderr: what is picked stands alone on stdout.
    """
    rows, warnings, more = _find(behind, wish, limit)
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
    elif rows:
        _print(rows, numbered=numbered)
    aside = plain_console(stderr=True)
    for line in _remarks(wish[0], rows, warnings, more=more):
        aside.print(line, markup=False, soft_wrap=True)
    return rows


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


def _print(rows: list[Row], *, numbered: bool) -> None:
    shown = table(*(["#"] if numbered else []), "MODEL", "FORMAT", "PARAMS", "DOWNLOADS", "")
    for number, row in enumerate(rows, 1):
        marks = ["catalog"] if row["source"] == "catalog" else []
        marks += ["asks for access"] if row["gated"] else []
        count = words.count(row["downloads"]) if "downloads" in row else ""
        cells = (row["id"], " ".join(row["formats"]), row.get("params_string", ""), count, ", ".join(marks))
        shown.add_row(*([str(number)] if numbered else []), *cells)
    show_table(shown, stderr=numbered)
