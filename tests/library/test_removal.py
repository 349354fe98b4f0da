"""What goes with a model, what stays, and that nothing outside the models folder ever goes."""

import os
from pathlib import Path

import pytest

from library.shelving import WriteGguf, bring, file_of, manifest_of
from windlass.errors import StorageUnavailable
from windlass.library.facts import Model
from windlass.library.removal import Removal, plan_removal, remove
from windlass.library.shelf import Shelf
from windlass.manifest import ManifestFile


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "models").mkdir()
    return Shelf(tmp_path / "models", tmp_path)


@pytest.fixture
def two(shelf: Shelf, gguf_bytes: WriteGguf) -> tuple[Model, Model]:
    """Two quantizations that share a projector."""
    projector = file_of(b"p" * 100, "mmproj-F16.gguf", role="projector")
    bring(shelf, projector, b"p" * 100)
    for quantization in ("Q4_K_M", "Q8_0"):
        content = gguf_bytes(name=quantization)
        file = file_of(content, f"M-{quantization}.gguf")
        bring(shelf, file, content)
        shelf.finish(manifest_of(file, projector, quantization=quantization))
    four, eight = shelf.models()
    return four, eight


def take_off(shelf: Shelf, model: Model) -> Removal:
    others = [other for other in shelf.models() if other.key != model.key]
    removal = plan_removal(model, others)
    remove(removal, shelf.receipts, shelf.receipts_of(model))
    return removal


def all_files(shelf: Shelf) -> set[str]:
    return {str(path.relative_to(shelf.models_dir)) for path in shelf.models_dir.rglob("*") if path.is_file()}


def test_what_others_need_stays(shelf: Shelf, two: tuple[Model, Model]) -> None:
    """With its receipt; what it frees is told; the last one takes all with it, folders too."""
    four, eight = two
    removal = take_off(shelf, four)
    assert removal == Removal(("owner/M-GGUF/M-Q4_K_M.gguf",), ("owner/M-GGUF/mmproj-F16.gguf",), four.files[0].size)
    [left] = shelf.models()
    assert (left.id, left.quantization, left.verified) == (eight.id, "Q8_0", True)
    assert shelf.receipts.read("owner/M-GGUF/M-Q4_K_M.gguf") is None
    removal = take_off(shelf, left)
    assert removal.shared == ()
    assert removal.freed == left.size_bytes
    assert shelf.models() == []
    assert shelf.oddities() == []
    assert not (shelf.models_dir / "owner").exists()
    assert {name for name in all_files(shelf) if "heads" not in name} == set()


def test_what_stands_beside_it_stays(shelf: Shelf, two: tuple[Model, Model]) -> None:
    """Files that are of no model are their owner's."""
    (shelf.models_dir / "owner/M-GGUF/notes.txt").write_text("mine")
    for model in two:
        take_off(shelf, model)
    assert (shelf.models_dir / "owner/M-GGUF/notes.txt").read_text() == "mine"


def test_a_file_with_another_name_frees_nothing(shelf: Shelf, two: tuple[Model, Model], tmp_path: Path) -> None:
    """A hard link elsewhere keeps the bytes, and of a link to elsewhere only the link goes."""
    four, eight = two
    os.link(four.path, tmp_path / "elsewhere.gguf")
    outside = tmp_path / "outside.gguf"
    eight.path.rename(outside)
    eight.path.symlink_to(outside)
    content = outside.read_bytes()
    assert take_off(shelf, four).freed == 0
    assert take_off(shelf, shelf.models()[0]).freed == 100
    assert (tmp_path / "elsewhere.gguf").exists()
    assert outside.read_bytes() == content


@pytest.mark.parametrize("level", ["owner", "owner/M-GGUF"])
def test_nothing_goes_where_a_link_leads(shelf: Shelf, two: tuple[Model, Model], tmp_path: Path, level: str) -> None:
    """A folder that is a link may be anywhere, somebody else's library perhaps: it is refused, and all is as it was."""
    folder, outside = shelf.models_dir / level, tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    for model in shelf.models():
        with pytest.raises(StorageUnavailable, match="leads to"):
            take_off(shelf, model)
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before
    assert len(shelf.models()) == 2


def test_a_models_folder_that_is_a_link_is_fine(tmp_path: Path, gguf_bytes: WriteGguf) -> None:
    """It is where its owner wants models to be."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    shelf = Shelf(tmp_path / "models", tmp_path)
    content = gguf_bytes()
    bring(shelf, file_of(content), content)
    shelf.finish(manifest_of(file_of(content)))
    take_off(shelf, shelf.models()[0])
    assert shelf.models() == []


def test_a_model_that_somebody_else_put_there_goes_too(shelf: Shelf, gguf_bytes: WriteGguf) -> None:
    """By its shape: there is no receipt to forget."""
    place = shelf.models_dir / "owner" / "Other-GGUF" / "Other-Q4_K_M.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(gguf_bytes())
    [model] = shelf.models()
    assert shelf.receipts_of(model) == []
    take_off(shelf, model)
    assert not place.parent.parent.exists()


def test_a_model_known_by_two_names_loses_both(shelf: Shelf, gguf_bytes: WriteGguf) -> None:
    """Asked for by the catalog's name and by its link: one removal is enough."""
    content = gguf_bytes()
    file: ManifestFile = file_of(content)
    bring(shelf, file, content)
    for name in ("owner/m", "owner/M-GGUF"):
        shelf.finish(manifest_of(file, id=name))
    [model] = shelf.models()
    assert len(shelf.receipts_of(model)) == 2
    take_off(shelf, model)
    assert shelf.receipts.models() == []


def test_nothing_goes_where_a_receipt_leads(shelf: Shelf, tmp_path: Path) -> None:
    """A receipt may come with a folder that somebody else has written: what it names outside is not even seen."""
    outside = tmp_path / "outside" / "M-Q4_K_M.gguf"
    outside.parent.mkdir()
    outside.write_bytes(b"mine")
    for number, repo in enumerate((str(outside.parent), "../outside", "o/../../outside")):
        file = file_of(b"abc", outside.name, repo=repo)
        shelf.finish(manifest_of(file, file_of(b"abc", "other.gguf"), id=f"o/{number}"))
        assert shelf.broken() == []
        with pytest.raises(StorageUnavailable, match="leads to"):
            remove(Removal((file.shelf_path,), (), 0), shelf.receipts, [])
    assert outside.read_bytes() == b"mine"
