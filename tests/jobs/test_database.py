"""Whether there are jobs anywhere, told without making a database."""

import fcntl
import os
from pathlib import Path

import pytest

from windlass.jobs.database import alone_in, has_database, set_aside


def test_a_file_is_there_or_not(tmp_path: Path) -> None:
    """Looking makes none."""
    path = tmp_path / "windlass.db"
    for url in (f"sqlite:///{path}", f"sqlite:///{path}?timeout=5"):
        assert not has_database(url)
    assert list(tmp_path.iterdir()) == []
    path.touch()
    for url in (f"sqlite:///{path}", f"sqlite:///{path}?timeout=5"):
        assert has_database(url)


@pytest.mark.parametrize("url", ["postgresql://db/windlass", "sqlite://", "sqlite:///:memory:"])
def test_what_is_no_file_here_is_taken_to_be_there(url: str) -> None:
    """Else jobs that were promised room would not count."""
    assert has_database(url)


def test_all_that_belongs_to_a_database_goes_with_it(tmp_path: Path) -> None:
    """Its log too, which would be taken for the next one's; what only begins with the same name stays."""
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db2"):
        (tmp_path / name).write_text(name)
    assert set_aside(tmp_path / "jobs.db", "old") == tmp_path / "jobs.db.old"
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {
        "jobs.db.old": "jobs.db",
        "jobs.db.old-wal": "jobs.db-wal",
        "jobs.db.old-shm": "jobs.db-shm",
        "jobs.db2": "jobs.db2",
    }


def test_one_at_a_time_makes_or_moves_a_database(tmp_path: Path) -> None:
    """Whoever holds the folder keeps others waiting, in other processes too: the lock is the system's."""
    with alone_in(tmp_path):
        fd = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
