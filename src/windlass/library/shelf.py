"""The shelf: the models folder, and the one way a file gets its final name there.

Nothing partial is ever seen under a final name: a file and its receipt are on the disk before it is renamed there.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from windlass import atomic, words
from windlass.errors import ModelNotFound
from windlass.library.arrivals import Arrival, Publisher
from windlass.library.digests import OnProgress, ShouldStop, digest_file, never
from windlass.library.disk import PRIVATE, folder_below, storage_errors
from windlass.library.facts import Model, ShelfFile, describe
from windlass.library.inventory import Inventory
from windlass.library.keys import find, with_keys
from windlass.library.receipts import ModelReceipt, Receipt, Receipts
from windlass.library.stock import Oddity
from windlass.library.survey import found_of
from windlass.manifest import CatalogEntry, Manifest, ManifestFile


class State(StrEnum):
    """How a file of a manifest stands on the shelf."""

    PRESENT = "present"  # a receipt says that it was verified, and it has not changed since
    UNVERIFIED = "unverified"  # of the right size, never hashed or changed since: `adopt` finds out
    OTHER = "other"  # something else stands there
    ABSENT = "absent"


def judge(file: ManifestFile, size: int | None, mtime_ns: int, receipt: Receipt | None) -> State:
    """How the file stands, from what the disk and the receipt say; `size` is None where there is nothing."""
    if size is None:
        return State.ABSENT
    if size != file.size:
        return State.OTHER
    if receipt is None or not receipt.agrees(size, mtime_ns) or receipt.digest.algorithm != file.digest.algorithm:
        return State.UNVERIFIED
    return State.PRESENT if receipt.digest == file.digest and not receipt.damaged else State.OTHER


def _weights(files: Iterable[ShelfFile]) -> set[str]:
    return {file.path for file in files if file.role == "weights"}


def _weights_of(receipt: ModelReceipt) -> set[str]:
    return {file.shelf_path for file in receipt.manifest.files if file.role == "weights"}


class Shelf:
    """The models folder and LM Studio's hub folder.

    Args:
        models_dir: `<models>`; it may be a link. It is not made here: whoever sets Windlass up does that once.
        lmstudio_home: catalog models are written below its `hub/models`.
        clock: seconds since 1970.
    """

    def __init__(self, models_dir: Path, lmstudio_home: Path, clock: Callable[[], float] = time.time) -> None:
        self.models_dir = models_dir
        self.receipts = Receipts(models_dir)
        self._inventory = Inventory(self.receipts)
        self._catalog_dir = lmstudio_home / "hub" / "models"
        self._clock = clock

    @property
    def private_dir(self) -> Path:
        """`<models>/.windlass`, on the shelf's own disk, so that a rename brings a partial to its final name."""
        return self.models_dir / PRIVATE

    def path_of(self, file: ManifestFile) -> Path:
        """Where the file stands or will stand."""
        return self.models_dir / file.shelf_path

    def state_of(self, file: ManifestFile) -> State:
        """How one file of a manifest stands on the shelf. Reads its receipt and asks for its size: hashes nothing."""
        try:
            found = self.path_of(file).stat()
        except OSError:
            return State.ABSENT
        size = found.st_size if stat.S_ISREG(found.st_mode) else -1
        return judge(file, size, found.st_mtime_ns, self.receipts.read(file.shelf_path))

    def missing(self, manifest: Manifest) -> tuple[ManifestFile, ...]:
        """The manifest's files that are not verified on the shelf, in its order; those to adopt are among them."""
        return tuple(file for file in manifest.files if self.state_of(file) is not State.PRESENT)

    def adopt(
        self, file: ManifestFile, *, on_progress: OnProgress | None = None, should_stop: ShouldStop = never
    ) -> bool:
        """Hash what stands under the file's name, and give it a receipt if it is what the manifest wants.

        Args:
            file: one that is `UNVERIFIED`; for any other there is nothing to adopt.
            on_progress: told the bytes hashed so far.
            should_stop: asked every 4 MiB.

        Returns:
            Whether the file is now present; False leaves it as it is, for `publish` to replace.

        Raises:
            Stopped: `should_stop` said so.
            StorageFailure: the file cannot be read, or its receipt not written.
        """
        path = self.path_of(file)
        with storage_errors(f"checking {path}", self.models_dir):
            if self.state_of(file) is not State.UNVERIFIED:
                return self.state_of(file) is State.PRESENT
            before = path.stat()
            digest, chunks = digest_file(path, file.digest.algorithm, on_progress=on_progress, should_stop=should_stop)
            after = path.stat()
            if digest != file.digest or before.st_mtime_ns != after.st_mtime_ns:
                return False
            receipt = Receipt.of(file, source="", verified_at=words.timestamp(self._clock()), chunks=chunks)
            receipt = replace(receipt, mtime_ns=after.st_mtime_ns, adopted=True)
            self.receipts.write(file.shelf_path, receipt)
        return True

    def publish(self, arrivals: Sequence[Arrival]) -> None:
        """Give verified partials their final names, durably, with their receipts, all in one go.

        A crash or a refusal half way leaves each of them either published or as it was, to be published again.

        Raises:
            ChecksumMismatch: a partial is not of its file's size.
            InsufficientStorage: the disk is full.
            StorageUnavailable: a folder stands in the way, a link leads out of the models folder, or the disk refuses.
        """
        Publisher(self.receipts).publish(arrivals)

    def publish_catalog(self, entry: CatalogEntry) -> None:
        """Write a catalog model's two texts to `<lmstudio home>/hub/models/<owner>/<name>/`.

        Raises:
            StorageFailure: as for `publish`.
        """
        with storage_errors(f"writing the catalog entry {entry.id}", self._catalog_dir, entry.size):
            self._catalog_dir.mkdir(parents=True, exist_ok=True)
            folder = folder_below(self._catalog_dir, entry.id)
            # model.yaml last: LM Studio looks for that one, so a folder that has it has both.
            atomic.write(folder / "manifest.json", entry.manifest_json)
            atomic.write(folder / "model.yaml", entry.model_yaml)

    def finish(self, manifest: Manifest, overrides: Mapping[str, Any] | None = None) -> None:
        """Keep the model's receipt: all files of the manifest are published, and together they are one model.

        When it first was, stays: by that, models of one repository have their keys, and who asks for one again does not
        mean to rename the others.

        Args:
            manifest: of which nothing is missing.
            overrides: the catalog's `metadataOverrides`, kept here because reading YAML for each row of a list is slow.

        Raises:
            StorageFailure: the receipt cannot be written.
        """
        with storage_errors(f"keeping the receipt of {manifest.id}", self.models_dir):
            before = self.receipts.model_of(manifest)
            finished_at = (before and before.finished_at) or words.timestamp(self._clock())
            self.receipts.write_model(ModelReceipt(manifest, finished_at, dict(overrides or {})))

    def models(self) -> list[Model]:
        """All models that stand here whole, in order of key; what cannot be read is passed over, never raised."""
        return list(self._inventory.take()[0])

    def receipts_of(self, model: Model) -> list[ModelReceipt]:
        """The model's own receipts: one that Windlass brought has one, or one by each name that it was asked for by."""
        weights = _weights(model.files)
        return [receipt for receipt in self.receipts.models() if weights and weights == _weights_of(receipt)]

    def oddities(self) -> list[Oddity]:
        """What stands among the models and is none, with the reason: damaged, incomplete, misplaced."""
        return list(self._inventory.take()[1])

    def broken(self) -> list[Model]:
        """Models that Windlass brought and of which only a part stands here as it should, in order of key."""
        whole = {frozenset(_weights(model.files)) for model in self.models()}
        receipts = [one for one in self.receipts.models() if frozenset(_weights_of(one)) not in whole]
        found = {}
        for receipt in receipts:
            files = tuple(ShelfFile(file.shelf_path, file.size, file.role, False) for file in receipt.manifest.files)
            if any(os.path.lexists(self.models_dir / file.path) for file in files):
                found[receipt.manifest.key] = describe(found_of(receipt, files, self.models_dir), None)
        return with_keys(found.values())

    def find(self, name: str, quantization: str | None = None) -> Model:
        """The one model that a person means, by key, id or `owner/repo`; raises as `keys.find` does."""
        return find(self.models(), name, quantization)


def not_whole(model: Model) -> ModelNotFound:
    """What to say of a model of which only a part is left, as `broken` has it: which of its files, and how."""
    wrong = [f"{file.path} {said}" for file in model.files if (said := _wrong(model, file))]
    said = "; ".join(wrong) or "its weights are damaged"
    return ModelNotFound(
        f"{model.key} is on this disk, but not whole: {said}.",
        hint=f"Fetch what it lacks: windlass verify {model.key} --repair",
    )


def _wrong(model: Model, file: ShelfFile) -> str | None:
    place = model.found.models_dir / file.path
    if not place.is_file():
        return "is missing"
    size = place.stat().st_size
    return None if size == file.size else f"has {size:,} of {file.size:,} bytes"
