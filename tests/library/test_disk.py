"""What is done with a disk: never outside, synced once, and what the operating system says in our words."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from windlass.errors import InsufficientStorage, StorageUnavailable, WindlassError
from windlass.library.disk import folder_below, storage_errors, sync_files, sync_folder


@pytest.mark.parametrize("number", [0, 1, 4, 5, 100])
@pytest.mark.parametrize("system", [ctypes.CDLL(None), object()])
def test_each_of_many_files_is_synced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, system: object
) -> None:
    """One or many, and also where the system has no call that begins to write."""
    paths = [tmp_path / str(name) for name in range(number)]
    for path in paths:
        path.write_bytes(b"x")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: system)
    sync_files(paths)
    assert sorted(synced) == sorted(path.stat().st_ino for path in paths)


@pytest.mark.parametrize("number", [0, 3, 50, 99])
def test_a_sync_that_fails_is_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Of a hundred files, on whichever thread."""
    paths = [tmp_path / str(name) for name in range(100)]
    for path in paths:
        path.write_bytes(b"x")
    bad = paths[number].stat().st_ino

    def fsync(handle: int) -> None:
        if os.fstat(handle).st_ino == bad:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        sync_files(paths)


def test_folders_are_made_below_the_root(tmp_path: Path) -> None:
    """Missing folders are made, those there are used, and the root may be a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    folder = folder_below(tmp_path / "link", "a/b")
    assert folder == folder_below(tmp_path / "real", "a/b") == tmp_path / "real/a/b"
    assert folder.is_dir()


def test_a_link_within_the_root_is_followed(tmp_path: Path) -> None:
    """A link that stays below the root leads nowhere that it should not."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a").symlink_to("b")
    assert folder_below(tmp_path, "a/c") == tmp_path / "b/c"


@pytest.mark.parametrize("relative", ["out/x", "out", "../x", "a/../../x", "/etc", "dangling/x", "deep/out/x"])
def test_nothing_leads_out(tmp_path: Path, relative: str) -> None:
    """A path that leads out of the root, by a link or by its words, is refused before anything is made."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "deep").mkdir(parents=True)
    outside.mkdir()
    (root / "out").symlink_to(outside)
    (root / "deep/out").symlink_to("../../outside")
    (root / "dangling").symlink_to(tmp_path / "not there")
    with pytest.raises(StorageUnavailable, match="outside"):
        folder_below(root, relative)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "not there").exists()
    assert not (tmp_path / "x").exists()


def test_a_circle_of_links_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """Links that lead in a circle end in an OSError, as everything that the disk cannot do."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError):  # noqa: PT011 - which one is the operating system's choice
        folder_below(tmp_path, "a/c")


def test_a_root_that_is_gone_is_not_made(tmp_path: Path) -> None:
    """A models folder that is not there is most often a disk that is not mounted."""
    with pytest.raises(FileNotFoundError):
        folder_below(tmp_path / "gone", "a")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, InsufficientStorage, "Free some space"),
        (errno.EDQUOT, InsufficientStorage, "Free some space"),
        (errno.EROFS, StorageUnavailable, "read-only"),
        (errno.EACCES, StorageUnavailable, "who may write"),
        (errno.EPERM, StorageUnavailable, "who may write"),
        (errno.EISDIR, StorageUnavailable, "Something else stands at /there"),
        (errno.ENOTDIR, StorageUnavailable, "Something else stands at /there"),
        (errno.EIO, StorageUnavailable, "Check the disk"),
        (errno.ENOENT, StorageUnavailable, "Check the disk"),
    ],
)
def test_the_operating_systems_refusals(tmp_path: Path, number: int, kind: type[WindlassError], hint: str) -> None:
    """Each refusal is one of two errors, says what was under way, and what to do."""
    with pytest.raises(kind, match="while hauling") as caught, storage_errors("hauling", tmp_path, needed=5):
        raise OSError(number, os.strerror(number), "/there")
    assert hint in (caught.value.hint or "")
    if isinstance(caught.value, InsufficientStorage):
        assert caught.value.needed == 5
        assert caught.value.free


def test_a_disk_that_is_gone(tmp_path: Path) -> None:
    """Where the root itself is missing, the hint asks for the disk; its free space counts as none."""
    gone = tmp_path / "gone"
    with pytest.raises(StorageUnavailable) as caught, storage_errors("hauling", gone):
        (gone / "x").stat()
    assert "mounted?" in (caught.value.hint or "")
    with pytest.raises(InsufficientStorage) as full, storage_errors("hauling", gone):
        raise OSError(errno.ENOSPC, "full")
    assert full.value.free == 0


def test_a_folder_that_is_gone_cannot_be_synced(tmp_path: Path) -> None:
    """Only a filesystem that cannot sync folders is forgiven; a folder that is gone is not."""
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
