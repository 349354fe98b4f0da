"""The models folder: made where it never was, missed where it was."""

from pathlib import Path

import pytest

from windlass.errors import StorageUnavailable
from windlass.folder import ModelsFolder


def test_a_folder_that_was_there_once_is_not_made_again(tmp_path: Path) -> None:
    """Most often its disk is not mounted, and models would go to the wrong one."""
    folder = ModelsFolder(tmp_path / "models", tmp_path / "known", 0)
    folder.look()
    folder.make()
    folder.make()
    (tmp_path / "models").rmdir()
    for verb in (folder.look, folder.make):
        with pytest.raises(StorageUnavailable, match="gone"):
            verb()


def test_a_folder_that_is_made_just_now_is_not_missed(tmp_path: Path) -> None:
    """Another thread makes it while this one looks."""

    class Meanwhile(type(tmp_path)):  # type: ignore[misc]
        """The file of the names that are known, read after another thread has made the folder and noted it."""

        def read_text(self, *_: object, **__: object) -> str:
            (tmp_path / "models").mkdir(exist_ok=True)
            return f"{tmp_path / 'models'}\n"

    ModelsFolder(tmp_path / "models", Meanwhile(tmp_path / "known"), 0).look()
    assert (tmp_path / "models").is_dir()
