"""Files come into the models folder one by one: whole, or not at all and without a trace."""

from pathlib import Path

import pytest

from windlass.errors import StorageUnavailable
from windlass.library import cloning, importing
from windlass.library.importing import Importing
from windlass.library.imports import Import, Way
from windlass.library.shelf import Shelf

CONTENT = b"weights"
PATH = "owner/M-GGUF/M-Q4_K_M.gguf"


@pytest.fixture
def one(tmp_path: Path) -> Import:
    source = tmp_path / "downloads" / "M.gguf"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    return Import(source, PATH)


def files_below(folder: Path) -> list[Path]:
    """Links too."""
    return [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]


@pytest.mark.parametrize("way", ["move", "copy", "hardlink", "symlink"])
@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError])
def test_an_interrupted_import_leaves_nothing(
    shelf: Shelf, one: Import, way: Way, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the copy is hashed, or a disk that fails: no half-made name stays, and the file is where it was."""

    def interrupted(*_: object, **__: object) -> None:
        raise end

    monkeypatch.setattr(importing, "digest_file", interrupted)
    with pytest.raises((KeyboardInterrupt, StorageUnavailable)):
        Importing(shelf.receipts, lambda: 0.0).bring_in(one, way)
    assert files_below(shelf.models_dir) == []
    assert one.source.read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["move", "copy", "hardlink", "symlink"])
def test_a_link_to_a_file_is_brought_in_as_that_file(shelf: Shelf, one: Import, tmp_path: Path, way: Way) -> None:
    """As in the cache of a hub; nothing of the way there stays. Moved, the link goes, and what it leads to stays."""
    link = tmp_path / "link.gguf"
    link.symlink_to(one.source)
    assert Importing(shelf.receipts, lambda: 0.0).bring_in(Import(link, PATH), way)
    assert (shelf.models_dir / PATH).read_bytes() == CONTENT
    assert list((shelf.private_dir / "partial").iterdir()) == []
    assert (link.is_symlink(), one.source.exists()) == (way != "move", True)


@pytest.mark.parametrize("way", ["move", "copy"])
def test_both_copying_and_hashing_are_told(
    shelf: Shelf, one: Import, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 GB each takes a minute; they go by different names, for each begins at nought."""
    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    monkeypatch.setattr(cloning, "_BLOCK", 4)
    told: list[tuple[str, int, int]] = []
    Importing(shelf.receipts, lambda: 0.0).bring_in(one, way, lambda *seen: told.append(seen))
    copied = [(f"{PATH}, copied", 7, 4), (f"{PATH}, copied", 7, 7)] if way == "copy" else []
    assert told == [*copied, (PATH, 7, 7)]


def test_the_look_at_what_stands_there_is_told(shelf: Shelf, one: Import) -> None:
    """It may be the same, and then both are hashed: that takes its time too."""
    place = shelf.models_dir / PATH
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    told: list[tuple[str, int, int]] = []
    assert not Importing(shelf.receipts, lambda: 0.0).bring_in(one, "copy", lambda *seen: told.append(seen))
    assert told == [(str(one.source), 7, 7), (str(place), 7, 7)]
