"""Which files of a listing the files are that somebody imports: told by their hashes, and only then by their names."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from windlass.library.digests import digest_file
from windlass.library.disk import storage_errors
from windlass.library.exporting import OnFile, told_of
from windlass.library.imports import NOBODY, Import, Recognized, state_of
from windlass.manifest import Algorithm, Digest, ManifestFile

Listed = Callable[[str], Sequence[ManifestFile]]
"""The files of a repository as a hub lists them, none where it does not tell."""


def recognize(imports: Sequence[Import], listed: Listed, on_file: OnFile | None = None) -> list[Import]:
    """The imports of one repository, those that its listing has with what it knows of them, and in the place it says.

    A file may go by another name here. All go where the listing has them, or all keep the names they have: of shards
    that part nobody makes a model again. A hub is asked only where somebody has said which repository is meant.

    Args:
        imports: as `plan_import` has them.
        listed: asked once.
        on_file: told how far the hashing is.

    Raises:
        StorageUnavailable: a file cannot be read.
    """
    owner, name, _ = imports[0].shelf_path.split("/", 2)
    files = listed(f"{owner}/{name}") if owner != NOBODY else ()
    if not files:
        return list(imports)
    known = [replace(one, known=_recognized(one, files, on_file)) for one in imports]
    if all(one.known for one in known):
        return [replace(one, shelf_path=one.known.file.shelf_path) for one in known if one.known]
    # The repository as the hub spells it: `get` will look there.
    placed = [replace(one, shelf_path=f"{files[0].repo}/{_path(one)}") for one in known]
    return [one if one.known and one.known.file.path == _path(one) else replace(one, known=None) for one in placed]


def _recognized(one: Import, files: Sequence[ManifestFile], on_file: OnFile | None) -> Recognized | None:
    """The file of the listing that this one is. Hashed only where the listing has one of its size."""
    with storage_errors(f"reading {one.source}", one.source.parent):
        state = state_of(one.source)
        alike = [file for file in files if file.size == one.source.stat().st_size]
        found: dict[Algorithm, tuple[Digest, tuple[str, ...]]] = {}
        for file in sorted(alike, key=lambda file: file.path != _path(one)):
            algorithm = file.digest.algorithm
            if algorithm not in found:
                told = told_of(on_file, one.source.name, file.size)
                found[algorithm] = digest_file(one.source, algorithm, on_progress=told)
            digest, chunks = found[algorithm]
            if digest == file.digest and state_of(one.source) == state:
                return Recognized(file, chunks, state)
    return None


def _path(one: Import) -> str:
    """In the repository."""
    return one.shelf_path.split("/", 2)[2]
