"""`windlass doctor`: what a download needs, looked at, with advice."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from windlass.cli import exits
from windlass.cli.config import settings_rows
from windlass.cli.tables import output
from windlass.service import Service
from windlass.settings import Settings
from windlass.words import hanging

if TYPE_CHECKING:
    from windlass.doctor import Check

_MARKS = {"good": ("ok", "green"), "note": ("", ""), "warning": ("warning", "yellow"), "bad": ("wrong", "bold red")}


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Look at everything; each finding is shown as soon as it is there. The exit code: 1 where something is wrong."""
    from windlass.doctor import Check, examine

    told = [
        Check("setting", "note", f"{name} is {row['value']} (from {row['from']})")
        for name, row in settings_rows(settings).items()
        if row["from"] != "default"
    ]
    with Service(settings) as service:
        found = list(_shown([*told], examine(service.examined), None if as_json else output()))
    if as_json:
        checks = [asdict(check) for check in found if check.about != "setting"]
        body: dict[str, Any] = {"checks": checks, "settings": settings_rows(settings)}
        sys.stdout.write(json.dumps(body) + "\n")
    return exits.FAILED if any(check.state == "bad" for check in found) else exits.DONE


def _shown(told: "list[Check]", looks: "Iterator[Check]", console: Console | None) -> "Iterator[Check]":
    first = next(looks)
    for check in (first, *told, *looks):
        if console:
            _show(console, check)
        yield check


def _show(console: Console, check: "Check") -> None:
    """The finding, and below it the advice."""
    mark, style = _MARKS[check.state]
    width = console.width if console.is_terminal else None
    shown = Text(hanging(f"{mark:8}{check.about:13}", check.said, width))
    shown.stylize(style, 0, len(mark))
    shown.stylize("bold", 8, 21)
    console.print(shown, soft_wrap=True)
    if check.advice:
        console.print(Text(hanging(f"{'':21}→ ", check.advice, width), style), soft_wrap=True)
