"""`windlass export`: models that are here, copied into a folder for machines that have no internet."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from windlass import words
from windlass.cli import collector, exits
from windlass.cli.verify import teller
from windlass.errors import WindlassError
from windlass.library.exporting import Exported, Exporting
from windlass.library.facts import Model
from windlass.service import Service
from windlass.settings import Settings


def export(
    settings: Settings, console: Console, names: Sequence[str], to: Path, *, hard_links: bool, as_json: bool
) -> int:
    """Export the models of these names; the exit code. All are looked for before anything is written.

    By this process, also where a server runs: it is this disk that they go from.
    """
    collector.carry_on()
    with Service(settings) as service:
        models = {model.key: model for model in map(service.find_part, names)}
        loads = [
            (Exporting(place.shelf, to, hard_links), mine)
            for place in service.places
            if (mine := [model for model in models.values() if service.places.holding(model) is place])
        ]
        done = _all(loads, console)
    if as_json:
        rows = [{"key": one.key, "files": list(one.files), "bytes_copied": one.copied} for one in done]
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.write("".join(f"{one.key}\n" for one in done))
    return exits.DONE if len(done) == len(models) else exits.FAILED


def _all(loads: Sequence[tuple[Exporting, Sequence[Model]]], console: Console) -> list[Exported]:
    """Those that went out, from each models folder in turn; why another did not is said."""
    for exporting, models in loads:
        exporting.begin(models)
    done = []
    for exporting, model in [(exporting, model) for exporting, models in loads for model in models]:
        try:
            one = exporting.add(model, teller(console))
        except WindlassError as error:
            console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
            continue
        done.append(one)
        copied = f"{words.size(one.copied)} copied" if one.copied else "nothing had to be copied"
        console.print(f"{one.key} → {exporting.root}  {copied}", markup=False, soft_wrap=True)
    return done
