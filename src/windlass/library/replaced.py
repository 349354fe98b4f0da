"""Replaced: the files that a model had before an update and has no more, removed once the new ones are here.

Before the update the old manifest is noted, in `<models>/.windlass/replaced`: the job that brings the new one may end
when nobody looks on, in a server, or after a kill, and then no receipt names the old files any more. Not told from
that alone, that no receipt names a file: it may be of another home's job, or somebody's own.
"""

import json
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from windlass import atomic
from windlass.library.disk import PRIVATE, folder_below, storage_errors
from windlass.library.facts import Model
from windlass.library.receipts import slug
from windlass.library.removal import Removal, removal_of, remove
from windlass.library.shelf import Shelf, State
from windlass.manifest import Manifest

_FOLDER = f"{PRIVATE}/replaced"


@dataclass(frozen=True, slots=True)
class _Note:
    """That `then` is to be replaced by what comes under `key`, which differs from its own after a renaming."""

    then: Manifest
    key: str


class Replaced:
    """The leftovers of one shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def note(self, then: Manifest, key: str) -> None:
        """Note, durably, what is about to be replaced by the manifest of `key`.

        Raises:
            StorageFailure: the note cannot be written.
        """
        with storage_errors(f"noting what {then.id} is made of", self._shelf.models_dir):
            folder = folder_below(self._shelf.models_dir, _FOLDER)
            text = json.dumps({"then": then.to_json(), "key": key})
            atomic.write(folder / f"{slug(f'{then.key}|{then.files[0].commit}')}.json", text)

    def tidy(self, in_use: Container[str] = ()) -> Iterator[Removal]:
        """Remove what updates that are done have left behind; a note whose update is not done waits.

        Only what is still as it was verified goes, and is in no receipt, and in no model that somebody else has put
        together. A file of a job, of which `in_use` has the shelf paths, waits for the next time.

        Raises:
            StorageFailure: it does not stand where it may be removed, or the disk refuses.
        """
        for path in sorted((self._shelf.models_dir / _FOLDER).glob("*.json")):
            note = _read(path)
            if note and not self._is_done(note):
                continue
            if note:
                removal = self._removal(note)
                if any(file in in_use for file in removal.removed):
                    continue
                remove(removal, self._shelf.receipts, ())
                if removal.removed:
                    yield removal
            with suppress(OSError):  # a note too many costs nothing
                path.unlink(missing_ok=True)

    def _is_done(self, note: _Note) -> bool:
        """Whether the update is done, or the model gone: its old manifest is not in force. After a renaming two are."""
        here = self._manifests()
        if note.key != note.then.key and note.key in here and here.get(note.then.key) == note.then:
            self._shelf.receipts.forget_model(note.then)
            return True
        return here.get(note.then.key) != note.then

    def _removal(self, note: _Note) -> Removal:
        named = {file.shelf_path for manifest in self._manifests().values() for file in manifest.files}
        unnamed = [file for file in note.then.files if file.shelf_path not in named]
        gone = [file.shelf_path for file in unnamed if self._shelf.state_of(file) is State.PRESENT]
        return removal_of(gone, _but(self._shelf.models(), gone), self._shelf.models_dir)

    def _manifests(self) -> dict[str, Manifest]:
        return {receipt.manifest.key: receipt.manifest for receipt in self._shelf.receipts.models()}


def _but(models: Iterable[Model], gone: Iterable[str]) -> list[Model]:
    """The models but those whose weights are all leftovers: to the eye an old file alone is a model, too."""
    left = set(gone)
    return [model for model in models if not {file.path for file in model.files if file.role == "weights"} <= left]


def _read(path: Path) -> _Note | None:
    """A note; None for one that cannot be read, which serves nobody."""
    try:
        raw = json.loads(path.read_bytes())
        return _Note(Manifest.from_json(raw["then"]), str(raw["key"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
