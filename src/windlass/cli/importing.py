"""`windlass import`: models that are on this disk already come into the models folder."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli import collector, exits
from windlass.cli.options import confirm
from windlass.cli.verify import teller
from windlass.errors import InvalidRequest, WindlassError
from windlass.library.elsewhere import Elsewhere
from windlass.library.importing import Importing
from windlass.library.imports import Import, Way, in_hub_cache, in_ollama, plan_import
from windlass.library.recognition import recognize
from windlass.places import Place
from windlass.service import Service
from windlass.settings import Settings

PROGRAMS = ("hf", "ollama", "lmstudio", "jan")


def bring_in(
    settings: Settings, console: Console,
    which: tuple[Path | None, str | None, str | None], to: tuple[Way | None, str | None],
    *, dry_run: bool, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Import what `which` says: a path, its repository, or a program whose models are meant; the exit code.

    `to` is the way, and the models folder; None for the usual one of each.
    """
    collector.carry_on()
    (path, repository, program), (way, folder) = which, to
    with Service(settings) as service:
        if program:
            imports, failed = _of_program(program, service.elsewhere, settings, console)
            if way == "move":
                raise InvalidRequest("What another program keeps is not moved.", hint="Say --copy or --hardlink.")
            way = way or "hardlink"
        else:
            assert path is not None
            imports = recognize(plan_import(path, repository), service.sources.listed, teller(console))
            failed, way = 0, way or "move"
        place = service.places.where(folder)
        show(console, imports, way, place)
        if dry_run:
            print_done([(one, None) for one in imports], as_json)
            return exits.DONE
        if not yes and imports:
            confirm(f"{way.capitalize()} {words.files(len(imports))} below {place.folder.path}?")
        place.folder.make()
        done = list(_bring(service.importing(place), console, imports, way))
    print_done(done, as_json)
    return exits.FAILED if failed or any(fresh is None for _, fresh in done) else exits.DONE


def _bring(
    importing: Importing, console: Console, imports: list[Import], way: Way
) -> Iterator[tuple[Import, bool | None]]:
    """Each with whether it is new here; None where it could not be brought in."""
    tell = teller(console)
    for one in imports:
        try:
            yield one, importing.bring_in(one, way, tell)
        except WindlassError as error:
            console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
            yield one, None


def _of_program(program: str, elsewhere: Elsewhere, settings: Settings, console: Console) -> tuple[list[Import], int]:
    """All models that a program keeps; how many of them cannot be imported, which is said."""
    if program not in PROGRAMS:
        raise InvalidRequest(f"{program!r} is no program that is known here.", hint=f"Known: {', '.join(PROGRAMS)}.")
    if program == "ollama":
        return [one for folder in elsewhere.ollama for one in in_ollama(folder) if one.source.is_file()], 0
    found: list[Import] = []
    failed = 0
    for folder, repository in _folders(program, elsewhere, settings):
        try:
            found += plan_import(folder, repository)
        except InvalidRequest as error:
            if "holds no model" not in error.message:
                console.print(f"{error.message}", markup=False, soft_wrap=True)
                failed += 1
    return found, failed


def _folders(program: str, elsewhere: Elsewhere, settings: Settings) -> Iterator[tuple[Path, str | None]]:
    if program == "hf":
        for cache in elsewhere.hub_caches:
            yield from in_hub_cache(cache)
        return
    roots = [settings.lmstudio_home / "models"] if program == "lmstudio" else elsewhere.jan
    for root in roots:
        if root != settings.models_dir:
            for folder in sorted(root.glob("*/*")):
                yield folder, f"{folder.parent.name}/{folder.name}"


def show(console: Console, imports: list[Import], way: Way, place: Place) -> None:
    """What is going to be done, for people."""
    for one in imports:
        size = words.size(one.source.stat().st_size)
        console.print(f"{way} {one.source} → {one.shelf_path}  {size}", markup=False, soft_wrap=True)
    if not imports:
        console.print(f"Nothing to import into {place.folder.path}.", markup=False, soft_wrap=True)


def print_done(done: list[tuple[Import, bool | None]], as_json: bool) -> None:
    """What was done, as data: each with whether it is new here, None where it could not be brought in."""
    if as_json:
        rows: list[dict[str, Any]] = [
            {"source": str(one.source), "path": one.shelf_path, "imported": fresh} for one, fresh in done
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    sys.stdout.write("".join(f"{one.shelf_path}\n" for one, fresh in done if fresh is not None))
