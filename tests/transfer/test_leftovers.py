"""What stands among the partials: told apart, measured by what it takes up, and cleared but for what a writer has."""

import os
from pathlib import Path

import pytest

from transfer.partials import begun, opened, piece
from windlass.errors import StorageUnavailable
from windlass.transfer import leftovers
from windlass.transfer.leftovers import clear, look

MIB = 1024 * 1024


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_there_is_none_where_there_is_no_folder(tmp_path: Path) -> None:
    """And none is made."""
    assert look(tmp_path / "partial") == []
    assert names(tmp_path) == set()


def test_each_name_is_one(tmp_path: Path) -> None:
    """A partial with all that lies beside it; what lies there alone; what is brought over; nobody else's files."""
    for name in ("a.part", "a.ledger", "a.whole~", "a.over", "b.ledger~", "b.whole", "c.over", "d.txt", "e"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "f.part").mkdir()
    found = [(one.path.name, one.name, one.is_part, one.is_over, len(one.inodes)) for one in look(tmp_path)]
    assert found == [
        ("a.part", "a", True, False, 3),
        ("a.over", "a", False, True, 1),
        ("b.ledger~", "b", False, False, 2),
        ("c.over", "c", False, True, 1),
    ]
    assert all(clear(one) for one in look(tmp_path))
    assert names(tmp_path) == {"d.txt", "e", "f.part"}


def test_what_it_frees_is_what_it_takes_up(tmp_path: Path) -> None:
    """Holes take nothing up, a file that has another name frees nothing, and nor does a link."""
    with (tmp_path / "a.part").open("wb") as file:
        file.write(b"x" * MIB)
        file.truncate(100 * MIB)
        os.fsync(file.fileno())
    (tmp_path / "theirs").write_bytes(b"x" * MIB)
    os.link(tmp_path / "theirs", tmp_path / "b.part")
    (tmp_path / "c.over").symlink_to(tmp_path / "theirs")
    sparse, linked, link = look(tmp_path)
    assert MIB <= sparse.frees < 2 * MIB
    assert (linked.frees, link.frees) == (0, 0)
    assert all(clear(one) for one in (sparse, linked, link))
    assert (tmp_path / "theirs").read_bytes() == b"x" * MIB


def test_what_a_writer_has_stays(tmp_path: Path) -> None:
    """With all that lies beside it, until he has let go."""
    with opened(tmp_path) as partial:
        partial.record([piece(0)])
        [one] = look(tmp_path)
        assert one.is_held()
        assert not clear(one)
        assert names(tmp_path) == {"f.part", "f.ledger"}
    assert not one.is_held()
    assert clear(one)
    assert names(tmp_path) == set()
    assert not clear(one)


def test_what_is_another_by_now_stays(tmp_path: Path) -> None:
    """One that was published and begun anew has the same name, and is not what was looked at."""
    begun(tmp_path, piece(0))
    [one] = look(tmp_path)
    (tmp_path / "f.part").rename(tmp_path / "published")
    begun(tmp_path, piece(0))
    assert not clear(one)
    assert names(tmp_path) == {"f.part", "f.ledger", "published"}


def test_of_one_that_begins_in_this_moment_nothing_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at its name and the lock; with a part where there was none, and another one where there was."""
    begun(tmp_path, piece(0))
    (tmp_path / "f.part").unlink()
    [alone] = look(tmp_path)
    begun(tmp_path, piece(0))
    [one] = look(tmp_path)
    (tmp_path / "f.part").rename(tmp_path / "published")
    begun(tmp_path, piece(0))
    monkeypatch.setattr(leftovers, "_is_there", lambda _: True)
    assert not clear(alone)
    assert not clear(one)
    assert names(tmp_path) == {"f.part", "f.ledger", "published"}


def test_a_ledger_alone_goes_and_leaves_no_part(tmp_path: Path) -> None:
    """Though the part is locked for that."""
    begun(tmp_path, piece(0))
    (tmp_path / "f.part").unlink()
    [one] = look(tmp_path)
    assert not one.is_held()
    assert clear(one)
    assert names(tmp_path) == set()


def test_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is said to write there, and who clears is told."""
    begun(tmp_path, piece(0))
    [one] = look(tmp_path)

    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    assert not one.is_held()
    with pytest.raises(StorageUnavailable, match="Read-only"):
        clear(one)
