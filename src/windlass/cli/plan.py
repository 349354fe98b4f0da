"""`windlass plan`: what a download would bring in, as people read it."""

import json
import sys
from typing import Any

from windlass import words
from windlass.cli.tables import output, show_table, table

Row = dict[str, Any]

MEMORY = {
    "gpu": "on the graphics card",
    "gpu+ram": "split between graphics card and memory",
    "ram": "in memory",
    "nowhere": "more than this machine's memory",
    "unknown": "",
}


def show_plan(plan: Row, *, as_json: bool) -> None:
    """The plan; the choice of quantizations comes last, where the eye is."""
    if as_json:
        sys.stdout.write(json.dumps(plan) + "\n")
        return
    out = output()
    for line in [*_told(plan), ""]:
        out.print(line, markup=False, soft_wrap=not out.is_terminal)
    show_table(_files(plan["files"]))
    if plan["quantizations"]:
        out.print()
        show_table(_quantizations(plan["quantizations"]))


def _told(plan: Row) -> list[str]:
    kind = " ".join(text for text in (plan.get("quantization"), plan["format"].upper()) if text)
    fetched, free = words.size(plan["bytes_to_fetch"]), words.size(plan["free_bytes"])
    lines = [f"{plan['display_name']}, {kind}  {plan['url']}", plan["why"]]
    lines += [f"warning: {warning}" for warning in plan["warnings"]]
    if plan["gated"]:
        lines.append(f"Access is granted per person: ask for it at {plan['url']}")
    return [*lines, f"{fetched} to fetch; {free} may be used{'' if plan['fits_disk'] else ': it does not fit'}"]


def _files(files: list[Row]) -> Any:
    shown = table("FILE", "SIZE", "HERE")
    for file in files:
        here = file["state"] if file["state"] != "absent" else ""
        shown.add_row(file["path"], words.size(file["size_bytes"]), here)
    return shown


def _quantizations(quantizations: list[Row]) -> Any:
    shown = table("QUANT", "FORMAT", "SIZE", "", "RUNS")
    for one in quantizations:
        marks = ["default"] if one["default"] else []
        marks += ["this one"] if one["selected"] and not one["default"] else []
        marks += [] if one["fits_disk"] else ["no room on the disk"]
        shown.add_row(
            one["name"], one["format"], words.size(one["size_bytes"]), ", ".join(marks), MEMORY[one["fits_memory"]]
        )
    return shown
