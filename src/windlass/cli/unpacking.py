"""`windlass import` of a folder that `windlass export` has made: its models come in, and no network is needed."""

from pathlib import Path

from rich.console import Console

from windlass.cli import collector, exits
from windlass.cli.importing import announce, print_done, print_plan, say_here
from windlass.cli.verify import teller
from windlass.errors import InvalidRequest, WindlassError
from windlass.library.disk import storage_errors
from windlass.library.exports import Export, find_export
from windlass.library.imports import Import, Way
from windlass.library.unpacking import Sources, Unpacking, sources_of
from windlass.service import Service
from windlass.settings import Settings


def export_at(path: Path, repository: str | None) -> Export | None:
    """What an exported folder says of itself. Raises InvalidRequest, StorageUnavailable."""
    with storage_errors(f"reading {path}", path):
        export = find_export(path)
    if export and repository:
        raise InvalidRequest(f"{path} was exported, and says itself where its models go.", param="user_repo")
    return export


def unpack(
    settings: Settings, console: Console, what: tuple[Path, Export], to: tuple[Way | None, str | None],
    *, dry_run: bool, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Import all models of an exported folder; the exit code. `to` is the way, and the models folder.

    They are copied unless told otherwise: unlike a download in its folder, an export is for more than one machine.
    """
    collector.carry_on()
    (root, export), way = what, to[0] or "copy"
    sources = sources_of(root, export)
    imports = [Import(root / path, path) for path in export.files]
    with Service(settings) as service:
        place = service.places.where(to[1])
        unpacking = service.unpacking(place)
        unpacking.refuse_too_much(export, sources, way)
        found = [one for one in imports if one.shelf_path in sources]
        if dry_run:
            print_plan(found, way, place, as_json)
            return exits.DONE
        announce(console, found, way, place, yes=yes)
        place.folder.make()
        done, failed = _bring(unpacking, console, (export, sources), way)
    for one in imports:
        if done.get(one.shelf_path) is False:
            say_here(console, one)
    print_done([(one, done.get(one.shelf_path)) for one in imports], way, as_json)
    return exits.FAILED if failed else exits.DONE


def _bring(
    unpacking: Unpacking, console: Console, what: tuple[Export, Sources], way: Way
) -> tuple[dict[str, bool], int]:
    """Whether each file is new here, those left out that did not come in; and how many models did not."""
    export, sources = what
    done: dict[str, bool] = {}
    failed = 0
    for packed in export.models:
        try:
            brought = unpacking.bring_in(packed, export, sources, way, teller(console))
        except WindlassError as error:
            console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
            failed += 1
            continue
        # A file that two models share came with the first of them.
        done |= {path: fresh or done.get(path, False) for path, fresh in brought.items()}
    return done, failed
