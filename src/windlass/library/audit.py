"""The receipts of a shelf held against what stands there, and dropped where they are of no use to anybody.

`look` notes what there is, the pure `audit` says what is wrong with it. Neither knows of jobs: what an open one wants
is handed in and looks fine, for the job will see to it.
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from windlass.findings import DROP, REMOVE, Finding, Kind
from windlass.library.disk import storage_errors
from windlass.library.known import Stamp
from windlass.library.receipts import ModelReceipt, Receipt, Receipts, Trouble, read_model, trouble_with
from windlass.library.shelf import Shelf, State, judge
from windlass.manifest import Manifest, ManifestFile
from windlass.quantization import label_of

SETTLED = 3600.0  # seconds without a change after which nobody is at work on a file that has no lock; writing takes few
_MOUNTED = "Is its disk plugged in and mounted? Then check again."
# What `atomic.write` leaves when it is killed, and other programs beside what they change.
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.part|.+~")


@dataclass(frozen=True, slots=True)
class Place:
    """What stands where a file should: the stamp of a file, None for none.

    `reachable` is False where a link on the way leads to nothing, or a folder may not be entered: there may be one.
    """

    stamp: Stamp | None
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class FileNote:
    """A file's receipt, or the trouble with it, and what stands in the file's place."""

    shelf_path: str
    receipt: Receipt | None
    trouble: Trouble | None
    place: Place


@dataclass(frozen=True, slots=True)
class ModelNote:
    """A model's receipt at `path`, or the trouble with it, and the files of it that are not as they should be.

    Attributes:
        lost: missing ones and such as are something else for certain; not those that are out of reach.
        gone: whether nothing of it stands here, and nothing of it is out of reach.
    """

    path: Path
    receipt: ModelReceipt | None
    trouble: Trouble | None
    lost: tuple[ManifestFile, ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Temporary:
    """A file that somebody meant to give another name: when it was changed last (Unix time), and its inode."""

    path: Path
    changed_at: float
    inode: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look at a shelf saw.

    Attributes:
        keys: of the models that are whole, by the shelf paths of their files.
        broken: the keys of those that are not, by the shelf paths of all their files.
    """

    receipts: Receipts
    files: tuple[FileNote, ...]
    models: tuple[ModelNote, ...]
    temporary: tuple[Temporary, ...]
    keys: Mapping[str, str]
    broken: Mapping[frozenset[str], str]


def look(shelf: Shelf) -> Sight:
    """Look at a shelf. Hashes nothing, and makes nothing but the cache that a list makes, too."""
    receipts = shelf.receipts
    files = [note for path in _shelf_paths(receipts) if (note := note_file(receipts, path))]
    by_path = {note.shelf_path: note for note in files}
    paths = sorted(receipts.models_folder.glob("*.json"))
    models = [model for path in paths if (model := _note_model(receipts, path, by_path))]
    return Sight(
        receipts,
        tuple(files),
        tuple(models),
        tuple(_temporary(shelf.private_dir)),
        {file.path: model.key for model in shelf.models() for file in model.files},
        {frozenset(file.path for file in model.files): model.key for model in shelf.broken()},
    )


def audit(sight: Sight, wanted: Collection[str] | None, begun: Collection[Path], now: float) -> Iterator[Finding]:
    """What is wrong with the receipts of a shelf, and with files for want of one.

    Args:
        sight: what was seen.
        wanted: shelf paths of the files that open jobs want; None where nobody knows, and then no file is said to be
            one that nobody will finish.
        begun: the models' receipts of which files have partials.
        now: Unix time.
    """
    theirs = frozenset(wanted or ())
    lost = {file.shelf_path for model in sight.models for file in model.lost}
    for model in sight.models:
        yield from _audit_model(model, sight, theirs, model.path in begun)
    for note in sight.files:
        if note.shelf_path not in theirs:
            yield from _audit_file(note, sight, note.shelf_path in lost)
    if wanted is not None:
        yield from _unfinished(sight, theirs)
    for temporary in sight.temporary:
        if temporary.changed_at < now - SETTLED:
            message = "a crash left this behind while a receipt was written"
            yield Finding(Kind.TEMPORARY_FILE, str(temporary.path), message, REMOVE, sight=temporary.inode)


def _audit_file(note: FileNote, sight: Sight, told: bool) -> Iterator[Finding]:
    """What is wrong with one receipt; `told` where the model says already that its file is not as it was."""
    path, where = sight.receipts.models_dir / note.shelf_path, str(sight.receipts.path(note.shelf_path))
    found = note.place.stamp
    if note.trouble:
        fix, hint = (DROP, "") if note.trouble.for_good else (None, "Look who may read it, or update Windlass.")
        yield Finding(Kind.RECEIPT_UNREADABLE, where, note.trouble.reason, fix, hint, sight=found)
    elif not note.place.reachable:
        yield Finding(Kind.FILE_OUT_OF_REACH, str(path), "a link on the way to it leads to nothing", hint=_MOUNTED)
    elif found is None:
        yield Finding(Kind.RECEIPT_WITHOUT_FILE, where, "the file of this receipt is gone", DROP)
    elif note.receipt and not note.receipt.agrees(*found) and not told:
        what = "size" if found.size != note.receipt.size else "time"
        message = f"it has changed since it was verified, by its {what}"
        yield Finding(Kind.FILE_CHANGED, str(path), message, hint=_looked_into(note, sight), sight=found)


def _looked_into(note: FileNote, sight: Sight) -> str:
    key = sight.keys.get(note.shelf_path)
    return f"windlass verify {key}" if key else f"It is of no model here; windlass get {_repo(note.shelf_path)}"


def _audit_model(note: ModelNote, sight: Sight, theirs: Collection[str], begun: bool) -> Iterator[Finding]:
    if note.receipt is None:
        yield from _audit_unreadable(note)
        return
    lost = _unwanted(note, theirs)
    manifest = note.receipt.manifest
    ask = f"windlass get {_ref(manifest)}"
    if not lost:
        return
    if note.gone and not begun:
        yield Finding(Kind.MODEL_GONE, str(note.path), f"nothing of {_ref(manifest)} stands here any more", DROP)
    elif note.gone:
        message = f"nothing of {_ref(manifest)} stands here but what a repair or a download has begun"
        yield Finding(Kind.MODEL_NOT_WHOLE, str(note.path), message, hint=ask)
    else:
        key = sight.broken.get(frozenset(file.shelf_path for file in manifest.files))
        hint = f"windlass verify {key} --repair, or windlass rm {key}" if key else ask
        message = f"{_ref(manifest)} is not whole: {_some(lost)} missing or changed"
        yield Finding(Kind.MODEL_NOT_WHOLE, str(sight.receipts.models_dir / manifest.files[0].repo), message, hint=hint)


def _unwanted(note: ModelNote, theirs: Collection[str]) -> list[str]:
    """The lost files that no open job will bring."""
    return [file.path for file in note.lost if file.shelf_path not in theirs]


def _audit_unreadable(note: ModelNote) -> Iterator[Finding]:
    if note.trouble:
        fix, hint = (DROP, "") if note.trouble.for_good else (None, "Look who may read it, or update Windlass.")
        yield Finding(Kind.MODEL_RECEIPT_UNREADABLE, str(note.path), note.trouble.reason, fix, hint)


def _unfinished(sight: Sight, theirs: Collection[str]) -> Iterator[Finding]:
    """Files that were fetched, and are of no finished model.

    They are never removed here: when a model's receipt is lost its files look the same, and are whole.
    """
    claimed = {file.shelf_path for note in sight.models if note.receipt for file in note.receipt.manifest.files}
    repos: dict[str, list[FileNote]] = defaultdict(list)
    for note in sight.files:
        if note.shelf_path not in claimed and note.shelf_path not in theirs and _is_fetched(note):
            repos[_repo(note.shelf_path)].append(note)
    for repo, notes in repos.items():
        labels = {label for note in notes if (label := label_of(note.shelf_path))}
        wish = f"{repo}@{labels.pop()}" if len(labels) == 1 else repo
        names = _some([note.shelf_path.removeprefix(f"{repo}/") for note in notes])
        message = f"files of a download that was never finished: {names}"
        hint = f"windlass get {wish} finishes it; else delete them"
        sizes = tuple(note.place.stamp for note in notes)
        yield Finding(Kind.FILES_UNFINISHED, str(sight.receipts.models_dir / repo), message, hint=hint, sight=sizes)


def _is_fetched(note: FileNote) -> bool:
    """Whether it is as it was fetched; what a person put in its place, or brought by another way, is theirs."""
    receipt, found = note.receipt, note.place.stamp
    return receipt is not None and not receipt.adopted and found is not None and receipt.agrees(*found)


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _ref(manifest: Manifest) -> str:
    return f"{manifest.id}@{manifest.quantization}" if manifest.quantization else manifest.id


def _repo(shelf_path: str) -> str:
    return "/".join(shelf_path.split("/")[:2])


# What is there


def note_file(receipts: Receipts, shelf_path: str) -> FileNote | None:
    """One file's receipt and what stands in the file's place; None where there is no receipt any more."""
    receipt = receipts.read(shelf_path)
    trouble = None if receipt else trouble_with(receipts.path(shelf_path))
    if receipt is None and trouble is None:
        return None
    return FileNote(shelf_path, receipt, trouble, _place(receipts.models_dir, shelf_path))


def _note_model(receipts: Receipts, path: Path, files: Mapping[str, FileNote]) -> ModelNote | None:
    receipt = read_model(path)
    if receipt is None:
        trouble = trouble_with(path)
        return ModelNote(path, None, trouble) if trouble else None
    wanted = receipt.manifest.files
    notes = {file: files.get(file.shelf_path) for file in wanted}
    places = {
        file: note.place if note else _place(receipts.models_dir, file.shelf_path) for file, note in notes.items()
    }
    lost = tuple(file for file in wanted if places[file].reachable and _is_lost(file, places[file], notes[file]))
    gone = all(place.reachable and place.stamp is None for place in places.values())
    return ModelNote(path, receipt, None, lost, gone)


def _is_lost(file: ManifestFile, place: Place, note: FileNote | None) -> bool:
    size, mtime_ns = place.stamp or (None, 0)
    return judge(file, size, mtime_ns, note.receipt if note else None) in {State.ABSENT, State.OTHER}


def _place(root: Path, shelf_path: str) -> Place:
    path = root / shelf_path
    try:
        found = path.stat()
    except OSError:
        return Place(None, reachable=not _is_cut_off(root, shelf_path))
    return Place(Stamp(found.st_size, found.st_mtime_ns) if path.is_file() else None)


def _is_cut_off(root: Path, shelf_path: str) -> bool:
    """Whether the way to a file ends at a link to nothing or at what may not be entered, and not where nothing is."""
    place = root
    for part in PurePosixPath(shelf_path).parts:
        place = place / part
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            return place.is_symlink()
        except OSError:
            return True
    return False


def _shelf_paths(receipts: Receipts) -> Iterator[str]:
    """The files that have receipts, in a fixed order."""
    for folder, folders, names in os.walk(receipts.files_folder):
        folders.sort()
        below = Path(folder).relative_to(receipts.files_folder)
        for name in sorted(names):
            if name.endswith(".json"):
                yield (below / name.removesuffix(".json")).as_posix()


def _temporary(private: Path) -> Iterator[Temporary]:
    """Those among receipts and beside them; the partials have a folder of their own, where other rules hold."""
    for folder, folders, names in os.walk(private):
        if Path(folder) == private:
            folders[:] = sorted({"receipts", "models"} & set(folders))
        for name in sorted(names):
            if _TEMPORARY.fullmatch(name):
                path = Path(folder) / name
                with suppress(OSError):  # it has its other name by now
                    found = path.lstat()
                    yield Temporary(path, found.st_ctime, found.st_ino)


# What is done


def drop_receipt(receipts: Receipts, shelf_path: str) -> bool:
    """Drop a file's receipt that is damaged, or whose file is gone; whether it was one still.

    Raises:
        StorageFailure: the disk refuses.
    """
    with storage_errors("dropping a receipt", receipts.models_dir):
        note = note_file(receipts, shelf_path)
        if note is None or not _is_useless(note):
            return False
        receipts.forget(shelf_path)
        found = _place(receipts.models_dir, shelf_path).stamp
        if found and note.receipt and note.receipt.agrees(*found):
            receipts.write(shelf_path, note.receipt)  # the file came in this moment: its receipt comes before it
            return False
    return True


def drop_model_receipt(receipts: Receipts, path: Path, wanted: Collection[str]) -> bool:
    """Drop a model's receipt that is damaged, or of which nothing stands here; whether it was one still.

    Args:
        receipts: those of the shelf.
        path: the model's.
        wanted: shelf paths of the files that open jobs want; of a model that is being brought in it is kept.

    Raises:
        StorageFailure: the disk refuses.
    """
    with storage_errors("dropping a model's receipt", receipts.models_dir):
        note = _note_model(receipts, path, {})
        damaged = note is not None and note.trouble is not None and note.trouble.for_good
        if not damaged and not (note and note.gone and _unwanted(note, wanted)):
            return False
        path.unlink(missing_ok=True)
    return True


def remove_temporary(path: Path) -> bool:
    """Remove what a crash left; whether there was something. Raises StorageFailure."""
    with storage_errors("removing what a crash left", path.parent):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
    return True


def _is_useless(note: FileNote) -> bool:
    if note.trouble:
        return note.trouble.for_good
    return note.place.reachable and note.place.stamp is None
