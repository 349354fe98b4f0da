"""What is done with models that are here: told of, checked, mended, removed. Safe to call from several threads."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from windlass.admission import Admission
from windlass.errors import ModelInUse, NotRepairable
from windlass.folder import Condition
from windlass.jobs.job import Job
from windlass.library.checking import Checked, Checking, Verdict
from windlass.library.digests import ShouldStop, never
from windlass.library.facts import Model, ShelfFile
from windlass.library.receipts import CHUNK_SIZE, ModelReceipt, Receipt
from windlass.library.removal import Removal, plan_removal, remove
from windlass.library.shelf import Shelf
from windlass.manifest import ManifestFile
from windlass.places import Place, Places
from windlass.pull import take_apart
from windlass.transfer.ledger import Piece

OnCheck = Callable[[str, int, int], None]
"""Told a file's path, its size, and the bytes of it that are hashed so far."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a check of a model found, file by file."""

    model: Model
    files: tuple[Checked, ...]

    @property
    def whole(self) -> bool:
        """Whether every file is as it should be."""
        return all(file.verdict is Verdict.WHOLE for file in self.files)


def checkup_body(checkup: Checkup, job: dict[str, Any] | None = None) -> dict[str, Any]:
    """A check as JSON, with the job that mends what it found, where there is one."""
    files = [
        {"path": file.path, "size_bytes": file.size, "verdict": file.verdict}
        | ({"damaged_chunks": list(file.damage)} if file.damage else {})
        for file in checkup.files
    ]
    body = {"key": checkup.model.key, "whole": checkup.whole, "files": files}
    return body | ({"job": job} if job else {})


def removal_body(model: Model, removal: Removal) -> dict[str, Any]:
    """What was removed, as JSON."""
    return {
        "key": model.key,
        "removed": list(removal.removed),
        "kept": list(removal.shared),
        "freed_bytes": removal.freed,
    }


class Keeping:
    """What is done with the models that are here.

    Args:
        places: where they stand.
        admission: lets the jobs in that mend; asked for only where there may be jobs.
        has_jobs: whether anybody has asked for any yet.
        clock: Unix time.
    """

    def __init__(
        self,
        places: Places,
        admission: Callable[[], Admission],
        has_jobs: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._places = places
        self._admission = admission
        self._has_jobs = has_jobs
        self._clock = clock
        self._lock = threading.Lock()  # two that mend or remove the same model would be in each other's way

    def verify(self, model: Model, on_check: OnCheck | None = None, should_stop: ShouldStop = never) -> Checkup:
        """Hash every file of a model as it stands, on a thread that is in no hurry, then or later.

        Raises:
            Stopped: `should_stop` said so.
            StorageFailure: a file cannot be read.
        """
        _step_back()
        checking = self._checking(self._places.holding(model))
        files = [_check(checking, file, on_check, should_stop) for file in model.files]
        return Checkup(model, tuple(files))

    def repair(self, checkup: Checkup) -> Job:
        """Have a job fetch again what a check found damaged or missing, and nothing else.

        Until it is done the model is not whole, and is not listed.

        Raises:
            NotRepairable: nobody has written down what it should be.
            ModelInUse: a job is at work on it.
            InsufficientStorage: there is no room for it.
        """
        with self._lock:
            self._refuse_in_use(checkup.model)
            model, receipt = checkup.model, self._receipt(checkup)
            files = {file.shelf_path: file for file in receipt.manifest.files}
            folder = str(model.found.models_dir)
            needed = sum(_to_fetch(checked, files) for checked in checkup.files)
            self._admission().expect(receipt.manifest, folder, needed)
            for checked in checkup.files:
                if checked.verdict is Verdict.DAMAGED:
                    _take_apart(files[checked.path], checked, self._places.holding(model).shelf)
            return self._admission().admit(receipt.manifest, folder)

    def remove(self, model: Model) -> Removal:
        """Take a model off the shelf, but for files that other models need.

        Raises:
            ModelInUse: a job is at work on it.
            StorageFailure: it does not stand where it may be removed, or the disk refuses.
        """
        with self._lock:
            self._refuse_in_use(model)
            shelf = self._places.holding(model).shelf
            mine = {file.path for file in model.files}
            others = [other for other in shelf.models() if {file.path for file in other.files} != mine]
            removal = plan_removal(model, others)
            remove(removal, shelf.receipts, shelf.receipts_of(model))
        return removal

    def verify_all(self, on_check: OnCheck | None = None) -> Iterator[Checkup]:
        """Check every model, and those of which only a part is left.

        A round that is broken off is gone on with: what it has found whole is not hashed again.

        Raises:
            StorageFailure: a file cannot be read.
        """
        for place in self._places:
            yield from self._verify_folder(self._checking(place), place.shelf, on_check)

    def _verify_folder(self, checking: Checking, shelf: Shelf, on_check: OnCheck | None) -> Iterator[Checkup]:
        since = checking.begin_round()
        for model in self._places.keyed([*shelf.models(), *shelf.broken()]):
            done = [checking.found_since(file.path, since) for file in model.files]
            checkup = Checkup(model, tuple(file for file in done if file))
            yield checkup if len(checkup.files) == len(done) else self.verify(model, on_check)
        checking.end_round()

    def _checking(self, place: Place) -> Checking:
        keeps = place.folder.condition() is Condition.READY
        return Checking(place.shelf.receipts, self._clock, keeps=keeps)

    def _refuse_in_use(self, model: Model) -> None:
        paths = {file.path for file in model.files}
        if not self._has_jobs():
            return
        for job in self._admission().active():
            if any(file.shelf_path in paths for file in job.manifest.files):
                raise ModelInUse(f"Job {job.id} is at work on files of {model.key}.", hint="Pause or cancel it first.")

    def _receipt(self, checkup: Checkup) -> ModelReceipt:
        wrong = {checked.path for checked in checkup.files if checked.verdict is not Verdict.WHOLE}
        for receipt in self._places.holding(checkup.model).shelf.receipts_of(checkup.model):
            if wrong <= {file.shelf_path for file in receipt.manifest.files}:
                return receipt
        raise NotRepairable(
            f"Nobody has written down what {checkup.model.key} should be: it came here by another way.",
            hint=f"Ask for it, and what differs is fetched: windlass get {checkup.model.found.repo}",
        )


def _check(checking: Checking, file: ShelfFile, on_check: OnCheck | None, should_stop: ShouldStop) -> Checked:
    told = partial(on_check, file.path, file.size) if on_check else None
    return checking.check(file.path, on_progress=told, should_stop=should_stop)


def _take_apart(file: ManifestFile, checked: Checked, shelf: Shelf) -> None:
    receipt = shelf.receipts.read(file.shelf_path)
    right = list(_right(receipt, checked)) if receipt and checked.damage else []
    take_apart(file, shelf, right)


def _to_fetch(checked: Checked, files: Mapping[str, ManifestFile]) -> int:
    """Bytes that mending a file takes, at most."""
    if checked.path not in files or checked.verdict is Verdict.WHOLE:
        return 0
    return min(len(checked.damage) * CHUNK_SIZE or sys.maxsize, files[checked.path].size)


def _right(receipt: Receipt, checked: Checked) -> Iterator[Piece]:
    """The chunks that are as they were."""
    for number, digest in enumerate(receipt.chunks):
        if number not in checked.damage:
            start = number * CHUNK_SIZE
            yield Piece(start, min(CHUNK_SIZE, receipt.size - start), digest)


def _step_back() -> None:
    """Let everybody else go first, on systems where a thread can be told so (Linux). It stays so for this thread."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
