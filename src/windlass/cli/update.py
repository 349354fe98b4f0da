"""`windlass update` and `windlass ls --outdated`: what is newer about the models on this disk, fetched or only told."""

import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli import exits
from windlass.cli.backend import Backend, backend
from windlass.cli.get import follow_to_its_end, server_may_end
from windlass.cli.local import Local
from windlass.cli.tables import show_outdated
from windlass.errors import StateFailure, WindlassError
from windlass.hub.again import request_of
from windlass.library.facts import Model
from windlass.library.lists import v1_row
from windlass.places import Place
from windlass.service import Service
from windlass.settings import Settings
from windlass.update import Update, update_body
from windlass.updating import label_of

Row = dict[str, Any]


def list_outdated(settings: Settings, console: Console, *, as_json: bool) -> int:
    """Print the models for which there is something newer; the exit code.

    It is that of what kept a model from being asked about, where all that could not be asked about say the same.
    """
    rows: dict[str, Row] = {}
    failures = set()
    with Service(settings) as service:
        for model, told in _told_of_all(service):
            if isinstance(told, WindlassError):
                failures.add(exits.exit_code(told))
                exits.say_failure(console, model.key, told.message, told.hint)
            elif told is not None:
                rows.setdefault(model.key, {**v1_row(model), "update": update_body(told)})
    show_outdated(list(rows.values()), as_json=as_json)
    return exits.shared(failures)


def update(settings: Settings, console: Console, names: Sequence[str], *, as_json: bool) -> int:
    """Bring the models of these names up to date, or all where none is named, one after the other; the exit code.

    What fails does not stop the others, and gives the code where all that fails does so alike.
    """
    with backend(settings) as behind, _this_disk(behind, settings) as service:
        hands = _Hands(console, behind, service)
        _tidy(hands)
        rows = [_brought_up_to_date(hands, target) for target in names or _known(hands)]
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.write("".join(f"{row['key']}\n" for row in rows if row["status"] == "updated"))
    return exits.shared({exits.exit_code_of(row["error_code"]) for row in rows if row["status"] == "failed"})


@dataclass(frozen=True, slots=True)
class _Hands:
    """What the work is done with; `done` has the manifests that have been looked at: their folder and key."""

    console: Console
    behind: Backend
    service: Service
    done: set[tuple[Path, str]] = field(default_factory=set)


@contextmanager
def _this_disk(behind: Backend, settings: Settings) -> Iterator[Service]:
    """What looks at the models here, as `ls` does: the service that does the work, else one beside the server's."""
    if isinstance(behind, Local):
        yield behind.service
        return
    with Service(settings) as service:
        yield service


def _told_of_all(service: Service) -> Iterator[tuple[Model, Update | WindlassError | None]]:
    folders = map(service.updating, service.places)
    keyed = service.places.keyed
    pairs = [
        (model, each) for known in folders for model in keyed(known.models()) for each in known.manifests_of(model)
    ]
    told = service.lookout.look_at_all([manifest for _, manifest in pairs])
    for (model, _), one in zip(pairs, told, strict=True):
        yield model, one


def _known(hands: _Hands) -> list[Model]:
    """All models but those that somebody else has put here, of which nobody knows what they would be now."""
    known: list[Model] = []
    strangers = 0
    for updating in map(hands.service.updating, hands.service.places):
        models = hands.service.places.keyed(updating.models())
        mine = [model for model in models if updating.manifests_of(model)]
        known, strangers = known + mine, strangers + len(models) - len(mine)
    if strangers:
        count = "1 model was" if strangers == 1 else f"{strangers} models were"
        hands.console.print(f"{count} not brought by Windlass, so nobody knows whether there is something newer.")
    return known


def _brought_up_to_date(hands: _Hands, target: Model | str) -> Row:
    """Bring one model up to date, and those that share what changes; the row that tells of it."""
    row: Row = {"key": target if isinstance(target, str) else target.key, "status": "up_to_date"}
    try:
        model = hands.service.find_part(target) if isinstance(target, str) else target
        row["key"] = model.key
        for job in _jobs(hands, model, row):
            row["job"] = job
            if job["status"] not in ("completed", "already_downloaded"):
                return _failed(hands, row, job.get("error_code"), job.get("error_message") or "The job was paused.")
        row |= {"removed": _tidy(hands)} if row["status"] == "updated" else {}
    except WindlassError as error:
        return _failed(hands, row, error.code, error.message, error.hint)
    if row["status"] == "up_to_date":
        hands.console.print(f"{row['key']} is up to date.", markup=False, soft_wrap=True)
    return row


def _jobs(hands: _Hands, model: Model, row: Row) -> Iterator[Mapping[str, Any]]:
    """The jobs that bring a model up to date, each when it is over; what they bring is noted in the row."""
    place = hands.service.places.holding(model)
    updating = hands.service.updating(place)
    todo = deque(updating.known_manifests_of(model))
    while todo:
        manifest = todo.popleft()
        if (place.folder.path, manifest.key) in hands.done:
            continue
        hands.done.add((place.folder.path, manifest.key))
        found = updating.look(manifest)
        if found is None:
            continue
        todo.extend(updating.sharers(found))
        row |= {"status": "updated"} | ({} if "update" in row else {"update": update_body(found)})
        _say_update(hands.console, found)
        yield _bring(hands, found, place)


def _bring(hands: _Hands, found: Update, place: Place) -> Mapping[str, Any]:
    """Fetch what is newer to where the model stands; the job when it is over.

    Raises:
        WindlassError: it cannot be fetched, or the server that fetched it does so for another models folder.
    """
    behind, updating = hands.behind, hands.service.updating(place)
    to = str(place.folder.path) if hands.service.places.are_several else None
    updating.begin(found)
    with server_may_end(behind):
        job = behind.download(*request_of(found.now), to, anew=True)
        if job["status"] != "already_downloaded":
            job = follow_to_its_end(hands.console, behind, job)
    if job["status"] in ("completed", "already_downloaded") and not updating.is_done(found):
        raise StateFailure(
            f"The server at {behind.where} has brought it to {job.get('path')}, and not to where it stands here.",
            hint="Look at its models folder, and at WINDLASS_URL and WINDLASS_MODELS_DIR.",
        )
    return job


def _tidy(hands: _Hands) -> list[str]:
    """Remove what updates have left behind, those of the past too, and say so; the shelf paths."""
    removed: list[str] = []
    for removal in chain.from_iterable(
        updating.tidy() for updating in map(hands.service.updating, hands.service.places)
    ):
        removed += removal.removed
        said = f"Removed what is not part of it any more, {words.size(removal.freed)}: {', '.join(removal.removed)}"
        hands.console.print(said, markup=False, soft_wrap=True)
    return removed


def _failed(hands: _Hands, row: Row, code: str | None, message: str, hint: str | None = None) -> Row:
    exits.say_failure(hands.console, row["key"], message, hint)
    return {**row, "status": "failed", "error_code": code, "error_message": message}


def _say_update(console: Console, found: Update) -> None:
    files = len(found.changed) + len(found.came)
    what = f"{words.files(files)}, {words.size(found.bytes_to_fetch)}"
    if not files:
        what = "files that are no part of it any more" if found.went else "the catalog's text"
    commits = f" ({found.commit[:7]} → {found.newest_commit[:7]})" if found.commit != found.newest_commit else ""
    console.print(f"{label_of(found.then)}: {what}{commits}", markup=False, soft_wrap=True)
