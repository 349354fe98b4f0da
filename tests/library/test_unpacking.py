"""Models of an exported folder come in: as if fetched, all of a model or nothing, and nothing from outside of it."""

import os
from pathlib import Path

import pytest

from library.shelving import Put, WriteGguf, bring, file_of, manifest_of
from windlass.errors import ChecksumMismatch, InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.library import cloning
from windlass.library.exporting import Exporting, OnFile
from windlass.library.exports import Export, find_export
from windlass.library.imports import Way
from windlass.library.shelf import Shelf, State
from windlass.library.unpacking import Unpacking, sources_of
from windlass.manifest import CatalogEntry, Manifest

WAYS: tuple[Way, ...] = ("copy", "move", "hardlink", "symlink")
PATH = "owner/M-GGUF/M-Q4_K_M.gguf"
ENTRY = CatalogEntry("owner", "m", "model: owner/m\n", "{}")


@pytest.fixture
def stick(tmp_path: Path, shelf: Shelf, gguf_bytes: WriteGguf) -> Path:
    """An export of one catalog model."""
    content = gguf_bytes()
    file = file_of(content)
    bring(shelf, file, content)
    shelf.finish(manifest_of(file, id="owner/m", catalog=ENTRY), {"domain": "llm"})
    out = Exporting(shelf, tmp_path / "stick")
    out.begin(shelf.models())
    out.add(shelf.find("owner/m"))
    return tmp_path / "stick"


@pytest.fixture
def away(tmp_path: Path) -> Shelf:
    (tmp_path / "away").mkdir()
    return Shelf(tmp_path / "away", tmp_path / "away-lmstudio", clock=lambda: 1_770_000_000)


def export_at(stick: Path) -> Export:
    export = find_export(stick)
    assert export
    return export


def unpack(away: Shelf, stick: Path, way: Way = "copy", on_file: OnFile | None = None) -> dict[str, bool]:
    unpacking = Unpacking(away, lambda: 10**12, lambda: 1_770_000_000)
    export = export_at(stick)
    sources = sources_of(stick, export)
    unpacking.refuse_too_much(export, sources, way)
    (packed,) = export.models
    return unpacking.bring_in(packed, export, sources, way, on_file)


def manifest(stick: Path) -> Manifest:
    return export_at(stick).models[0].manifest


@pytest.mark.parametrize("way", WAYS)
def test_it_is_as_if_it_had_been_fetched(shelf: Shelf, away: Shelf, stick: Path, way: Way) -> None:
    """The model's receipt, its files' and the catalog's texts; of a linked file neither content nor time is touched."""
    source = stick / PATH
    os.utime(source, ns=(1_700_000_000_000_000_001, 1_700_000_000_000_000_001))
    assert unpack(away, stick, way) == {PATH: True}
    (file,) = manifest(stick).files
    assert away.state_of(file) is State.PRESENT
    receipt, origin = away.receipts.read(PATH), shelf.receipts.read(PATH)
    assert receipt
    assert origin
    assert (receipt.source, receipt.commit, receipt.adopted) == (origin.source, origin.commit, False)
    assert origin.source
    (kept,) = away.receipts.models()
    assert (kept.manifest, kept.overrides) == (manifest(stick), {"domain": "llm"})
    if way != "move":
        assert source.stat().st_mtime_ns == 1_700_000_000_000_000_001
    assert [model.key for model in away.models()] == ["owner/m"]
    assert away.models()[0].verified
    assert unpack(away, stick, way) == {PATH: False}


@pytest.mark.parametrize("way", WAYS)
def test_how_far_it_is_is_told(away: Shelf, stick: Path, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the copying too, which takes longest where it comes from a stick."""
    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    told: list[tuple[str, int, int]] = []
    size = (stick / PATH).stat().st_size
    unpack(away, stick, way, lambda *seen: told.append(seen))
    copied = [(f"{PATH}, copied", size, size)] if way == "copy" else []
    assert told == [*copied, (PATH, size, size)]


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_byte_leaves_no_trace(away: Shelf, stick: Path, way: Way) -> None:
    """Nor a folder; the source stays where it is."""
    content = (stick / PATH).read_bytes()
    (stick / PATH).write_bytes(content[:-1] + b"?")
    with pytest.raises(ChecksumMismatch, match="chunks 0"):
        unpack(away, stick, way)
    assert (stick / PATH).read_bytes() == content[:-1] + b"?"
    assert {path.name for path in away.models_dir.rglob("*")} == {".windlass"}


@pytest.mark.parametrize("kind", ["file", "folder on the way", "pipe", "folder", "device"])
def test_nothing_from_outside_comes_in(away: Shelf, stick: Path, tmp_path: Path, kind: str) -> None:
    """A link that leads out, or what is no file: refused before anything is written, even if the bytes are right."""
    place, elsewhere = stick / PATH, tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "folder on the way":
        place.parent.rename(elsewhere / "M-GGUF")
        place.parent.symlink_to(elsewhere / "M-GGUF")
    else:
        place.rename(elsewhere / "secret")
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to(elsewhere / "secret" if kind == "file" else "/dev/zero")
    with pytest.raises(InvalidRequest):
        unpack(away, stick)
    assert list(away.models_dir.iterdir()) == []


@pytest.mark.parametrize("way", ["copy", "move"])
def test_a_link_that_stays_inside_is_followed(away: Shelf, stick: Path, way: Way) -> None:
    """Moved, the link goes and what it leads to stays."""
    (stick / "real").write_bytes((stick / PATH).read_bytes())
    (stick / PATH).unlink()
    (stick / PATH).symlink_to(stick / "real")
    assert unpack(away, stick, way) == {PATH: True}
    assert not (away.models_dir / PATH).is_symlink()
    assert (stick / "real").exists()
    assert os.path.lexists(stick / PATH) is (way == "copy")


def test_what_was_put_there_by_hand_is_taken_for_what_it_is(away: Shelf, stick: Path) -> None:
    """Right: it gets its receipts, and no byte is copied. Wrong: it is left, and the model stays out."""
    place = away.models_dir / PATH
    place.parent.mkdir(parents=True)
    place.write_bytes((stick / PATH).read_bytes())
    number = place.stat().st_ino
    assert unpack(away, stick) == {PATH: False}
    assert place.stat().st_ino == number
    assert [model.key for model in away.models()] == ["owner/m"]
    for wrong in (b"?", place.read_bytes()[:-1] + b"?"):
        away.receipts.forget(PATH)
        place.write_bytes(wrong)
        with pytest.raises(StorageUnavailable, match="Something else"):
            unpack(away, stick)
        assert place.read_bytes() == wrong


def test_a_newer_receipt_is_kept(away: Shelf, stick: Path) -> None:
    """Where all of the model is here, the folder says nothing new."""
    unpack(away, stick)
    newer = manifest_of(*manifest(stick).files, id="owner/m", catalog=ENTRY, why="because")
    away.finish(newer)
    assert unpack(away, stick) == {PATH: False}
    assert [one.manifest for one in away.receipts.models()] == [newer]


def test_what_is_not_there_is_said(away: Shelf, stick: Path) -> None:
    """And a size that is another one is seen before a byte is copied."""
    content = (stick / PATH).read_bytes()
    (stick / PATH).write_bytes(content + b"more")
    with pytest.raises(ChecksumMismatch):
        unpack(away, stick)
    (stick / PATH).unlink()
    with pytest.raises(StorageUnavailable, match="The export has no"):
        unpack(away, stick)


@pytest.mark.parametrize(("way", "needs"), [("copy", True), ("move", False), ("hardlink", False), ("symlink", False)])
def test_room_is_wanted_for_copies_alone(away: Shelf, stick: Path, way: Way, needs: bool) -> None:
    """And for what is not there yet."""
    unpacking = Unpacking(away, lambda: 10, lambda: 0)
    export = export_at(stick)
    sources = sources_of(stick, export)
    if not needs:
        unpacking.refuse_too_much(export, sources, way)
        return
    with pytest.raises(InsufficientStorage) as caught:
        unpacking.refuse_too_much(export, sources, way)
    assert (caught.value.needed, caught.value.free) == (export.files[PATH].size, 10)
    unpack(away, stick)
    unpacking.refuse_too_much(export, sources, way)


def test_a_model_without_a_receipt_gets_none(
    shelf: Shelf, away: Shelf, tmp_path: Path, put: Put, gguf_bytes: WriteGguf
) -> None:
    """It is listed by its shape here, as it was there, and verified."""
    put("some/body/A-Q4_K_M.gguf", gguf_bytes())
    out = Exporting(shelf, tmp_path / "by-hand")
    out.begin(shelf.models())
    out.add(shelf.models()[0])
    assert unpack(away, tmp_path / "by-hand") == {"some/body/A-Q4_K_M.gguf": True}
    assert away.receipts.models() == []
    assert [(model.key, model.verified) for model in away.models()] == [("body", True)]
