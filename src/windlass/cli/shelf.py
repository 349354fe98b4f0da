"""The verbs for models that are here: listed, found, checked, removed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from windlass.cli import exits
from windlass.cli.options import Json, Model, Quantization, Yes, confirm, console, settings

if TYPE_CHECKING:
    from windlass.library.imports import Way

Everything = Annotated[bool, typer.Option("-a", "--all", help="Every model that is here.")]


def ls(
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="What stands among them and is no model, too, and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models that are here, whole.

    Example: windlass ls --all
    """
    from windlass.cli.tables import show_models, show_shelf
    from windlass.library.lists import v1_row
    from windlass.service import Service

    with Service(settings()) as service:
        rows = [v1_row(model) for model in service.models()]
        if everything:
            show_shelf(rows, service.oddities(), as_json=as_json)
        else:
            show_models(rows, as_json=as_json)


def path(model: Model, quantization: Quantization = None, as_json: Json = False) -> None:
    """Print what to hand to llama.cpp (a file) or to MLX and transformers (a folder).

    Example: llama-server -m "$(windlass path qwen/qwen3-4b-2507)"
    """
    from windlass.service import Service

    with Service(settings()) as service:
        found = service.find(model, quantization)
    shown = json.dumps({"key": found.key, "path": str(found.path)}) if as_json else str(found.path)
    sys.stdout.write(f"{shown}\n")


def rm(model: Model, quantization: Quantization = None, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a model that is here. Files that another model needs stay.

    Example: windlass rm qwen/qwen3-4b-2507@q8_0
    """
    from windlass.cli import words
    from windlass.keeping import removal_body
    from windlass.service import Service

    with Service(settings()) as service:
        found = service.find_part(model, quantization)
        if not yes:
            count = f"{len(found.files)} files" if len(found.files) > 1 else "1 file"
            question = f"Delete {found.key}, {words.size(found.size_bytes)} in {count} below {found.path.parent}?"
            confirm(question)
        removed = removal_body(found, service.keeping.remove(found))
    freed, kept = words.size(removed["freed_bytes"]), len(removed["kept"])
    stays = f"; {kept} shared with other models stay" if kept else ""
    sys.stdout.write(json.dumps(removed) if as_json else f"{found.key} is deleted: {freed} free{stays}")
    sys.stdout.write("\n")


def verify(
    model: Annotated[str | None, typer.Argument(help="As `windlass ls` shows it.")] = None,
    quantization: Quantization = None,
    everything: Everything = False,
    repair: Annotated[bool, typer.Option("--repair", help="Fetch again what is damaged, and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """Hash models that are here again, and say what is not as it was.

    A run over all of them that was broken off goes on where it stopped.

    Example: windlass verify --all --repair
    """
    if (model is None) is not everything:
        raise typer.BadParameter("name a model, or say --all")
    from windlass.cli.verify import verify as run

    code = run(settings(), console(), (model, quantization), repair=repair, as_json=as_json)
    if code != exits.DONE:
        raise typer.Exit(code)


def import_(
    path: Annotated[Path | None, typer.Argument(help="A GGUF file, or a folder of a model.")] = None,
    user_repo: Annotated[str | None, typer.Option("--user-repo", help="Where it goes: owner/name.")] = None,
    program: Annotated[str | None, typer.Option("--from", help="All of: hf, ollama, lmstudio, jan.")] = None,
    copy: Annotated[bool, typer.Option("-c", "--copy", help="Leave it where it is, too.")] = False,
    hardlink: Annotated[bool, typer.Option("-L", "--hardlink", help="Give it a second name.")] = False,
    symlink: Annotated[bool, typer.Option("-l", "--symlink", help="Link to it.")] = False,
    move: Annotated[bool, typer.Option("--move", help="Move it, as is done for a path.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring in what is on this machine already: a file, a folder, or all that another program has.

    Example: windlass import ~/Downloads/Qwen3-4B-Q4_K_M.gguf --user-repo lmstudio-community/Qwen3-4B-GGUF
    """
    chosen = [
        way for way, said in (("copy", copy), ("hardlink", hardlink), ("symlink", symlink), ("move", move)) if said
    ]
    if (path is None) is (program is None) or len(chosen) > 1:
        raise typer.BadParameter("name a path or --from, and at most one of --copy, --hardlink, --symlink, --move")
    from windlass.cli.importing import bring_in

    way = cast("Way | None", chosen[0] if chosen else None)
    which = path, user_repo, program
    code = bring_in(settings(), console(), which, way, dry_run=dry_run, yes=yes, as_json=as_json)
    if code != exits.DONE:
        raise typer.Exit(code)


VERBS: dict[str, Any] = {"ls": ls, "path": path, "rm": rm, "verify": verify, "import": import_}
