"""The verbs for models that are here: listed, found, checked, removed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from windlass.cli import exits
from windlass.cli.completion import model_names, one_of
from windlass.cli.options import Json, ModelHere, Quantization, To, Yes, confirm, console, folder_of, settings

if TYPE_CHECKING:
    from windlass.library.facts import Model
    from windlass.library.imports import Way

Everything = Annotated[bool, typer.Option("-a", "--all", help="Every model that is here.")]


def ls(
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="What stands among them and is no model, too, and why.")
    ] = False,
    outdated: Annotated[
        bool, typer.Option("--outdated", help="Only those with something newer, and what it would fetch.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models that are here, whole.

    Example: windlass ls --all
    """
    if outdated:
        from windlass.cli.update import list_outdated

        _end(list_outdated(settings(), console(), as_json=as_json))
        return
    from windlass.cli.tables import show_models, show_shelf
    from windlass.library.lists import v1_row
    from windlass.service import Service

    with Service(settings()) as service:
        for folder in service.places.offline():
            console().print(
                f"{folder} is not there, so what it holds is not listed. Is its disk mounted?", markup=False
            )
        # `mlx` is what LM Studio's lists call any folder of safetensors; here it is said which of them are.
        rows = [{**v1_row(model), "format": model.found.format} for model in service.models()]
        if everything:
            show_shelf(rows, service.oddities(), as_json=as_json)
        else:
            show_models(rows, as_json=as_json)


def path(model: ModelHere, quantization: Quantization = None, as_json: Json = False) -> None:
    """Print what to hand to llama.cpp (a file) or to MLX and transformers (a folder).

    Example: llama-server -m "$(windlass path qwen/qwen3-4b-2507)"
    """
    from windlass.service import Service

    with Service(settings()) as service:
        found = service.find_usual(model, quantization)
    shown = json.dumps({"key": found.key, "path": str(found.path)}) if as_json else str(found.path)
    sys.stdout.write(f"{shown}\n")


def rm(model: ModelHere, quantization: Quantization = None, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a model that is here. Files that another model needs stay.

    Example: windlass rm qwen/qwen3-4b-2507@q8_0
    """
    from windlass import words
    from windlass.keeping import removal_body
    from windlass.service import Service

    with Service(settings()) as service:
        found = service.find_part(model, quantization)
        if quantization is None and model.strip().lower() == found.id.lower():
            _refuse_to_guess(model, [one for one in service.models() if one.id == found.id])
        what = f"{found.key} ({found.quantization or found.found.format})"
        if not yes:
            count = words.files(len(found.files))
            confirm(f"Delete {what}, {words.size(found.size_bytes)} in {count}, {found.path}?")
        removed = removal_body(found, service.keeping.remove(found))
    sys.stdout.write(json.dumps(removed) if as_json else f"{what} is deleted: {_freed(removed)}")
    sys.stdout.write("\n")


def _refuse_to_guess(name: str, variants: list["Model"]) -> None:
    """One of several quantizations has the plain name, which passes on: said twice, `rm` would delete another one."""
    from windlass.errors import InvalidModel
    from windlass.library.facts import variant_of

    which = sorted(set(map(variant_of, variants)))
    if len(which) > 1:
        raise InvalidModel(f"'{name}' is here in several quantizations.", hint=f"Say which: {', '.join(which)}.")


def _freed(removed: dict[str, Any]) -> str:
    from windlass import words

    freed, kept = removed["freed_bytes"], len(removed["kept"])
    why = ": it is linked elsewhere" if removed["removed"] and not freed else ""
    stays = f"; {kept} shared with other models stay" if kept else ""
    return f"{words.size(freed)} freed{why}{stays}"


def verify(
    model: Annotated[str | None, typer.Argument(help="As `windlass ls` shows it.", autocompletion=model_names)] = None,
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

    _end(run(settings(), console(), (model, quantization), repair=repair, as_json=as_json))


def update(
    models: Annotated[
        list[str] | None, typer.Argument(help="As `windlass ls` shows them.", autocompletion=model_names)
    ] = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Bring models that are here up to date: only the files that have changed are fetched.

    `windlass ls --outdated` tells beforehand which would be.

    Example: windlass update --all
    """
    if bool(models) is everything:
        raise typer.BadParameter("name models, or say --all")
    from windlass.cli.update import update as run

    _end(run(settings(), console(), models or (), as_json=as_json))


def check(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe to mend.")] = False,
    as_json: Json = False,
) -> None:
    """Hold jobs, receipts, partials and disk against each other, and say what does not agree. Hashes nothing.

    Example: windlass check --fix
    """
    from windlass.cli.check import check as run

    _end(run(settings(), fix=fix, as_json=as_json))


def import_(
    path: Annotated[Path | None, typer.Argument(help="A GGUF file, a folder of a model, or an export.")] = None,
    user_repo: Annotated[str | None, typer.Option("--user-repo", help="Where it goes: owner/name.")] = None,
    program: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="All of: hf, ollama, lmstudio, jan.",
            autocompletion=one_of("hf", "ollama", "lmstudio", "jan"),
        ),
    ] = None,
    copy: Annotated[bool, typer.Option("-c", "--copy", help="Leave it where it is, too.")] = False,
    hardlink: Annotated[bool, typer.Option("-L", "--hardlink", help="Give it a second name.")] = False,
    symlink: Annotated[bool, typer.Option("-l", "--symlink", help="Link to it.")] = False,
    move: Annotated[bool, typer.Option("--move", help="Move it, as is done for a file or a model.")] = False,
    to: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring in what is on this machine already: a file, a folder, an export, or all that another program has.

    What `windlass export` made is copied unless told otherwise, and needs no network.

    Example: windlass import ~/Downloads/Qwen3-4B-Q4_K_M.gguf --user-repo lmstudio-community/Qwen3-4B-GGUF
    """
    chosen = [
        way for way, said in (("copy", copy), ("hardlink", hardlink), ("symlink", symlink), ("move", move)) if said
    ]
    if (path is None) is (program is None) or len(chosen) > 1:
        raise typer.BadParameter("name a path or --from, and at most one of --copy, --hardlink, --symlink, --move")
    from windlass.cli.importing import bring_in
    from windlass.cli.unpacking import export_at, unpack

    target = cast("Way | None", chosen[0] if chosen else None), folder_of(to)
    if path and (exported := export_at(path, user_repo)):
        _end(unpack(settings(), console(), (path, exported), target, dry_run=dry_run, yes=yes, as_json=as_json))
    else:
        which = path, user_repo, program
        _end(bring_in(settings(), console(), which, target, dry_run=dry_run, yes=yes, as_json=as_json))


def _end(code: int) -> None:
    if code != exits.DONE:
        raise typer.Exit(code)


def export(
    models: Annotated[list[str], typer.Argument(help="As `windlass ls` shows them.", autocompletion=model_names)],
    to: Annotated[Path, typer.Option("--to", help="The folder; one that holds an export already is added to.")],
    hard_link: Annotated[bool, typer.Option("--hard-link", help="Second names, not copies, where it can be.")] = False,
    as_json: Json = False,
) -> None:
    """Copy models to a folder, verified, from where machines without internet can import them.

    `windlass import DIR` brings them in, `windlass hub DIR` serves them, `sha256sum -c SHA256SUMS` checks them.

    Example: windlass export qwen/qwen3-4b-2507 --to /media/stick/models
    """
    from windlass.cli.exporting import export as run

    _end(run(settings(), console(), models, to, hard_links=hard_link, as_json=as_json))


VERBS: dict[str, Any] = {
    "ls": ls,
    "path": path,
    "rm": rm,
    "verify": verify,
    "update": update,
    "check": check,
    "import": import_,
    "export": export,
}
