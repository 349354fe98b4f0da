"""Models go out of the house: copied into a folder that another machine imports without a network, or serves to others.

    stage      each file is copied beside its place, hidden, and hashed there
    sync       the contents
    rename     every file of the model to its final name
    note       the catalog's texts, `windlass-export.json`, `SHA256SUMS`

So no name ever stands for half a file or for a wrong one. A crash leaves a model out, or its files without a word about
them; the next export finds them and notes them.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from windlass import atomic
from windlass.errors import ChecksumMismatch, InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.library.cloning import clone
from windlass.library.digests import OnProgress, digest_file
from windlass.library.disk import folder_below, storage_error, sync_files, sync_folder
from windlass.library.exports import (
    NAME,
    SUMS,
    Export,
    Packed,
    Record,
    catalog_files,
    find_export,
    read_export,
    sums_of,
    write_export,
)
from windlass.library.facts import Model
from windlass.library.receipts import ModelReceipt
from windlass.library.shelf import Shelf, State
from windlass.library.staging import staging
from windlass.manifest import Digest, Manifest, ManifestFile

OnFile = Callable[[str, int, int], None]
"""Told a file's path, its size, and the bytes of it that are hashed so far, or copied (`told_of_copy`)."""

_STAGE = ".windlass-export"


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a model: its files by their paths, and the bytes that were copied for them."""

    key: str
    files: tuple[str, ...]
    copied: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file that is to go out, as its receipt has it; `digest` is None where nobody has hashed it yet."""

    shelf_path: str
    size: int
    digest: Digest | None
    commit: str
    source: str = ""


@dataclass(slots=True)
class _Load:
    """One model while it is made ready: what is known of its files, and those that have no name yet.

    Attributes:
        models_dir: where it stands.
        root: where it goes.
        stage: where copies wait.
        before: what is there already.
        keys: of the manifests that it goes out with.
    """

    model: Model
    models_dir: Path
    root: Path
    stage: Path
    before: Export
    keys: Sequence[str]
    records: dict[str, Record] = field(default_factory=dict)
    staged: dict[str, Path] = field(default_factory=dict)
    copied: int = 0

    def take(self, wanted: _Wanted, on_file: OnFile | None, *, hard_links: bool) -> None:
        """Have a file in its place already, or staged. Raises as `Exporting.add` does."""
        told = told_of(on_file, wanted.shelf_path, wanted.size)
        source, place = self.models_dir / wanted.shelf_path, self.root / wanted.shelf_path
        if _size_of(source) != wanted.size:
            raise self._damaged(wanted)
        digest = wanted.digest or digest_file(source, "sha256")[0]
        record = _hashed(place, wanted, digest, told)
        if record is None:
            self._refuse_to_replace(place, wanted, digest)
            ours = self.stage / str(len(self.staged))
            copied = told_of_copy(on_file, wanted.shelf_path, wanted.size)
            way = clone(source, ours, hard_links=hard_links, on_progress=copied)
            record = _hashed(ours, wanted, digest, told)
            if record is None:
                raise self._wrong(source, wanted, digest)
            self.staged[wanted.shelf_path] = ours
            self.copied += wanted.size if way == "copy" else 0
        self.records[wanted.shelf_path] = record

    def _refuse_to_replace(self, place: Path, wanted: _Wanted, digest: Digest) -> None:
        """What stands there and is another is left, but for a version that no other model there needs."""
        if not os.path.lexists(place):
            return
        record = self.before.files.get(wanted.shelf_path)
        if record is None:
            raise StorageUnavailable(
                f"Something else stands at {place}.", hint="Move it away, or export to another folder."
            )
        if record.digest != digest and self.before.needs(wanted.shelf_path, self.keys):
            raise InvalidRequest(
                f"{self.root} holds another version of {wanted.shelf_path}, which another model there needs.",
                hint="Export to another folder.",
            )

    def _wrong(self, source: Path, wanted: _Wanted, digest: Digest) -> Exception:
        """Whose fault it is that a copy is wrong: the file's, or that of the disk that it was copied to."""
        if digest_file(source, digest.algorithm)[0] != digest:
            return self._damaged(wanted)
        return StorageUnavailable(
            f"{self.root} does not give back what was written of {wanted.shelf_path}.", hint="Check its disk."
        )

    def _damaged(self, wanted: _Wanted) -> ChecksumMismatch:
        key = self.model.key
        return ChecksumMismatch(
            f"{wanted.shelf_path} is not what its receipt says, so {key} was not exported.",
            hint=f"See what is wrong, and mend it: windlass verify {key} --repair",
        )


@dataclass(frozen=True, slots=True)
class Exporting:
    """Exports models of one shelf into one folder.

    Attributes:
        shelf: where they stand; nothing is written there.
        root: the folder; it may hold an export already, which is added to.
        hard_links: whether a file may get a second name there instead of a copy, where the disk is the same.
    """

    shelf: Shelf
    root: Path
    hard_links: bool = False

    def begin(self, models: Sequence[Model]) -> None:
        """Have the folder, if these models fit. Its parent must be there: one that is not is a disk that is missing.

        Raises:
            InvalidRequest: it lies in the models folder, or holds an export that cannot be read.
            InsufficientStorage: there is no room for all of them; nothing was written.
            StorageUnavailable: it cannot be made.
        """
        ours = os.path.realpath(self.shelf.models_dir)
        if Path(os.path.realpath(self.root)).is_relative_to(ours):
            raise InvalidRequest(
                f"{self.root} lies in the models folder.", hint="Say another folder: --to /media/stick/models"
            )
        with _disk_errors(f"making {self.root}", self.root):
            find_export(self.root)
            there = self.root if self.root.is_dir() else self.root.absolute().parent
            self._refuse_too_much(models, there)
            self.root.mkdir(exist_ok=True)

    def add(self, model: Model, on_file: OnFile | None = None) -> Exported:
        """Export a model, all of it or nothing.

        Raises:
            ChecksumMismatch: a file is not what its receipt says, or is gone.
            InvalidRequest: its names cannot be exported, or another model there needs another version of a file.
            InsufficientStorage: the disk is full.
            StorageUnavailable: something else stands there, another export is under way, or the disk refuses.
        """
        with _disk_errors(f"exporting {model.key}", self.root), staging(self.root, _STAGE) as stage:
            before = find_export(self.root) or Export()
            receipts = self._receipts(model)
            keys = [one.manifest.key for one in receipts] or [_manifest(model, {}).key]
            load = _Load(model, self.shelf.models_dir, self.root, stage, before, keys)
            for wanted in self._wanted(model, receipts):
                load.take(wanted, on_file, hard_links=self.hard_links)
            after = before.plus(_packed(model, receipts, load.records), load.records)
            text = write_export(after)
            read_export(text.encode())  # before anything has its name: what nobody could import is not exported
            self._put_in_place(load)
            self._note(after, text)
        return Exported(model.key, tuple(load.records), load.copied)

    def _refuse_too_much(self, models: Sequence[Model], there: Path) -> None:
        if self.hard_links and there.stat().st_dev == self.shelf.models_dir.stat().st_dev:
            return
        sizes = {file.path: file.size for model in models for file in model.files}
        needed = sum(size for path, size in sizes.items() if _size_of(self.root / path) != size)
        free = shutil.disk_usage(there).free
        if needed > free:
            raise InsufficientStorage(
                f"{needed:,} bytes are to be exported, and {free:,} are free at {there}.",
                needed=needed,
                free=free,
                hint="Free some space there, or export fewer models.",
            )

    def _receipts(self, model: Model) -> list[ModelReceipt]:
        """The receipts of all names that the model has, which agree with one another; none where nobody fetched it."""
        all_of_it = self.shelf.receipts_of(model)
        whole = [one for one in all_of_it if all(self._may_be(file) for file in one.manifest.files)]
        chosen: list[ModelReceipt] = []
        files: dict[str, ManifestFile] = {}
        # Where none is whole, the damage is to be found and told of, as that of the first.
        for one in whole or all_of_it[:1]:
            if all(files.get(file.shelf_path, file).digest == file.digest for file in one.manifest.files):
                chosen.append(one)
                files |= {file.shelf_path: file for file in one.manifest.files}
        return chosen

    def _may_be(self, file: ManifestFile) -> bool:
        return self.shelf.state_of(file) in {State.PRESENT, State.UNVERIFIED}

    def _wanted(self, model: Model, receipts: Sequence[ModelReceipt]) -> Iterator[_Wanted]:
        told = {file.shelf_path: file for one in receipts for file in one.manifest.files}
        for file in told.values():
            receipt = self.shelf.receipts.read(file.shelf_path)
            source = receipt.source if receipt else ""
            yield _Wanted(file.shelf_path, file.size, file.digest, file.commit, source)
        for found in () if told else model.files:
            receipt = self.shelf.receipts.read(found.path)
            if receipt:
                yield _Wanted(found.path, receipt.size, receipt.digest, receipt.commit, receipt.source)
            else:
                yield _Wanted(found.path, found.size, None, "")

    def _put_in_place(self, load: _Load) -> None:
        sync_files(list(load.staged.values()))
        folders = set()
        for shelf_path, staged in load.staged.items():
            parent, _, name = shelf_path.rpartition("/")
            folder = folder_below(self.root, parent)
            staged.replace(folder / name)
            folders.add(folder)
        for folder in folders:
            sync_folder(folder)

    def _note(self, export: Export, text: str) -> None:
        for one in export.models:
            for path, content in catalog_files(one.manifest.catalog).items() if one.manifest.catalog else ():
                parent, _, name = path.rpartition("/")
                atomic.write(folder_below(self.root, parent) / name, content)
        atomic.write(self.root / NAME, text)
        atomic.write(self.root / SUMS, sums_of(export, text))


def told_of(on_file: OnFile | None, path: str, size: int) -> OnProgress | None:
    """What is told of one file, how far its hashing is."""
    return partial(on_file, path, size) if on_file else None


def told_of_copy(on_file: OnFile | None, path: str, size: int) -> OnProgress | None:
    """What is told how far its copying is: by another name, for the hashing that follows begins at nought again."""
    return told_of(on_file, f"{path}, copied", size)


def _packed(model: Model, receipts: Sequence[ModelReceipt], records: Mapping[str, Record]) -> list[Packed]:
    if receipts:
        return [Packed(one.manifest, one.finished_at, one.overrides) for one in receipts]
    return [Packed(_manifest(model, records))]


def _manifest(model: Model, records: Mapping[str, Record]) -> Manifest:
    """What is known of a model that nobody fetched, by its files' records: its place on the shelf is its repository."""
    found = model.found
    known = [(file, records[file.path]) for file in model.files if file.path in records]
    files = [
        ManifestFile(found.repo, one.commit, file.path.removeprefix(f"{found.repo}/"), one.size, one.digest, file.role)
        for file, one in known
    ]
    return Manifest(
        id=found.repo,
        publisher=found.publisher,
        display_name=found.display_name,
        url="",
        format=found.format,
        quantization=model.quantization,
        files=tuple(files),
        subset=found.hand,  # two models of one repository and quantization are two all the same
    )


def _hashed(path: Path, wanted: _Wanted, digest: Digest, told: OnProgress | None) -> Record | None:
    """What is known of the file, None where it is not the one that is wanted."""
    if _size_of(path) != wanted.size:
        return None
    hashed, chunks = digest_file(path, digest.algorithm, on_progress=told)
    if hashed != digest:
        return None
    # Files with git's hash are small: to read one twice costs nothing.
    sha256 = hashed if hashed.algorithm == "sha256" else digest_file(path, "sha256")[0]
    return Record(wanted.size, digest, sha256.hex, wanted.commit, wanted.source, chunks)


def _size_of(path: Path) -> int | None:
    """Bytes of the file, None where there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


@contextmanager
def _disk_errors(doing: str, root: Path) -> Iterator[None]:
    """As `storage_errors`, whose hints are about the models folder; these are about a folder that a person named."""
    try:
        yield
    except OSError as error:
        found = storage_error(error, doing, root)
        if isinstance(found, InsufficientStorage):
            hint = "Free some space there, then export it again."
            raise InsufficientStorage(found.message, needed=found.needed, free=found.free, hint=hint) from error
        raise StorageUnavailable(found.message, hint=_hint(error, root)) from error


def _hint(error: OSError, root: Path) -> str:
    if error.errno == errno.EFBIG:
        return f"The file system at {root} takes no files that large; FAT32 ends at 4 GiB, exFAT does not."
    if error.errno == errno.ENOENT and not root.is_dir():
        return f"{root.absolute().parent} is not there: is its disk plugged in and mounted?"
    return f"Check who may write to {root}, and its disk."
