"""Small files that are written as a whole, and those that are made once."""

import fcntl
import threading
from pathlib import Path

import pytest

from windlass.atomic import keep, write, write_soon


def test_text_is_written_whole(tmp_path: Path) -> None:
    """The new text replaces the old, and nothing else is left in the folder."""
    path = tmp_path / "a.json"
    write(path, "old")
    write(path, "new ü")
    assert [(p.name, p.read_text("utf-8")) for p in tmp_path.iterdir()] == [("a.json", "new ü")]


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    """When the text cannot be written, or not be put in place, the old stays and no temporary file does."""
    path = tmp_path / "a.json"
    write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "folder"]
    assert path.read_text() == "old"


def test_a_text_that_may_come_later_is_whole_too(tmp_path: Path) -> None:
    """It replaces the old one, or fails and leaves the old one alone; only the sync is left to the caller."""
    path = tmp_path / "a.json"
    write_soon(path, "old")
    write_soon(path, "new ü")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_soon(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "folder"]
    assert path.read_text("utf-8") == "new ü"


@pytest.mark.parametrize("before", [None, "", "\n"])
def test_a_file_is_made_once_also_in_the_place_of_an_empty_one(tmp_path: Path, before: str | None) -> None:
    """An empty one is what a crash leaves between making and writing; the file is its owner's alone."""
    path = tmp_path / "secret"
    if before is not None:
        path.write_text(before)
    assert keep(path, "one\n") == keep(path, "two\n") == "one"
    assert path.read_text() == "one\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_at_once_all_end_with_the_same(tmp_path: Path) -> None:
    """Each comes with a text of its own."""
    start, told = threading.Barrier(8), []

    def come(number: int) -> None:
        start.wait()
        told.append(keep(tmp_path / "secret", f"{number}"))

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [(tmp_path / "secret").read_text()] * 8


@pytest.mark.parametrize("gone", [False, True])
def test_who_waited_for_the_lock_takes_what_the_other_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """The file that it has locked is not the one that stands there now; it looks again, also where there is none."""
    path, lock, waits = tmp_path / "secret", fcntl.flock, [1]

    def after_another(fd: int, kind: int) -> None:
        lock(fd, kind)
        if waits.pop():
            path.unlink() if gone else write(path, "the other's")
            waits.append(0)

    monkeypatch.setattr("windlass.atomic.fcntl.flock", after_another)
    assert keep(path, "mine") == ("mine" if gone else "the other's")


def test_a_disk_that_refuses_leaves_nothing_half(tmp_path: Path) -> None:
    """The next start begins as if nothing had been."""
    with pytest.raises(UnicodeEncodeError):
        keep(tmp_path / "secret", "\ud800")
    assert keep(tmp_path / "secret", "one") == "one"
