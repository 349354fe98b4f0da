"""Files that somebody imports are told by their hashes from a listing: as one set, in the place that it has."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from library.shelving import file_of
from windlass.errors import StorageUnavailable
from windlass.library import importing
from windlass.library.digests import digest_file
from windlass.library.importing import Importing
from windlass.library.imports import Import, Way
from windlass.library.recognition import recognize
from windlass.library.shelf import Shelf, State
from windlass.manifest import Digest, ManifestFile

REPO = "owner/M-GGUF"
SHARDS = tuple(file_of(b"shard %d" % n, path=f"M-0000{n}-of-00002.gguf") for n in (1, 2))
SMALL = ManifestFile(REPO, "c" * 40, "a/config.json", 2, Digest("git-sha1", "9e26dfeeb6e641a33dae4961196235bdb965b21b"))
LISTING = (*SHARDS, SMALL)


def put(folder: Path, **files: bytes) -> list[Import]:
    """Files to be imported, each by a name in the repository as it was typed."""
    imports = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        imports.append(Import(folder / name, f"owner/m-gguf/{name}"))
    return imports


def listed(repo: str) -> Sequence[ManifestFile]:
    assert repo == "owner/m-gguf"
    return LISTING


def test_all_that_are_known_go_where_the_listing_has_them(tmp_path: Path) -> None:
    """Whatever they are called here, and by either kind of hash."""
    found = recognize(put(tmp_path, x=b"shard 2", y=b"shard 1", z=b"{}"), listed)
    assert [one.shelf_path for one in found] == [SHARDS[1].shelf_path, SHARDS[0].shelf_path, SMALL.shelf_path]
    assert [one.known.file if one.known else None for one in found] == [SHARDS[1], SHARDS[0], SMALL]


def test_a_set_is_not_parted(tmp_path: Path) -> None:
    """With one that the listing does not have, all keep their names, below the repository as the hub spells it."""
    imports = put(tmp_path, **{"x": b"shard 2", SHARDS[0].path: b"shard 1", "y": b"other 2"})
    found = recognize(imports, listed)
    assert [one.shelf_path for one in found] == [f"{REPO}/x", SHARDS[0].shelf_path, f"{REPO}/y"]
    assert [one.known and one.known.file for one in found] == [None, SHARDS[0], None]


def test_without_a_listing_nothing_is_hashed(tmp_path: Path) -> None:
    """Nor where no file of the listing has its size; and nobody is asked about what is nobody's."""
    told: list[str] = []

    def tell(path: str, size: int, done: int) -> None:
        told.append(path)

    imports = put(tmp_path, x=b"shard 2")
    assert recognize(imports, lambda repo: (), tell) == imports
    assert recognize(put(tmp_path, long=b"longer than any"), listed, tell)[0].known is None
    nobody = [Import(tmp_path / "x", "imported-models/x/x.gguf")]
    assert recognize(nobody, lambda repo: pytest.fail("asked"), tell) == nobody
    assert told == []


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """As any trouble with a disk."""
    with pytest.raises(StorageUnavailable):
        recognize([Import(tmp_path / "gone", "owner/m-gguf/x")], listed)


@pytest.mark.parametrize("way", ["move", "copy", "hardlink", "symlink"])
def test_what_is_known_is_written_down(shelf: Shelf, tmp_path: Path, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit, path and digest; a file that only got another name is not hashed once more, a copy is."""
    (one,) = recognize(put(tmp_path, x=b"shard 2"), listed)
    hashed: list[Path] = []

    def digest(path: Path, *rest: object, **more: object) -> object:
        hashed.append(path)
        return digest_file(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(importing, "digest_file", digest)
    assert Importing(shelf.receipts, lambda: 0.0).bring_in(one, way)
    receipt = shelf.receipts.read(SHARDS[1].shelf_path)
    assert receipt
    assert (receipt.commit, receipt.digest, receipt.adopted) == (SHARDS[1].commit, SHARDS[1].digest, True)
    assert shelf.state_of(SHARDS[1]) is State.PRESENT
    assert len(hashed) == (way == "copy")


@pytest.mark.parametrize("way", ["move", "copy"])
def test_what_has_changed_since_is_known_no_more(shelf: Shelf, tmp_path: Path, way: Way) -> None:
    """It is what it hashes to now."""
    (one,) = recognize(put(tmp_path, x=b"shard 2"), listed)
    (tmp_path / "x").write_bytes(b"another")
    Importing(shelf.receipts, lambda: 0.0).bring_in(one, way)
    receipt = shelf.receipts.read(SHARDS[1].shelf_path)
    assert receipt
    assert (receipt.commit, receipt.digest.hex) == ("", hashlib.sha256(b"another").hexdigest())
