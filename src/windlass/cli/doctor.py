"""`windlass doctor`: what a download needs, looked at, with advice."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from windlass.cli import exits
from windlass.cli.backend import server_at
from windlass.cli.config import settings_rows
from windlass.cli.tables import output
from windlass.service import Service
from windlass.settings import Settings
from windlass.words import hanging

if TYPE_CHECKING:
    from windlass.doctor import Look

_MARKS = {"good": ("ok", "green"), "note": ("", ""), "warning": ("warning", "yellow"), "bad": ("wrong", "bold red")}


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Look at everything; each finding is shown as soon as it is there. The exit code: 1 where something is wrong."""
    from windlass.doctor import Look, examine

    told = [
        Look("setting", "note", f"{name} is {row['value']} (from {row['from']})")
        for name, row in settings_rows(settings).items()
        if row["from"] != "default"
    ]
    if settings.origin.get("url", "default") != "default" and server_at(settings) is None:
        said = f"No Windlass server answers at {settings.url}, so commands work by themselves, on this machine."
        told.append(Look("server", "warning", said, "Start it there, or unset WINDLASS_URL."))
    with Service(settings) as service:
        found = list(_shown([*told], examine(service.examined), None if as_json else output()))
    if as_json:
        looks = [asdict(look) for look in found if look.about != "setting"]
        body: dict[str, Any] = {"looks": looks, "settings": settings_rows(settings)}
        sys.stdout.write(json.dumps(body) + "\n")
    return exits.FAILED if any(look.state == "bad" for look in found) else exits.DONE


def _shown(told: "list[Look]", looks: "Iterator[Look]", console: Console | None) -> "Iterator[Look]":
    first = next(looks)
    for look in (first, *told, *looks):
        if console:
            _show(console, look)
        yield look


def _show(console: Console, look: "Look") -> None:
    """The finding, and below it the advice."""
    mark, style = _MARKS[look.state]
    width = console.width if console.is_terminal else None
    shown = Text(hanging(f"{mark:8}{look.about:13}", look.said, width))
    shown.stylize(style, 0, len(mark))
    shown.stylize("bold", 8, 21)
    console.print(shown, soft_wrap=True)
    if look.advice:
        console.print(Text(hanging(f"{'':21}→ ", look.advice, width), style), soft_wrap=True)
