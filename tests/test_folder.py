"""The models folder: made where it never was, missed where it was."""

from pathlib import Path

import pytest

from windlass.errors import StorageUnavailable
from windlass.folder import Condition, ModelsFolder


def test_a_folder_that_was_there_once_is_not_made_again(tmp_path: Path) -> None:
    """Most often its disk is not mounted, and models would go to the wrong one."""
    folder = ModelsFolder(tmp_path / "models", tmp_path / "known", 0)
    folder.check()
    folder.make()
    folder.make()
    (tmp_path / "models").rmdir()
    for verb in (folder.check, folder.make):
        with pytest.raises(StorageUnavailable, match="gone"):
            verb()


def test_a_folder_that_is_made_just_now_is_not_missed(tmp_path: Path) -> None:
    """Another thread makes it while this one looks."""

    class Meanwhile(type(tmp_path)):  # type: ignore[misc]
        """The file of the names that are known, read after another thread has made the folder and noted it."""

        def read_text(self, *_: object, **__: object) -> str:
            (tmp_path / "models").mkdir(exist_ok=True)
            return f"{tmp_path / 'models'}\n"

    ModelsFolder(tmp_path / "models", Meanwhile(tmp_path / "known"), 0).check()
    assert (tmp_path / "models").is_dir()


def test_room_is_that_of_the_disk_itself(tmp_path: Path) -> None:
    """As the system tells it, less what stays free; of a folder that is not there nothing can be told."""
    spare = ModelsFolder(tmp_path, tmp_path / "known", 1000).spare()
    more = ModelsFolder(tmp_path, tmp_path / "known", -(10**12)).spare()
    assert spare
    assert more
    assert 0 < spare < more - 10**11
    assert ModelsFolder(tmp_path / "gone", tmp_path / "known", 1000).spare() is None


def test_how_a_folder_is_found(tmp_path: Path) -> None:
    """Ready where it is or can be made, offline where it was once; read-only needs a mount: see e2e."""
    folder = ModelsFolder(tmp_path / "models", tmp_path / "known", 0)
    assert folder.condition() is Condition.READY
    folder.make()
    assert folder.condition() is Condition.READY
    folder.path.rmdir()
    assert folder.condition() is Condition.OFFLINE


@pytest.mark.parametrize("may_be_made", [True, False])
def test_what_the_system_will_not_tell_of_is_not_there(tmp_path: Path, may_be_made: bool) -> None:
    """As on a disk that died: looking at it raises, and that must end nobody who has other folders to look after."""
    folder = ModelsFolder(tmp_path / ("x" * 300), tmp_path / "known", 0, may_be_made=may_be_made)
    assert folder.condition() is (Condition.READY if may_be_made else Condition.OFFLINE)
    assert folder.disk() == tmp_path.stat().st_dev
    assert folder.spare() is None
    with pytest.raises(StorageUnavailable):
        folder.make()


def test_a_mount_point_without_its_disk(tmp_path: Path) -> None:
    """A further folder that was used and is empty now; one that is new may be."""
    folder = ModelsFolder(tmp_path, tmp_path.with_name("known"), 0, may_be_made=False)
    assert folder.condition() is Condition.READY
    folder.make()
    assert folder.condition() is Condition.READY
    (tmp_path / ".windlass").rmdir()
    assert folder.condition() is Condition.OFFLINE
    with pytest.raises(StorageUnavailable, match="mounted"):
        folder.make()
