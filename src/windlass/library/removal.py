"""Taking a model off the shelf: what goes, what stays because another model needs it, and what room that makes.

Nothing outside the models folder is ever removed, whatever links stand there: of a file that is a link the link goes,
and a folder that leads elsewhere is refused.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from windlass.errors import StorageUnavailable
from windlass.library.disk import storage_errors, sync_folder
from windlass.library.facts import Model
from windlass.library.receipts import ModelReceipt, Receipts


@dataclass(frozen=True, slots=True)
class Removal:
    """What removing a model does.

    Attributes:
        removed: shelf paths that go.
        shared: shelf paths of it that other models need, which stay.
        freed: bytes of the disk that come free: none for a link, nor for a file that has another name elsewhere.
    """

    removed: tuple[str, ...]
    shared: tuple[str, ...]
    freed: int


def plan_removal(model: Model, others: Iterable[Model]) -> Removal:
    """What would go, and what would stay. Raises StorageFailure."""
    return removal_of([file.path for file in model.files], others, model.found.models_dir)


def removal_of(paths: Sequence[str], others: Iterable[Model], models_dir: Path) -> Removal:
    """As `plan_removal`, for files by their shelf paths. Raises StorageFailure."""
    needed = {file.path for other in others for file in other.files}
    removed = tuple(path for path in paths if path not in needed)
    with storage_errors("looking at what is to be removed", models_dir):
        freed = sum(_frees(models_dir / path) for path in removed)
    return Removal(removed, tuple(path for path in paths if path in needed), freed)


def remove(removal: Removal, receipts: Receipts, of: Iterable[ModelReceipt]) -> None:
    """Do it. The weights go first: what is left after a crash is seen to be no model.

    Args:
        removal: what goes.
        receipts: of the models folder.
        of: the model's own receipts.

    Raises:
        StorageUnavailable: a folder leads out of the models folder, or the disk refuses.
    """
    root = receipts.models_dir
    with storage_errors("removing a model", root):
        places = {path: _inside(root, path) for path in removal.removed}  # before anything goes
        for path, place in places.items():
            place.unlink(missing_ok=True)
            receipts.forget(path)
        for folder in {place.parent for place in places.values()}:
            _tidy(folder, root)
        for receipt in of:
            receipts.forget_model(receipt.manifest)


def _frees(path: Path) -> int:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return 0 if path.is_symlink() or found.st_nlink > 1 else found.st_size


def _inside(root: Path, shelf_path: str) -> Path:
    """Where the file stands, which must be below the models folder without the help of a link."""
    real_root = Path(os.path.realpath(root, strict=True))
    place = real_root.joinpath(*PurePosixPath(shelf_path).parts)
    if Path(os.path.realpath(place.parent)) != place.parent or not place.is_relative_to(real_root):
        raise StorageUnavailable(
            f"{place.parent} leads to {os.path.realpath(place.parent)}, so nothing is removed there.",
            hint="Remove the model where it really stands, and the link with it.",
        )
    return place


def _tidy(folder: Path, root: Path) -> None:
    """Remove folders that are empty now, up to the models folder; make the rest durable."""
    real_root = Path(os.path.realpath(root))
    while folder != real_root:
        with suppress(OSError):
            sync_folder(folder)
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
