"""What an update leaves behind is removed once it is done, and nothing else is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from library.shelving import Put, WriteGguf, bring, file_of, manifest_of
from windlass.errors import StorageUnavailable
from windlass.library.replaced import Replaced
from windlass.library.shelf import Shelf
from windlass.manifest import Manifest


@pytest.fixture
def leftovers(shelf: Shelf) -> Replaced:
    return Replaced(shelf)


def have(shelf: Shelf, files: dict[str, bytes], **more: str) -> Manifest:
    """Bring a model in, as a pull does; what is no GGUF by its name is data."""
    made = []
    for path, content in files.items():
        role = "projector" if "mmproj" in path else "weights" if path.endswith(".gguf") else "data"
        made.append(file_of(content, path, more.get("repo", "owner/M-GGUF"), role=role))
        bring(shelf, made[-1], content)
    manifest = manifest_of(*made, **{name: value for name, value in more.items() if name != "repo"})
    shelf.finish(manifest)
    return manifest


def names(shelf: Shelf) -> set[str]:
    return {path.name for path in shelf.models_dir.glob("owner/*/*")}


def notes(shelf: Shelf) -> list[Path]:
    return list((shelf.private_dir / "replaced").glob("*.json"))


def tidied(leftovers: Replaced, in_use: tuple[str, ...] = ()) -> set[str]:
    return {path.rpartition("/")[2] for removal in leftovers.tidy(in_use) for path in removal.removed}


def test_what_is_named_no_more_goes_with_its_receipt(shelf: Shelf, leftovers: Replaced, gguf_bytes: WriteGguf) -> None:
    """After the update, and once; what stays, changed or not, stays."""
    old = {"M-Q4_K_M.gguf": gguf_bytes(name="old"), "mmproj.gguf": b"eye", "old.json": b"{}"}
    then = have(shelf, old)
    leftovers.note(then, then.key)
    assert tidied(leftovers) == set()
    assert len(notes(shelf)) == 1
    have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="new"), "mmproj.gguf": b"eye"})
    assert tidied(leftovers) == {"old.json"}
    assert names(shelf) == {"M-Q4_K_M.gguf", "mmproj.gguf"}
    assert shelf.receipts.read("owner/M-GGUF/old.json") is None
    assert (tidied(leftovers), notes(shelf)) == (set(), [])
    [model] = shelf.models()
    assert model.verified
    assert shelf.oddities() == []


def test_weights_that_were_adopted_are_no_model_of_their_own(
    shelf: Shelf, leftovers: Replaced, put: Put, gguf_bytes: WriteGguf
) -> None:
    """To the eye they are one, which must not save them: the update has replaced them."""
    content = gguf_bytes(name="old")
    put("owner/M-GGUF/Old-Q4_K_M.gguf", content)
    file = file_of(content, "Old-Q4_K_M.gguf")
    assert shelf.adopt(file)
    then = manifest_of(file)
    shelf.finish(then)
    leftovers.note(then, then.key)
    have(shelf, {"New-Q4_K_M.gguf": gguf_bytes(name="new")})
    assert len(shelf.models()) == 2
    assert tidied(leftovers) == {"Old-Q4_K_M.gguf"}
    assert len(shelf.models()) == 1


@pytest.mark.parametrize("who", ["another model", "somebody's model", "a job"])
def test_what_others_need_stays(shelf: Shelf, leftovers: Replaced, put: Put, gguf_bytes: WriteGguf, who: str) -> None:
    """By a receipt, or beside weights that a person has put there; what a job needs waits for the next time."""
    then = have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="old"), "mmproj.gguf": b"eye"})
    if who == "another model":
        have(shelf, {"M-Q8_0.gguf": gguf_bytes(name="8"), "mmproj.gguf": b"eye"}, quantization="Q8_0")
    if who == "somebody's model":
        put("owner/M-GGUF/M-Q8_0.gguf", gguf_bytes(name="8"))
    leftovers.note(then, then.key)
    have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="new")})
    in_use = ("owner/M-GGUF/mmproj.gguf",) if who == "a job" else ()
    assert tidied(leftovers, in_use) == set()
    assert "mmproj.gguf" in names(shelf)
    assert len(notes(shelf)) == (who == "a job")
    assert tidied(leftovers) == ({"mmproj.gguf"} if who == "a job" else set())


def test_what_somebody_has_put_in_its_place_stays(
    shelf: Shelf, leftovers: Replaced, put: Put, gguf_bytes: WriteGguf
) -> None:
    """It is not what was verified, so it is theirs."""
    then = have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(), "old.json": b"{}"})
    leftovers.note(then, then.key)
    have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="new")})
    put("owner/M-GGUF/old.json", b"mine")
    assert tidied(leftovers) == set()
    assert "old.json" in names(shelf)
    assert notes(shelf) == []


def test_a_renamed_repository_is_one_model(shelf: Shelf, leftovers: Replaced, gguf_bytes: WriteGguf) -> None:
    """When the new one is here the old one goes, with its receipt; before that it does not."""
    then = have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="old")})
    key = replace(then, id="owner/N-GGUF").key
    leftovers.note(then, key)
    assert tidied(leftovers) == set()
    have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="new")}, repo="owner/N-GGUF", id="owner/N-GGUF")
    assert tidied(leftovers) == {"M-Q4_K_M.gguf"}
    [model] = shelf.models()
    assert model.id == "owner/N-GGUF"
    assert [receipt.manifest.id for receipt in shelf.receipts.models()] == ["owner/N-GGUF"]


def test_a_model_that_was_removed_meanwhile(shelf: Shelf, leftovers: Replaced, gguf_bytes: WriteGguf) -> None:
    """What the update had left goes all the same, and so does the note."""
    then = have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(), "old.json": b"{}"})
    leftovers.note(then, then.key)
    shelf.receipts.forget_model(then)
    (shelf.models_dir / "owner/M-GGUF/M-Q4_K_M.gguf").unlink()
    assert tidied(leftovers) == {"old.json"}
    assert notes(shelf) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"then": 5, "key": ""}', '{"then": "{}", "key": ""}'])
def test_a_note_that_cannot_be_read_is_dropped(
    shelf: Shelf, leftovers: Replaced, gguf_bytes: WriteGguf, text: str
) -> None:
    """Nothing is removed by it."""
    then = have(shelf, {"M-Q4_K_M.gguf": gguf_bytes()})
    leftovers.note(then, then.key)
    notes(shelf)[0].write_text(text)
    assert tidied(leftovers) == set()
    assert (names(shelf), notes(shelf)) == ({"M-Q4_K_M.gguf"}, [])


def test_nothing_outside_the_models_folder_goes(
    shelf: Shelf, leftovers: Replaced, gguf_bytes: WriteGguf, tmp_path: Path
) -> None:
    """Whatever a note says: it is refused, and the note stays."""
    then = have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(), "old.json": b"{}"})
    leftovers.note(then, then.key)
    have(shelf, {"M-Q4_K_M.gguf": gguf_bytes(name="new")})
    (shelf.models_dir / "owner").rename(tmp_path / "elsewhere")
    (shelf.models_dir / "owner").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable, match="leads to"):
        tidied(leftovers)
    assert (tmp_path / "elsewhere/M-GGUF/old.json").exists()
    assert json.loads(notes(shelf)[0].read_text())["key"] == then.key
