"""`windlass import`: models that are on this disk already come into the models folder."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli import collector, exits
from windlass.cli.options import confirm
from windlass.cli.verify import teller
from windlass.errors import InvalidRequest, ModelNotFound, WindlassError
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
            imports = recognize(_at(path, repository), service.sources.listed, teller(console))
            failed, way = 0, way or "move"
        place = service.places.where(folder)
        if dry_run:
            print_plan(imports, way, place, as_json)
            return exits.DONE
        announce(console, imports, way, place, yes=yes)
        place.folder.make()
        done = list(_bring(service.importing(place), console, imports, way))
    print_done(done, way, as_json)
    return exits.FAILED if failed or any(fresh is None for _, fresh in done) else exits.DONE


def _at(path: Path, repository: str | None) -> list[Import]:
    """What a person has named. Raises ModelNotFound, InvalidRequest."""
    if not os.path.exists(path):  # noqa: PTH110 - of what may not be looked at, Path's raises
        raise ModelNotFound(f"There is no {path}.")
    imports = plan_import(path, repository)
    if not imports:
        hint = "A GGUF file is wanted, or a folder with config.json and safetensors."
        raise InvalidRequest(f"{path} holds no model.", hint=hint)
    return imports


def _bring(
    importing: Importing, console: Console, imports: list[Import], way: Way
) -> Iterator[tuple[Import, bool | None]]:
    """Each with whether it is new here; None where it could not be brought in."""
    tell = teller(console)
    for one in imports:
        try:
            fresh = importing.bring_in(one, way, tell)
        except WindlassError as error:
            console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
            yield one, None
            continue
        if not fresh:
            say_here(console, one)
        yield one, fresh


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


def announce(console: Console, imports: Sequence[Import], way: Way, place: Place, *, yes: bool) -> None:
    """Say what is going to be done, and ask whether it may be: not where nothing is.

    Raises:
        Abort: it may not.
    """
    fresh = [one for one in imports if not is_taken(one, place)]
    for one in fresh:
        console.print(_line(one, way), markup=False, soft_wrap=True)
    if not imports:
        console.print(f"Nothing to import into {place.folder.path}.", markup=False, soft_wrap=True)
    if fresh and not yes:
        confirm(f"{way.capitalize()} {words.files(len(fresh))} below {place.folder.path}?")


def is_taken(one: Import, place: Place) -> bool:
    """Whether anything stands in its place: then nothing is written, be it the same or not."""
    return os.path.lexists(place.folder.path / one.shelf_path)


def say_here(console: Console, one: Import) -> None:
    """That there was nothing to do."""
    console.print(f"{one.shelf_path} is here already.", markup=False, soft_wrap=True)


def _line(one: Import, way: Way) -> str:
    return f"{way} {one.source} → {one.shelf_path}  {words.size(one.source.stat().st_size)}"


def print_plan(imports: Sequence[Import], way: Way, place: Place, as_json: bool) -> None:
    """What would be done, as data. Nothing is hashed for that: what stands in a place is taken for what is meant."""
    if as_json:
        print_done([(one, False if is_taken(one, place) else None) for one in imports], way, as_json)
        return
    for one in imports:
        said = f"{one.shelf_path} is here already" if is_taken(one, place) else _line(one, way)
        sys.stdout.write(f"{said}\n")


def print_done(done: Sequence[tuple[Import, bool | None]], way: Way, as_json: bool) -> None:
    """What was done, as data: each with whether it is new here, None where it could not be brought in."""
    if as_json:
        rows: list[dict[str, Any]] = [
            {"source": str(one.source), "path": one.shelf_path, "way": way, "imported": fresh} for one, fresh in done
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    sys.stdout.write("".join(f"{one.shelf_path}\n" for one, fresh in done if fresh is not None))
