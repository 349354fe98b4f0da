"""Brings files in that are on this machine already, by hand or from another program: moved, copied or linked."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from windlass import words
from windlass.errors import StorageUnavailable
from windlass.library.cloning import clone
from windlass.library.digests import OnProgress, digest_file
from windlass.library.disk import PRIVATE, folder_below, storage_errors, sync_file, sync_folder
from windlass.library.exporting import OnFile, told_of, told_of_copy
from windlass.library.imports import Import, Way, state_of
from windlass.library.receipts import Receipt, Receipts
from windlass.manifest import ManifestFile


@dataclass(frozen=True, slots=True)
class Importing:
    """Imports into one models folder; `clock` tells Unix time, for the receipts."""

    receipts: Receipts
    clock: Callable[[], float]

    def bring_in(self, one: Import, way: Way, on_file: OnFile | None = None) -> bool:
        """Have a file stand in its place, with a receipt of what it hashed to; whether it was not there already.

        A moved file is at every moment either where it was or in its place. Of a linked one nothing is written but the
        link.

        Raises:
            StorageUnavailable: something else stands there, or the disk refuses.
            InsufficientStorage: the disk is full.
        """
        root = self.receipts.models_dir
        with storage_errors(f"importing {one.source}", root):
            parent, _, name = one.shelf_path.rpartition("/")
            place = folder_below(root, parent) / name
            if os.path.lexists(place):
                return self._is_same(one, place, on_file)
            with self._ready(one, place, way, on_file) as ready:
                file, chunks = _file(one, ready, told_of(on_file, one.shelf_path, ready.stat().st_size))
                receipt = Receipt.of(file, source="", verified_at=words.timestamp(self.clock()), chunks=chunks)
                receipt = replace(receipt, mtime_ns=ready.stat().st_mtime_ns, adopted=True)
                self.receipts.write(one.shelf_path, receipt)
                ready.rename(place)
            sync_folder(place.parent)
            if way == "move" and ready != one.source:
                one.source.unlink()
        return True

    @contextmanager
    def _ready(self, one: Import, place: Path, way: Way, on_file: OnFile | None) -> Iterator[Path]:
        """The file under a name on the disk of its place, from which one rename brings it there.

        A name that was made for that is gone afterwards, whatever ends it: a person's Ctrl-C in the minutes that 40 GB
        take must not cost 40 GB of the disk.
        """
        source = one.source
        if way == "move" and source.stat().st_dev == place.parent.stat().st_dev and not source.is_symlink():
            yield source
            return
        ours = folder_below(self.receipts.models_dir, f"{PRIVATE}/partial") / f"{secrets.token_hex(8)}.over"
        try:
            give_name(source, ours, way, told_of_copy(on_file, one.shelf_path, source.stat().st_size))
            yield ours
        finally:
            ours.unlink(missing_ok=True)

    def _is_same(self, one: Import, place: Path, on_file: OnFile | None) -> bool:
        """False for what is there already; anything else in its place is refused."""
        if place.exists() and (one.source.samefile(place) or _are_equal(one.source, place, on_file)):
            return False
        raise StorageUnavailable(f"Something else stands at {place}.", hint="Move it away, or say another --user-repo.")


def give_name(source: Path, ours: Path, way: Way, copied: OnProgress | None = None) -> None:
    """Have `ours`, which must not be there, be or hold what `source` is: as a link, or durably as a copy.

    `copied` is told how far that is.

    Raises:
        StorageUnavailable: it cannot have a second name there.
        OSError: as the operating system has it.
    """
    if way == "symlink":
        ours.symlink_to(source.absolute())
    elif way == "hardlink":
        _link(source, ours)
    else:
        clone(source, ours, hard_links=False, on_progress=copied)
        sync_file(ours)


def _link(source: Path, ours: Path) -> None:
    try:
        os.link(os.path.realpath(source), ours)
    except OSError as error:
        raise StorageUnavailable(
            f"{source} cannot have a second name at {ours.parent}: {error.strerror}.",
            hint="On another disk it is copied (--copy), moved (--move) or linked to (--symlink).",
        ) from error


def _file(one: Import, ready: Path, on_progress: OnProgress | None) -> tuple[ManifestFile, tuple[str, ...]]:
    """What the file is: what it was known to be, if it still is that, else what it hashes to; and its chunks' digests.

    A file that was moved or linked, and has not changed since it was recognized, is not hashed once more.

    Raises:
        StorageUnavailable: it is not what its own name says.
    """
    known = one.known
    if known and state_of(ready) == known.state:
        return known.file, known.chunks
    named = one.named
    wanted = known.file.digest if known else named
    digest, chunks = digest_file(ready, wanted.algorithm if wanted else "sha256", on_progress=on_progress)
    if known and digest == known.file.digest:
        return known.file, chunks
    if named and named.algorithm == digest.algorithm and named != digest:
        raise StorageUnavailable(
            f"{one.source} is damaged: it does not hash to {named.hex}, its name.", hint="Fetch it: windlass get"
        )
    owner, repo, path = one.shelf_path.split("/", 2)
    return ManifestFile(f"{owner}/{repo}", "", path, ready.stat().st_size, digest), chunks


def _are_equal(first: Path, second: Path, on_file: OnFile | None) -> bool:
    size = first.stat().st_size
    if size != second.stat().st_size:
        return False
    digests = [digest_file(path, "sha256", on_progress=told_of(on_file, str(path), size)) for path in (first, second)]
    return digests[0][0] == digests[1][0]
