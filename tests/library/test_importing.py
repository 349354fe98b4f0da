"""Files come into the models folder one by one: whole, or not at all and without a trace."""

from pathlib import Path

import pytest

from windlass.errors import StorageUnavailable
from windlass.library import importing
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
