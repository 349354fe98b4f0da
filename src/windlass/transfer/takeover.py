"""Files that are here already become partials: a damaged one with a ledger of what in it is right, a whole one sealed.

So a fetch goes on with them as if it had brought them itself, and brings in the rest.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from windlass.transfer import ledger as ledgers
from windlass.transfer.ledger import Ledger, Piece
from windlass.transfer.partial import discard, disk_errors, open_locked, sync, write_seal
from windlass.transfer.seal import Seal
from windlass.transfer.target import Target


def take_over(path: Path, folder: Path, target: Target, right: Iterable[Piece]) -> None:
    """Move the file at `path` to where a fetch of `target` goes on with it. No fetch may be at work on it.

    A file that has another name too, as in somebody's cache, is copied: what is fetched is written into the partial,
    and what is theirs is not written to. After a crash half way either the file is where it was, or nothing is believed
    of the partial but what its ledger says.

    Args:
        path: the damaged file.
        folder: of the partials, on the same disk.
        target: what it should be.
        right: the runs of bytes in it that are as they should be, with their digests.

    Raises:
        StorageFailure: the disk refuses.
    """
    ledger = Ledger(target.identity, target.size, {piece.start: piece for piece in right})
    place = folder / f"{target.partial_name}.part"
    with disk_errors(place):
        folder.mkdir(parents=True, exist_ok=True)
        discard(folder, target.partial_name)
        place.with_suffix(".ledger").write_text(ledgers.dump(ledger), encoding="ascii")
        _move(path, place)
        os.truncate(place, target.size)


def hand_in(path: Path, folder: Path, target: Target, sha256: str, chunks: tuple[str, ...]) -> bool:
    """Have a whole file, which was hashed just now, be found by a fetch of `target` as one that waits for its name.

    Args:
        path: the file, on the disk of `folder`; it is gone afterwards.
        folder: of the partials.
        target: what it is.
        sha256: what it hashed to.
        chunks: the xxh3-64 of each chunk.

    Returns:
        Whether it was wanted: where a fetch has begun meanwhile, that goes on.

    Raises:
        StorageFailure: the disk refuses.
    """
    place = folder / f"{target.partial_name}.part"
    with disk_errors(place):
        sync(path)
        found = path.stat()
        seal = Seal(sha256, target.digest, chunks, found.st_size, found.st_mtime_ns)
        handed = _put(path, place, seal)
        path.unlink(missing_ok=True)
    return handed


def _put(path: Path, place: Path, seal: Seal) -> bool:
    """Rename the file to its place with the lock in hand that a fetch would take; False where one has begun there.

    A link would not take the place of what stands there either, but exFAT, FAT and many shares know none. And under the
    lock the seal comes first: nobody finds the file without it, and takes it for one that has to be fetched.
    """
    lock = open_locked(place)
    if lock < 0:
        return False
    try:
        if os.fstat(lock).st_size:
            return False
        write_seal(place, seal)
        path.rename(place)
    finally:
        os.close(lock)
    return True


def _move(path: Path, place: Path) -> None:
    if path.is_symlink() or path.stat().st_nlink > 1:
        shutil.copyfile(path, place)
        path.unlink()
    else:
        path.rename(place)
