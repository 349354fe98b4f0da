"""Whether there are jobs anywhere, told without making a database."""

from pathlib import Path

import pytest

from windlass.jobs.database import has_database


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
