"""The shelf: how files stand, how they get their names, and what is adopted."""

import hashlib
import os
from pathlib import Path

import pytest
import xxhash

from library.shelving import Put, arrival, bring, file_of, manifest_of
from windlass.errors import ChecksumMismatch, Stopped, StorageUnavailable
from windlass.library.arrivals import Arrival
from windlass.library.digests import digest_file
from windlass.library.receipts import CHUNK_SIZE, Receipt
from windlass.library.shelf import Shelf, State, judge
from windlass.manifest import CatalogEntry, Digest, ManifestFile

FILE = file_of(b"abc")
SAME = Receipt.of(FILE, source="", verified_at="")
OTHER = Receipt.of(file_of(b"xyz"), source="", verified_at="")
GIT = Receipt(Digest("git-sha1", "f" * 40), 3, 0, "", "", "", "", "")


@pytest.mark.parametrize(
    ("size", "mtime_ns", "receipt", "state"),
    [
        (None, 0, None, State.ABSENT),
        (None, 0, SAME, State.ABSENT),
        (4, 0, SAME, State.OTHER),
        (-1, 0, None, State.OTHER),
        (3, 0, None, State.UNVERIFIED),
        (3, 1, SAME, State.UNVERIFIED),
        (3, 0, GIT, State.UNVERIFIED),
        (3, 0, SAME, State.PRESENT),
        (3, 0, OTHER, State.OTHER),
        (3, 1, OTHER, State.UNVERIFIED),
    ],
)
def test_judge(size: int | None, mtime_ns: int, receipt: Receipt | None, state: State) -> None:
    """A file is present only if a receipt of its digest agrees; of the right size it may be adopted."""
    assert judge(FILE, size, mtime_ns, receipt) is state


def test_publish(shelf: Shelf) -> None:
    """A published file stands under its name with its receipt, in folders made for it, and nothing else is left."""
    file = file_of(b"abc", "sub/Folder/M.gguf")
    receipt = bring(shelf, file, b"abc")
    place = shelf.models_dir / "owner/M-GGUF/sub/Folder/M.gguf"
    assert place == shelf.path_of(file)
    assert place.read_bytes() == b"abc"
    assert receipt == shelf.receipts.read(file.shelf_path)
    assert receipt.mtime_ns == place.stat().st_mtime_ns
    assert receipt.mtime_ns % 2_000_000_000 == 0  # FAT keeps no finer time
    assert shelf.state_of(file) is State.PRESENT
    assert [p.name for p in shelf.private_dir.rglob("*") if p.is_file()] == ["M.gguf.json"]


def test_publish_replaces_what_was_there(shelf: Shelf, put: Put, tmp_path: Path) -> None:
    """Another file under the name goes; of a link only the link, never what it points at."""
    (tmp_path / "elsewhere").write_bytes(b"keep me")
    put(FILE.shelf_path).unlink()
    shelf.path_of(FILE).symlink_to(tmp_path / "elsewhere")
    assert shelf.state_of(FILE) is State.OTHER
    bring(shelf, FILE, b"abc")
    assert shelf.state_of(FILE) is State.PRESENT
    assert (tmp_path / "elsewhere").read_bytes() == b"keep me"


def test_publish_through_a_linked_models_folder(shelf: Shelf, tmp_path: Path) -> None:
    """The models folder itself may be a link."""
    (tmp_path / "link").symlink_to(shelf.models_dir)
    linked = Shelf(tmp_path / "link", tmp_path)
    bring(linked, FILE, b"abc")
    assert shelf.state_of(FILE) is State.PRESENT


def test_publish_never_leaves_the_models_folder(shelf: Shelf, tmp_path: Path) -> None:
    """A link to elsewhere in the place of an owner or a repository is refused, and nothing is written there."""
    (tmp_path / "elsewhere").mkdir()
    (shelf.models_dir / "owner").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable, match="outside"):
        bring(shelf, FILE, b"abc")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(list((shelf.private_dir / "partial").iterdir())) == 1


@pytest.mark.parametrize("repo", [".windlass/receipts", ".windlass/models"])
def test_publish_never_touches_windlass_own_files(shelf: Shelf, repo: str) -> None:
    """No repository can be called so that its files are taken for receipts."""
    with pytest.raises(StorageUnavailable, match="its own files"):
        bring(shelf, file_of(b"abc", repo=repo), b"abc")


def test_publish_with_a_folder_in_the_way(shelf: Shelf) -> None:
    """A folder under the file's name is refused in words, and kept."""
    shelf.path_of(FILE).mkdir(parents=True)
    assert shelf.state_of(FILE) is State.OTHER
    with pytest.raises(StorageUnavailable, match="A folder stands where"):
        bring(shelf, FILE, b"abc")


def test_publish_with_a_file_in_the_way(shelf: Shelf, put: Put) -> None:
    """A file in the place of a folder is refused in words, and kept."""
    put("owner")
    with pytest.raises(StorageUnavailable, match="while putting"):
        bring(shelf, FILE, b"abc")


def test_a_publish_that_fails_leaves_the_partial_as_it_was(shelf: Shelf) -> None:
    """Whoever fetched the partial knows it again by its size and time: nothing need be fetched twice."""
    (shelf.private_dir / "receipts/owner").mkdir(parents=True)
    (shelf.private_dir / "receipts/owner/M-GGUF").write_bytes(b"in the way")
    whole = arrival(shelf, FILE, b"abc")
    before = whole.partial.stat()
    with pytest.raises(StorageUnavailable):
        shelf.publish([whole])
    after = whole.partial.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert shelf.state_of(FILE) is State.ABSENT


def test_publish_refuses_a_partial_of_another_size(shelf: Shelf) -> None:
    """A partial that is not as long as the manifest says is never given the name."""
    with pytest.raises(ChecksumMismatch):
        bring(shelf, FILE, b"abcd")
    assert shelf.state_of(FILE) is State.ABSENT


def test_publish_without_a_models_folder(shelf: Shelf, tmp_path: Path) -> None:
    """A models folder that went away is not made anew: its disk may not be mounted."""
    partial = tmp_path / "partial"
    partial.write_bytes(b"abc")
    shelf.models_dir.rmdir()
    with pytest.raises(StorageUnavailable, match="No such file"):
        shelf.publish([Arrival(partial, FILE, SAME)])
    assert not shelf.models_dir.exists()


def test_a_changed_file_is_no_longer_verified(shelf: Shelf) -> None:
    """A receipt is worth nothing once the file's time has changed, until it is adopted again."""
    bring(shelf, FILE, b"abc")
    os.utime(shelf.path_of(FILE), ns=(1, 1))
    assert shelf.state_of(FILE) is State.UNVERIFIED
    assert shelf.adopt(FILE)
    assert shelf.state_of(FILE) is State.PRESENT


def test_adopt_what_is_right(shelf: Shelf, put: Put) -> None:
    """A file of the right content is given a receipt where it stands, with chunk digests and without a source."""
    put(FILE.shelf_path, b"abc")
    assert shelf.missing(manifest_of(FILE)) == (FILE,)
    assert shelf.adopt(FILE)
    assert shelf.missing(manifest_of(FILE)) == ()
    receipt = shelf.receipts.read(FILE.shelf_path)
    assert receipt is not None
    assert (receipt.adopted, receipt.source, receipt.verified_at) == (True, "", "2025-10-09T08:53:20.125Z")
    assert receipt.chunks == (xxhash.xxh3_64_hexdigest(b"abc"),)
    assert shelf.adopt(FILE)


def test_adopt_by_gits_hash(shelf: Shelf, put: Put) -> None:
    """Small files have only git's blob hash, which counts the size in."""
    put("o/r/config.json", b"{}")
    digest = Digest("git-sha1", "9e26dfeeb6e641a33dae4961196235bdb965b21b")  # git hash-object of {}
    assert shelf.adopt(ManifestFile("o/r", "c" * 40, "config.json", 2, digest))


@pytest.mark.parametrize("content", [None, b"xyz", b"abcd", b""])
def test_adopt_refuses_what_is_wrong(shelf: Shelf, put: Put, content: bytes | None) -> None:
    """What is missing, of another size or of other content is not adopted, and stays as it is."""
    if content is not None:
        put(FILE.shelf_path, content)
    assert not shelf.adopt(FILE)
    assert shelf.receipts.read(FILE.shelf_path) is None
    assert content is None or shelf.path_of(FILE).read_bytes() == content


def test_adopt_notices_a_change_meanwhile(shelf: Shelf, put: Put) -> None:
    """A file that is written while it is hashed is not adopted, though the bytes read were right."""
    path = put(FILE.shelf_path, b"abc")
    assert not shelf.adopt(FILE, on_progress=lambda done: os.utime(path, ns=(1, 1)))


def test_adopt_can_be_stopped_and_followed(shelf: Shelf, put: Put) -> None:
    """Progress is told in bytes; a stop leaves no receipt."""
    put(FILE.shelf_path, b"abc")
    told: list[int] = []
    with pytest.raises(Stopped):
        shelf.adopt(FILE, should_stop=lambda: True)
    assert shelf.state_of(FILE) is State.UNVERIFIED
    assert shelf.adopt(FILE, on_progress=told.append)
    assert told == [3]


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1])
def test_digests_of_all_chunks(tmp_path: Path, size: int) -> None:
    """Each chunk of 16 MiB has its digest, the last one however short it is, an empty file none."""
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    (tmp_path / "x").write_bytes(content)
    digest, chunks = digest_file(tmp_path / "x", "sha256")
    assert digest.hex == hashlib.sha256(content).hexdigest()
    pieces = [content[start : start + CHUNK_SIZE] for start in range(0, size, CHUNK_SIZE)]
    assert chunks == tuple(map(xxhash.xxh3_64_hexdigest, pieces))


def test_publish_catalog(shelf: Shelf, tmp_path: Path) -> None:
    """Both texts are written where LM Studio looks for them, over older ones."""
    for text in ("old", "model: qwen/qwen3"):
        shelf.publish_catalog(CatalogEntry("qwen", "qwen3", text, '{"type":"model"}'))
    folder = tmp_path / "lmstudio/hub/models/qwen/qwen3"
    assert (folder / "model.yaml").read_text() == "model: qwen/qwen3"
    assert (folder / "manifest.json").read_text() == '{"type":"model"}'
    assert len(list(folder.iterdir())) == 2


def test_publish_catalog_never_leaves_its_folder(shelf: Shelf) -> None:
    """An entry whose name leads out is refused."""
    with pytest.raises(StorageUnavailable):
        shelf.publish_catalog(CatalogEntry("..", "x", "", ""))
