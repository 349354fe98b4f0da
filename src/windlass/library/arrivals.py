"""Arrivals: verified partials that get their final names, many of them in one go.

What small files cost is not their bytes but the waiting for the disk, so each step is done for all before the next:

    check    every place is free, and in the models folder
    note     write the receipts
    sync     the contents, the receipts, and the folders that got a receipt
    rename   every partial to its final name
    sync     the folders that got a name

The receipts first: a crash before the names leaves some that agree with nothing, which does no harm. The other way
round leaves files without one, to be hashed again. A partial stays as it is, time and all, until it is renamed: whoever
fetched it knows it by that, should anything here fail.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from windlass.errors import ChecksumMismatch, StorageUnavailable
from windlass.library.disk import PRIVATE, folder_below, storage_error, storage_errors, sync_files, sync_folder
from windlass.library.receipts import Receipt, Receipts
from windlass.manifest import ManifestFile

_COARSE = 2_000_000_000  # nanoseconds


@dataclass(frozen=True, slots=True)
class Arrival:
    """A partial that is to get its final name.

    Attributes:
        partial: whole, verified and closed, on the same filesystem as the shelf.
        file: what it is.
        receipt: from `Receipt.of`; the file's time is filled in when it is published.
    """

    partial: Path
    file: ManifestFile
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class _Placed(Arrival):
    """One that may go to its `place`; its receipt has the file's time."""

    place: Path


A = TypeVar("A", bound=Arrival)
T = TypeVar("T")


class Publisher:
    """Publishes once, on the shelf that these receipts belong to; `Shelf.publish` says what."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._root = receipts.models_dir
        self._private = f"{os.path.realpath(self._root / PRIVATE)}/"
        self._below = cache(partial(folder_below, self._root))  # the folder of 1,500 files is looked at once

    def publish(self, arrivals: Sequence[Arrival]) -> None:
        """Give all of them their final names."""
        placed = self._each(self._place, arrivals)
        noted = self._each(self._note, placed)
        with storage_errors(f"writing {len(placed)} files and their receipts", self._root):
            sync_files([*(arrival.partial for arrival in placed), *noted])
            _sync_folders(noted)
        renamed = self._each(_rename, placed)
        with storage_errors(f"putting {len(placed)} files in place", self._root):
            _sync_folders(renamed)

    def _each(self, step: Callable[[A], T], arrivals: Iterable[A]) -> list[T]:
        """Do one step for each; a refusal is said to be of the file that it meets."""
        done = []
        for arrival in arrivals:
            try:
                done.append(step(arrival))
            except OSError as error:
                doing = f"putting {self._root / arrival.file.shelf_path} in place"
                raise storage_error(error, doing, self._root, arrival.file.size) from error
        return done

    def _place(self, arrival: Arrival) -> _Placed:
        """Look at all that may stand in the way, before anything is written."""
        file = arrival.file
        parent, _, name = file.shelf_path.rpartition("/")
        place = self._below(parent) / name
        if f"{place}/".startswith(self._private):
            raise StorageUnavailable(f"{place} is where Windlass keeps its own files, so no model goes there.")
        found = arrival.partial.stat()
        if found.st_size != file.size:
            raise ChecksumMismatch(f"{arrival.partial} has {found.st_size} bytes, not the {file.size} of {file.path}.")
        if place.is_dir() and not place.is_symlink():
            raise StorageUnavailable(f"A folder stands where {place} should be.", hint="Move it away.")
        mtime_ns = found.st_mtime_ns if _is_theirs(arrival.partial) else _time(found.st_mtime_ns, place)
        receipt = replace(arrival.receipt, mtime_ns=mtime_ns)
        return _Placed(arrival.partial, file, receipt, place)

    def _note(self, arrival: _Placed) -> Path:
        return self._receipts.write_soon(arrival.file.shelf_path, arrival.receipt, self._below)


def _time(mtime_ns: int, place: Path) -> int:
    """The time that a file gets at `place`, where its partial has `mtime_ns`.

    One that every filesystem can keep, FAT with its two seconds too: else all receipts of an external disk would be
    void once it is plugged in again. And not the time of what stands there now: after a crash before the rename the new
    receipt would speak for the old file.
    """
    coarse = mtime_ns // _COARSE * _COARSE
    with suppress(OSError):  # nothing stands there
        coarse -= _COARSE * (place.stat().st_mtime_ns == coarse)
    return coarse


def _is_theirs(path: Path) -> bool:
    """Whether the file has another name too, or is only linked to: then its time is not ours to change."""
    return path.is_symlink() or path.stat().st_nlink > 1


def _rename(arrival: _Placed) -> Path:
    arrival.partial.replace(arrival.place)
    if not _is_theirs(arrival.place):
        os.utime(arrival.place, ns=(arrival.receipt.mtime_ns, arrival.receipt.mtime_ns))
    return arrival.place


def _sync_folders(paths: Iterable[Path]) -> None:
    for folder in {path.parent for path in paths}:
        sync_folder(folder)
