"""The cache of what files told: read once per stamp, kept over processes, believed only as written."""

import json
from pathlib import Path

import pytest

from windlass.library import known
from windlass.library.known import Known, Stamp


def test_recall(tmp_path: Path) -> None:
    """A file is read anew when its stamp changes, and forgotten when no one asked for it between two keeps."""
    read: list[int] = []

    def answer() -> int:
        read.append(len(read))
        return len(read)

    cache = Known(tmp_path, tmp_path / ".windlass/heads.json", "e")
    assert [cache.recall("a", Stamp(1, 1), answer), cache.recall("b", Stamp(1, 1), answer)] == [1, 2]
    cache.keep()
    later = Known(tmp_path, tmp_path / ".windlass/heads.json", "e")
    assert later.recall("a", Stamp(1, 1), answer) == 1
    assert later.recall("a", Stamp(1, 2), answer) == 3
    later.keep()
    last = Known(tmp_path, tmp_path / ".windlass/heads.json", "e")
    assert [last.recall("a", Stamp(1, 2), answer), last.recall("b", Stamp(1, 1), answer)] == [3, 4]


def test_another_edition_is_not_believed(tmp_path: Path) -> None:
    """What a program with other ideas wrote is read anew."""
    path = tmp_path / "heads.json"
    cache = Known(tmp_path, path, "old")
    cache.recall("a", Stamp(1, 1), lambda: "old")
    cache.keep()
    assert Known(tmp_path, path, "new").recall("a", Stamp(1, 1), lambda: "new") == "new"


def test_a_changed_cache_is_not_believed(tmp_path: Path) -> None:
    """One value altered by hand voids the seal."""
    path = tmp_path / "heads.json"
    cache = Known(tmp_path, path, "e")
    cache.recall("a", Stamp(1, 1), lambda: "true")
    cache.keep()
    path.write_text(path.read_text().replace("true", "fake"))
    assert Known(tmp_path, path, "e").recall("a", Stamp(1, 1), lambda: "true") == "true"


def test_a_cache_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond all bounds in the cache's place costs nothing."""
    path = tmp_path / "heads.json"
    cache = Known(tmp_path, path, "e")
    cache.recall("a", Stamp(1, 1), lambda: "old")
    cache.keep()
    monkeypatch.setattr(known, "_LARGEST", 10)
    assert Known(tmp_path, path, "e").recall("a", Stamp(1, 1), lambda: "new") == "new"


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    """A list that learned nothing leaves the file alone."""
    path = tmp_path / "heads.json"
    cache = Known(tmp_path, path, "e")
    cache.recall("a", Stamp(1, 1), lambda: {"x": 1})
    cache.keep()
    assert json.loads(path.read_text().partition("\n")[2]) == {"a": [1, 1, {"x": 1}]}
    path.unlink()
    cache.recall("a", Stamp(1, 1), lambda: {"x": 2})
    cache.keep()
    assert not path.exists()
