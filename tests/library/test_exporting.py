"""Models go out: whole and right under their names, or not at all, and what stands in the folder already is kept."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from library.shelving import Put, WriteGguf, bring, file_of, manifest_of
from windlass.errors import ChecksumMismatch, InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.library import cloning, exporting
from windlass.library.exporting import Exported, Exporting
from windlass.library.exports import find_export
from windlass.library.facts import Model
from windlass.library.shelf import Shelf
from windlass.library.staging import staging
from windlass.manifest import CatalogEntry, Manifest, ManifestFile

Add = Callable[..., Model]


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    return tmp_path / "stick"


@pytest.fixture
def add(shelf: Shelf, gguf_bytes: WriteGguf) -> Add:
    """Have a model on the shelf as a pull brings it."""

    def add(name: str = "M-Q4_K_M.gguf", seed: int = 5, **more: object) -> Model:
        content = gguf_bytes(tokens=seed)
        file = file_of(content, path=name)
        bring(shelf, file, content)
        shelf.finish(manifest_of(file, **more))
        return shelf.find(file.shelf_path)

    return add


def export(shelf: Shelf, root: Path, model: Model) -> Exported:
    out = Exporting(shelf, root)
    out.begin([model])
    return out.add(model)


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def sums_hold(root: Path) -> bool:
    lines = [line.split("  ") for line in (root / "SHA256SUMS").read_text().splitlines()]
    return all(hashlib.sha256((root / path).read_bytes()).hexdigest() == digest for digest, path in lines)


def test_all_names_of_a_model_go_out(shelf: Shelf, stick: Path, add: Add) -> None:
    """The catalog's and the repository's, with the catalog's texts; the file once."""
    model = add()
    entry = CatalogEntry("owner", "m", "model: owner/m\n", "{}")
    shelf.finish(manifest_of(*manifest(shelf).files, id="owner/m", catalog=entry), {"domain": "llm"})
    exported = export(shelf, stick, shelf.find("owner/m"))
    found = find_export(stick)
    assert found
    assert {one.manifest.id for one in found.models} == {"owner/m", "owner/M-GGUF"}
    assert {tuple(one.overrides.items()) for one in found.models} == {(("domain", "llm"),), ()}
    assert exported.files == (model.files[0].path,)
    assert names(stick) == {
        model.files[0].path,
        "catalog/owner/m/model.yaml",
        "catalog/owner/m/manifest.json",
        "windlass-export.json",
        "SHA256SUMS",
    }
    assert sums_hold(stick)


def manifest(shelf: Shelf) -> Manifest:
    return shelf.receipts.models()[0].manifest


def test_a_newer_version_takes_the_place_of_the_older(shelf: Shelf, stick: Path, add: Add) -> None:
    """Of the same model."""
    export(shelf, stick, add(seed=5))
    before = (stick / "owner/M-GGUF/M-Q4_K_M.gguf").read_bytes()
    export(shelf, stick, add(seed=6))
    assert (stick / "owner/M-GGUF/M-Q4_K_M.gguf").read_bytes() != before
    assert sums_hold(stick)
    found = find_export(stick)
    assert found
    assert len(found.models) == 1


def test_a_version_that_another_model_needs_is_left(shelf: Shelf, stick: Path, add: Add) -> None:
    """It may be the only copy."""
    export(shelf, stick, add(seed=5, quantization="Q8_0"))
    shelf.receipts.forget_model(manifest(shelf))
    before = names(stick), (stick / "owner/M-GGUF/M-Q4_K_M.gguf").read_bytes()
    with pytest.raises(InvalidRequest, match="another version"):
        export(shelf, stick, add(seed=6))
    assert (names(stick), (stick / "owner/M-GGUF/M-Q4_K_M.gguf").read_bytes()) == before


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_not_of_an_export_is_left(shelf: Shelf, stick: Path, add: Add, kind: str) -> None:
    """A file, a folder or a link of somebody's in the place; nothing is written."""
    place = stick / "owner/M-GGUF/M-Q4_K_M.gguf"
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.write_bytes(b"mine")
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(stick / "nothing")
    with pytest.raises(StorageUnavailable, match="Something else"):
        export(shelf, stick, add())
    assert names(stick) == ({"owner/M-GGUF/M-Q4_K_M.gguf"} if kind == "file" else set())


def test_no_link_leads_out(shelf: Shelf, stick: Path, add: Add, tmp_path: Path) -> None:
    """A folder that leads elsewhere takes nothing."""
    stick.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (stick / "owner").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable, match="outside"):
        export(shelf, stick, add())
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert names(stick) == set()


def test_what_is_right_already_is_kept(shelf: Shelf, stick: Path, add: Add) -> None:
    """Put there by whomever: it is hashed, and not copied."""
    model = add()
    place = stick / model.files[0].path
    place.parent.mkdir(parents=True)
    place.write_bytes(model.path.read_bytes())
    number = place.stat().st_ino
    assert export(shelf, stick, model).copied == 0
    assert place.stat().st_ino == number
    assert sums_hold(stick)


def test_damage_is_told_from_a_bad_disk(shelf: Shelf, stick: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is wrong is to be verified; a copy that is wrong is the fault of the disk. No name for either."""
    model = add()
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "clone", spoiling)
        with pytest.raises(StorageUnavailable, match="does not give back"):
            export(shelf, stick, model)
    assert names(stick) == set()
    content = model.path.read_bytes()
    model.path.write_bytes(content[:-1] + b"?")
    with pytest.raises(ChecksumMismatch) as caught:
        export(shelf, stick, model)
    assert f"windlass verify {model.key} --repair" in str(caught.value)
    model.path.write_bytes(content[:-1])
    with pytest.raises(ChecksumMismatch):
        export(shelf, stick, model)
    assert list(stick.iterdir()) == []


def test_how_far_it_is_is_told(shelf: Shelf, stick: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the copying too, which takes longest where it goes to a stick."""
    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    told: list[tuple[str, int, int]] = []
    model, out = add(), Exporting(shelf, stick)
    out.begin([model])
    out.add(model, lambda *seen: told.append(seen))
    (file,) = model.files
    assert told == [(f"{file.path}, copied", file.size, file.size), (file.path, file.size, file.size)]


def spoiling(source: Path, target: Path, **_: object) -> str:
    target.write_bytes(source.read_bytes()[:-1] + b"?")
    return "copy"


def test_a_file_that_somebody_put_there(shelf: Shelf, stick: Path, put: Put, gguf_bytes: WriteGguf) -> None:
    """Goes out with what is known of it; two of one repository are two models."""
    for name in ("A-Q4_K_M.gguf", "B-Q4_K_M.gguf"):
        put(f"some/body/{name}", gguf_bytes(name=name))
    for model in shelf.models():
        export(shelf, stick, model)
    found = find_export(stick)
    assert found
    assert found.files.keys() == {"some/body/A-Q4_K_M.gguf", "some/body/B-Q4_K_M.gguf"}
    assert [(one.manifest.id, one.finished_at, one.manifest.files[0].commit) for one in found.models] == [
        ("some/body", "", "")
    ] * 2
    assert sums_hold(stick)


def test_a_receipt_without_a_model_is_held_to(shelf: Shelf, stick: Path, put: Put, gguf_bytes: WriteGguf) -> None:
    """An imported file has one: what has changed since does not go out."""
    content = gguf_bytes()
    place = put("some/body/A-Q4_K_M.gguf", content)
    assert shelf.adopt(file_of(content, path="A-Q4_K_M.gguf", repo="some/body"))
    (model,) = shelf.models()
    assert export(shelf, stick, model).files == ("some/body/A-Q4_K_M.gguf",)
    place.write_bytes(content[:-1] + b"?")
    assert export(shelf, stick, model).copied == 0  # the one in the folder still is what it should be
    with pytest.raises(ChecksumMismatch):
        export(shelf, stick.with_name("other"), model)


def test_names_that_cannot_be_imported_are_not_exported(
    shelf: Shelf, stick: Path, put: Put, gguf_bytes: WriteGguf
) -> None:
    """`catalog/` is the catalog's, in the folder and on the hub that serves it."""
    put("catalog/body/A-Q4_K_M.gguf", gguf_bytes())
    (model,) = shelf.models()
    with pytest.raises(InvalidRequest, match="cannot both be there"):
        export(shelf, stick, model)
    assert names(stick) == set()


def test_what_does_not_fit_is_not_begun(shelf: Shelf, stick: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the folder is made; second names need no room, and what is there needs none either."""
    model = add()
    usage = shutil.disk_usage(shelf.models_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(InsufficientStorage) as caught:
        Exporting(shelf, stick).begin([model])
    assert (caught.value.needed, caught.value.free) == (model.size_bytes, 10)
    assert not stick.exists()
    linking = Exporting(shelf, stick, hard_links=True)
    linking.begin([model])
    linking.add(model)
    assert linking.add(model).copied == 0
    Exporting(shelf, stick).begin([model])


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.EFBIG, StorageUnavailable, "exFAT"),
        (errno.ENOSPC, InsufficientStorage, "Free some space there"),
        (errno.EROFS, StorageUnavailable, "who may write"),
    ],
)
def test_the_disks_refusals_are_about_the_folder(
    shelf: Shelf, stick: Path, add: Add, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], says: str
) -> None:
    """In words that help where the folder is, not where the models are; and nothing is left there."""

    def refuse(source: Path, target: Path, **_: object) -> str:
        target.write_bytes(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(exporting, "clone", refuse)
    with pytest.raises(kind) as caught:
        export(shelf, stick, add())
    assert says in str(caught.value)
    assert "WINDLASS_MODELS_DIR" not in str(caught.value)
    assert list(stick.iterdir()) == []


def test_one_at_a_time(tmp_path: Path) -> None:
    """Who comes second is told so; what a killed one left is removed by the next."""
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "left").write_bytes(b"half a model")
    with staging(tmp_path, "stage") as folder:
        assert list(folder.iterdir()) == []
        with pytest.raises(StorageUnavailable, match="Another import or export"), staging(tmp_path, "stage"):
            pass
        (folder / "x").write_bytes(b"x")
    assert not folder.exists()
    with staging(tmp_path, "stage"):
        pass


def test_where_folders_cannot_be_locked_it_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network file systems."""

    def refuse(handle: int, what: int) -> None:
        raise OSError(errno.ENOLCK, "No locks")

    monkeypatch.setattr("windlass.library.staging.fcntl.flock", refuse)
    with staging(tmp_path, "stage") as folder:
        assert folder.is_dir()


def test_of_receipts_that_differ_the_one_that_holds_counts(shelf: Shelf, stick: Path, add: Add) -> None:
    """A model that was asked for by two names at two times: the other's file is another by now."""
    model = add()
    (mine,) = manifest(shelf).files
    other = ManifestFile(mine.repo, "d" * 40, "notes.json", 2, mine.digest, "data")
    shelf.finish(manifest_of(mine, other, subset="notes"))
    assert export(shelf, stick, model).files == (mine.shelf_path,)
