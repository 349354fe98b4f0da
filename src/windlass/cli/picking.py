"""Picking from a list on a terminal: a number is typed, Enter takes what is recommended, or nothing."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from typer import Abort

from windlass import words
from windlass.cli.backend import Backend
from windlass.cli.tables import console, show_table, table

Row = dict[str, Any]
Read = Callable[[], str]


def pick_model(rows: Sequence[Row], read: Read = sys.stdin.readline) -> str | None:
    """The id of the model that somebody picked from a list shown before; None for none."""
    chosen = _pick(f"Which one? [1-{len(rows)}, Enter for none] ", len(rows), read)
    return None if chosen is None else str(rows[chosen]["id"])


def pick_quantization(behind: Backend, model: str, wanted: str | None, read: Read = sys.stdin.readline) -> str | None:
    """The quantization that somebody picked; None for the recommended one, or where there is no choice."""
    rows = behind.plan(model, None, wanted, None)["quantizations"]
    if len(rows) < 2:
        return None
    show_table(_quantizations(rows), stderr=True)
    chosen = _pick(f"Which one? [1-{len(rows)}, Enter for the recommended one] ", len(rows), read)
    return None if chosen is None else str(rows[chosen]["name"])


def _quantizations(rows: Sequence[Row]) -> Any:
    from windlass.cli.plan import MEMORY

    shown = table("#", "QUANT", "FORMAT", "SIZE", "", "RUNS")
    for number, one in enumerate(rows, 1):
        mark = "recommended" if one["default"] else "" if one["fits_disk"] else "no room on the disk"
        shown.add_row(
            str(number), one["name"], one["format"], words.size(one["size_bytes"]), mark, MEMORY[one["fits_memory"]]
        )
    return shown


def _pick(question: str, count: int, read: Read) -> int | None:
    """The place in a list of `count`, from 0, or nothing; asked again until it is one. Raises Abort at the end."""
    aside = console(stderr=True)
    while True:
        aside.print(question, end="", markup=False)
        line = read()
        if not line:  # Ctrl-D, or the end of what was piped in: that is no answer
            aside.print()
            raise Abort
        said = line.strip()
        if not said:
            return None
        if said.isdecimal() and 1 <= int(said) <= count:
            return int(said) - 1
        aside.print(f"{said!r} is no number from 1 to {count}.", markup=False)
