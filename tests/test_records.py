"""Opening the jobs on disk: what cannot be read makes way, and nothing is written over."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sample import numbered
from windlass.errors import DatabaseTooNew, DatabaseUnreadable, StateFailure, StateInUse
from windlass.jobs.store import Store
from windlass.presence import Presence
from windlass.records import open_store
from windlass.space import Reserve

GARBAGE = b"this was something else, and it is long enough to be looked at" * 100


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def presence(home: Path) -> Iterator[Presence]:
    with Presence(home) as presence:
        yield presence


def opened(home: Path, presence: Presence) -> Store:
    return open_store(f"sqlite:///{home}/windlass.db", lambda: 0.0, Reserve(home / "reserve"), lambda: presence)


def names(home: Path) -> list[str]:
    return sorted(path.name.partition(".unreadable-")[0] for path in home.iterdir() if "unreadable" in path.name)


@pytest.mark.parametrize("garbage", [GARBAGE, b"SQLite format 3\0" + bytes(4080)])
def test_what_cannot_be_read_is_set_aside(
    home: Path, presence: Presence, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Byte for byte; the jobs begin anew, and it is said."""
    (home / "windlass.db").write_bytes(garbage)
    with caplog.at_level(logging.ERROR), opened(home, presence) as store:
        assert store.jobs() == []
        store.add(numbered(1))
    [aside] = home.glob("windlass.db.unreadable-*")
    assert aside.read_bytes() == garbage
    assert str(aside) in caplog.text
    with opened(home, presence) as store:
        assert len(store.jobs()) == 1
    assert names(home) == ["windlass.db"]


def test_a_damaged_one_is_set_aside(home: Path, presence: Presence) -> None:
    """One that was good, and whose middle the disk has lost."""
    path = home / "windlass.db"
    with opened(home, presence) as store:
        for number in range(300):
            store.add(numbered(number))
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(20 * 4096))
    damaged = path.read_bytes()
    with opened(home, presence) as store:
        assert store.jobs() == []
    [aside] = home.glob("windlass.db.unreadable-*")
    assert aside.read_bytes() == damaged


def test_what_others_use_is_left(home: Path, presence: Presence) -> None:
    """They would go on to write into it under its new name: they are to be ended first."""
    (home / "windlass.db").write_bytes(GARBAGE)
    with Presence(home):
        with pytest.raises(StateInUse, match=r"not a database.*Other processes"):
            opened(home, presence)
        assert (home / "windlass.db").read_bytes() == GARBAGE
    opened(home, presence).close()


def test_of_two_that_find_it_one_sets_it_aside(home: Path, presence: Presence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second finds the new database of the first, and leaves it."""
    path = home / "windlass.db"
    path.write_bytes(GARBAGE)

    def be_slow() -> Presence:
        with opened(home, presence) as first:
            first.add(numbered(1))
        return presence

    with open_store(f"sqlite:///{path}", lambda: 0.0, Reserve(home / "reserve"), be_slow) as second:
        assert len(second.jobs()) == 1
    assert names(home) == ["windlass.db"]


def test_a_folder_that_takes_no_other_name_is_told(
    home: Path, presence: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is begun, and nothing lost."""
    (home / "windlass.db").write_bytes(GARBAGE)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)  # root may rename anything
    with pytest.raises(DatabaseUnreadable, match=r"cannot be set aside: .*Permission denied"):
        opened(home, presence)
    assert (home / "windlass.db").read_bytes() == GARBAGE


def test_a_newer_one_is_not_set_aside(home: Path, presence: Presence) -> None:
    """It can be read, by another program."""
    with opened(home, presence) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseTooNew):
        opened(home, presence)
    assert names(home) == []


def test_a_full_disk_is_given_the_reserve(home: Path, presence: Presence) -> None:
    """Once: where there is none left the failure is told."""
    url = f"sqlite:///{home}/file/windlass.db"
    (home / "file").write_text("in the way")
    reserve = Reserve(home / "reserve")
    reserve.keep()
    for _ in range(2):
        with pytest.raises(StateFailure, match="cannot be made"):
            open_store(url, lambda: 0.0, reserve, lambda: presence)
        assert not (home / "reserve").exists()


def test_a_process_that_has_ended_is_not_in_the_way(home: Path, presence: Presence) -> None:
    """Its sign of life is there, but nobody holds it."""
    code = f"from windlass.presence import Presence; import os; Presence(__import__('pathlib').Path({str(home)!r}))"
    subprocess.run([sys.executable, "-c", f"{code}; os._exit(0)"], check=True)
    assert len(list((home / "run").glob("*.lock"))) == 2
    assert presence.is_alone()
