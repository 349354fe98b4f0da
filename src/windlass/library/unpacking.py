"""Models of an exported folder come in: hashed against what the folder says, and then as if they had been fetched.

A model whose files are not all right stays out, all of it. Neither the network nor the database is asked.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from windlass import words
from windlass.errors import ChecksumMismatch, InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.library.arrivals import Arrival
from windlass.library.checking import damage_of
from windlass.library.digests import OnProgress, digest_file
from windlass.library.disk import PRIVATE, storage_errors
from windlass.library.exporting import OnFile, told_of, told_of_copy
from windlass.library.exports import Export, Packed, Record
from windlass.library.importing import give_name
from windlass.library.imports import Way
from windlass.library.receipts import Receipt
from windlass.library.shelf import Shelf, State
from windlass.library.staging import staging
from windlass.manifest import ManifestFile

Sources = Mapping[str, Path]
"""The files of an exported folder by their paths on the shelf."""

_STAGE = f"{PRIVATE}/incoming"


def sources_of(root: Path, export: Export) -> dict[str, Path]:
    """The files that really are in the folder.

    Raises:
        InvalidRequest: a link leads out of the folder, or what stands there is no file.
    """
    real_root = Path(os.path.realpath(root))
    found = {}
    for shelf_path in export.files:
        path = root / shelf_path
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(real_root):
            raise InvalidRequest(f"{path} leads to {real}, outside {root}.", hint="Nothing was imported.")
        try:
            mode = real.stat().st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):  # a pipe would have no end
            raise InvalidRequest(f"{path} is no file.", hint="Nothing was imported.")
        found[shelf_path] = path
    return found


@dataclass(frozen=True, slots=True)
class Unpacking:
    """Brings models in, onto one shelf.

    Attributes:
        shelf: where they go.
        room: asked how many bytes may be used there.
        clock: Unix time, for the receipts.
    """

    shelf: Shelf
    room: Callable[[], int]
    clock: Callable[[], float]

    def refuse_too_much(self, export: Export, sources: Sources, way: Way) -> None:
        """Refuse what does not fit, before a byte is written. Raises InsufficientStorage, StorageUnavailable."""
        root = self.shelf.models_dir
        with storage_errors("looking for room for the import", root):
            missing = {path: source for path, source in sources.items() if not (root / path).exists()}
            needed = sum(export.files[path].size for path, source in missing.items() if self._costs(source, way))
            room = self.room()
        if needed > room:
            raise InsufficientStorage(
                f"The import needs {needed:,} bytes, and {room:,} may be used on {root}.",
                needed=needed,
                free=room,
                hint="Free some space, or set WINDLASS_MODELS_DIR to a larger disk; links need none (--symlink).",
            )

    def bring_in(
        self, packed: Packed, export: Export, sources: Sources, way: Way, on_file: OnFile | None = None
    ) -> dict[str, bool]:
        """Have a model stand in its place, with the receipts that it had; of each file, whether it was not there yet.

        A moved file is at every moment either where it was or in its place. Of a linked one nothing is written but the
        link.

        Raises:
            ChecksumMismatch: a file is not what the folder says; nothing of the model came in.
            StorageUnavailable: a file is missing, something else stands in its place, or the disk refuses.
            InsufficientStorage: the disk is full.
        """
        manifest, root = packed.manifest, self.shelf.models_dir
        with storage_errors(f"importing {manifest.id}", root), staging(root, _STAGE) as stage:
            missing = [file for file in manifest.files if not self._is_here(file, on_file)]
            arrivals: list[Arrival] = []
            for file in missing:
                if file.shelf_path not in sources:
                    raise StorageUnavailable(f"The export has no {file.shelf_path}.", hint="Export the model again.")
                record, source = export.files[file.shelf_path], sources[file.shelf_path]
                copied = told_of_copy(on_file, file.shelf_path, file.size)
                ours = self._staged(source, stage / str(len(arrivals)), way, record, copied)
                told = told_of(on_file, file.shelf_path, file.size)
                digest, chunks = digest_file(ours, file.digest.algorithm, on_progress=told)
                if digest != file.digest:
                    raise _wrong(source, record, chunks)
                arrivals.append(Arrival(ours, file, self._receipt(file, record, packed, chunks)))
            self.shelf.publish(arrivals)
            self._note(packed, brought=bool(missing))
            if way == "move":
                for file in missing:
                    sources[file.shelf_path].unlink(missing_ok=True)
        return {file.shelf_path: file in missing for file in manifest.files}

    def _is_here(self, file: ManifestFile, on_file: OnFile | None) -> bool:
        told = told_of(on_file, file.shelf_path, file.size)
        state = self.shelf.state_of(file)
        if state is State.ABSENT:
            return False
        if state is State.PRESENT or self.shelf.adopt(file, on_progress=told):
            return True
        raise StorageUnavailable(
            f"Something else stands at {self.shelf.path_of(file)}.", hint="Move it away, then import again."
        )

    def _staged(self, source: Path, ours: Path, way: Way, record: Record, copied: OnProgress | None) -> Path:
        """The file under a name from which one rename brings it to its place: where it is, or beside the others."""
        if source.stat().st_size != record.size:
            raise _wrong(source, record, ())
        if way == "move" and not self._costs(source, way):
            return source
        give_name(source, ours, way, copied)
        return ours

    def _costs(self, source: Path, way: Way) -> bool:
        """Whether the file takes up room once more."""
        if way == "move":
            return source.is_symlink() or source.stat().st_dev != _disk_of(self.shelf.models_dir)
        return way == "copy"

    def _receipt(self, file: ManifestFile, record: Record, packed: Packed, chunks: tuple[str, ...]) -> Receipt:
        receipt = Receipt.of(file, source=record.source, verified_at=words.timestamp(self.clock()), chunks=chunks)
        # Where it had no model's receipt it has none here, and counts as put there by a person.
        return receipt if packed.finished_at else replace(receipt, adopted=True)

    def _note(self, packed: Packed, *, brought: bool) -> None:
        """The model's receipt and its catalog entry. Where all was here and has a receipt, that one is the newer."""
        manifest = packed.manifest
        known = {receipt.manifest.key for receipt in self.shelf.receipts.models()}
        if packed.finished_at and (brought or manifest.key not in known):
            if manifest.catalog:
                self.shelf.publish_catalog(manifest.catalog)
            self.shelf.finish(manifest, packed.overrides)


def _disk_of(path: Path) -> int:
    """The disk where the folder stands, or would."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def _wrong(source: Path, record: Record, chunks: tuple[str, ...]) -> ChecksumMismatch:
    damage = damage_of(record.size, record.chunks, chunks) if chunks else ()
    where = f" (chunks {', '.join(map(str, damage[:10]))} of 16 MiB)" if damage else ""
    return ChecksumMismatch(
        f"{source} is not what the export says{where}, so nothing of its model was imported.",
        hint="Copy or export it again; `sha256sum -c SHA256SUMS` in the folder shows what else is damaged.",
    )
