"""What reading a file told, kept by its path, size and time, so that a list opens only what has changed.

One JSON file and not SQLite: a list needs all of it at once, and parsing half a megabyte takes 5 ms where opening a
database takes as long again, and a WAL beside the models would have to be writable.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from windlass import atomic
from windlass.errors import StorageFailure
from windlass.library.disk import folder_below
from windlass.library.opening import read_file

_LARGEST = 256 * 1024 * 1024


class Stamp(NamedTuple):
    """By which a file is known to be unchanged: bytes, and the time of its last change in nanoseconds."""

    size: int
    mtime_ns: int


class Known:
    """The cache of one models folder. Losing it costs time only, so no trouble with its file is ever raised.

    Args:
        models_dir: the models folder.
        path: the cache's file, somewhere below it.
        edition: what wrote it; one of another edition is not believed.
    """

    def __init__(self, models_dir: Path, path: Path, edition: str) -> None:
        self._models_dir = models_dir
        self._path = path
        self._edition = edition
        self._kept: dict[str, list[Any]] | None = None
        self._used: dict[str, list[Any]] = {}
        self._changed = False

    def recall(self, name: str, stamp: Stamp, read: Callable[[], Any]) -> Any:
        """What `read` told of the file when it last had this stamp; else asks `read`, which must answer in JSON.

        Args:
            name: the file's path, or any other name that is one only.
            stamp: of the file as it stands.
            read: reads it now.
        """
        if self._kept is None:
            self._kept = self._load()
        entry = self._kept.get(name)
        if entry is None or entry[0] != stamp.size or entry[1] != stamp.mtime_ns:
            entry = [*stamp, read()]
            self._changed = True
        self._used[name] = entry
        return entry[2]

    def keep(self) -> None:
        """Write down what was used since the last time, and forget the rest: those files are gone."""
        changed = self._changed or len(self._used) != len(self._kept or {})
        self._kept, self._used, self._changed = self._used, {}, False
        if changed:
            with suppress(OSError, StorageFailure, ValueError):
                folder = folder_below(self._models_dir, self._path.parent.relative_to(self._models_dir).as_posix())
                text = json.dumps(self._kept, separators=(",", ":"))
                atomic.write(folder / self._path.name, f"{self._seal(text.encode())}\n{text}")

    def _load(self) -> dict[str, list[Any]]:
        try:
            seal, _, text = (read_file(self._path, _LARGEST) or b"").partition(b"\n")
            # Sealed, so that whoever uses an entry may take it for what was written.
            return json.loads(text) if seal.decode() == self._seal(text) else {}
        except (OSError, ValueError):
            return {}

    def _seal(self, text: bytes) -> str:
        return xxhash.xxh3_64_hexdigest(self._edition.encode() + text)
