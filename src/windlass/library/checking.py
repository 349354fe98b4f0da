"""Whether a file on the shelf still is what its receipt says, and if not, where it is damaged."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from windlass import atomic, words
from windlass.errors import StorageFailure
from windlass.library.digests import OnProgress, ShouldStop, digest_file, never
from windlass.library.disk import PRIVATE, folder_below, storage_errors
from windlass.library.receipts import CHUNK_SIZE, Receipt, Receipts


class Verdict(StrEnum):
    """What became of a check."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNKNOWN = "unknown"  # no receipt says what it should be


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, by its path on the shelf.

    Attributes:
        size: bytes as they stand there, 0 for none.
        damage: of a damaged file, the numbers of the chunks (16 MiB each) that are not as they were; empty where
            nobody knows which.
    """

    path: str
    size: int
    verdict: Verdict
    damage: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Checking:
    """Checks files of one models folder.

    Attributes:
        receipts: of the folder.
        clock: Unix time, for the receipts of files that are whole.
        keeps: whether what is found is noted: a folder may be there to be read only.
    """

    receipts: Receipts
    clock: Callable[[], float]
    keeps: bool = True

    def check(
        self, shelf_path: str, *, on_progress: OnProgress | None = None, should_stop: ShouldStop = never
    ) -> Checked:
        """Hash one file as it stands, and note what it was found to be: whole, and when, or damaged.

        Args:
            shelf_path: the file's.
            on_progress: told the bytes hashed so far.
            should_stop: asked every 4 MiB.

        Raises:
            Stopped: `should_stop` said so.
            StorageFailure: the file cannot be read, or its receipt not written.
        """
        path = self.receipts.models_dir / shelf_path
        receipt = self.receipts.read(shelf_path)
        with storage_errors(f"checking {path}", self.receipts.models_dir):
            if not path.is_file():
                return Checked(shelf_path, 0, Verdict.MISSING)
            if receipt is None:
                return Checked(shelf_path, path.stat().st_size, Verdict.UNKNOWN)
            before = path.stat()
            digest, chunks = digest_file(
                path, receipt.digest.algorithm, on_progress=on_progress, should_stop=should_stop
            )
            if digest != receipt.digest or not _is_unchanged(before, path.stat()):
                self._note_damage(shelf_path, replace(receipt, mtime_ns=before.st_mtime_ns, damaged=True))
                return Checked(
                    shelf_path, before.st_size, Verdict.DAMAGED, damage_of(receipt.size, receipt.chunks, chunks)
                )
            now = words.timestamp(self.clock())
            found = replace(receipt, mtime_ns=before.st_mtime_ns, verified_at=now, chunks=chunks, damaged=False)
            if self.keeps:
                self.receipts.write(shelf_path, found)
        return Checked(shelf_path, before.st_size, Verdict.WHOLE)

    def _note_damage(self, shelf_path: str, receipt: Receipt) -> None:
        """Nobody shall take the file for whole from now on. A disk that damages files may not take this."""
        if self.keeps:
            with suppress(OSError, StorageFailure):
                self.receipts.write(shelf_path, receipt)

    def begin_round(self) -> str:
        """When the round began that is under way; one that is broken off stays under way.

        Raises:
            StorageFailure: that cannot be noted.
        """
        root = self.receipts.models_dir
        with storage_errors("noting that a check begins", root):
            with suppress(FileNotFoundError):
                return self._round.read_text(encoding="ascii").strip()
            began = words.timestamp(self.clock())
            if not self.keeps or not root.exists():
                return began
            folder_below(root, PRIVATE)
            atomic.write(self._round, f"{began}\n")
            return began

    def end_round(self) -> None:
        """The round is over. Raises StorageFailure."""
        if not self.keeps:
            return
        with storage_errors("noting that a check is over", self.receipts.models_dir):
            self._round.unlink(missing_ok=True)

    def found_since(self, shelf_path: str, since: str) -> Checked | None:
        """The file, if it was found whole since then and looks the same; `since` is as `timestamp` writes it."""
        receipt = self.receipts.read(shelf_path)
        try:
            found = (self.receipts.models_dir / shelf_path).stat()
        except OSError:
            return None
        is_good = receipt and not receipt.damaged and receipt.verified_at >= since
        if receipt and is_good and receipt.agrees(found.st_size, found.st_mtime_ns):
            return Checked(shelf_path, found.st_size, Verdict.WHOLE)
        return None

    @property
    def _round(self) -> Path:
        return self.receipts.models_dir / PRIVATE / "verifying-since"


def _is_unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def damage_of(size: int, was: tuple[str, ...], now: tuple[str, ...]) -> tuple[int, ...]:
    """The chunks of a file that are not as they were when it was whole; none where nobody has noted how they were.

    Args:
        size: bytes that it had.
        was: digests of its chunks then.
        now: digests of its chunks as they are.
    """
    count = -(-size // CHUNK_SIZE)
    if len(was) != count:
        return ()
    there = now + ("",) * (count - len(now))
    return tuple(number for number in range(count) if there[number] != was[number])
