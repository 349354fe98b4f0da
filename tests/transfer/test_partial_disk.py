"""What a disk may do to a partial: full, gone, read-only, and torn writes."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from transfer.partials import ID, SIZE, begun, kept, opened, piece
from transfer.virtual_time import Inline
from windlass.errors import InsufficientStorage, StorageFailure, StorageUnavailable
from windlass.transfer.partial import Partial, claimed, discard, disk_error, exists, kept_bytes, open_partial, read_seal
from windlass.transfer.seal import Seal


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_a_broken_one(number: int, tmp_path: Path) -> None:
    """Full, or over the quota: free some space."""
    error = disk_error(OSError(number, "x"), tmp_path / "f.part")
    assert isinstance(error, InsufficientStorage)
    assert str(tmp_path) in error.message
    assert error.hint


def test_a_file_system_of_small_files(tmp_path: Path) -> None:
    """FAT32 and a model of 5 GB: no room that anybody frees will help, so it is not called full."""
    error = disk_error(OSError(errno.EFBIG, "x"), tmp_path / "f.part")
    assert isinstance(error, StorageUnavailable)
    assert error.hint
    assert "FAT32" in error.hint


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO, errno.ENOENT, errno.ENOTDIR])
def test_a_disk_that_is_gone_or_read_only(number: int, tmp_path: Path) -> None:
    """Everything else: the message has the system's own words."""
    error = disk_error(OSError(number, os.strerror(number)), tmp_path / "f.part")
    assert isinstance(error, StorageUnavailable)
    assert os.strerror(number) in error.message
    assert error.hint


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageUnavailable):
        open_partial(tmp_path / "taken" / "folder", "f", ID, SIZE)


def test_a_partial_that_cannot_be_opened(tmp_path: Path) -> None:
    """A folder stands where the file should be."""
    (tmp_path / "f.part").mkdir()
    with pytest.raises(StorageUnavailable):
        open_partial(tmp_path, "f", ID, SIZE)


def test_a_read_only_partial_is_an_error_for_people(tmp_path: Path) -> None:
    """Every write says it in the same way."""
    begun(tmp_path, piece(0))
    with (tmp_path / "f.part").open("rb") as file:
        partial = Partial(tmp_path / "f.part", os.dup(file.fileno()), ID, SIZE)
        with pytest.raises(StorageUnavailable):
            partial.write(0, b"x")
        with pytest.raises(StorageUnavailable):
            partial.start_over()
        partial.close()


def test_a_failed_opening_lets_the_lock_go(tmp_path: Path) -> None:
    """The file cannot have that size here; nobody is locked out by the attempt."""
    with pytest.raises(StorageFailure):
        open_partial(tmp_path, "f", ID, 1 << 62)
    with opened(tmp_path):
        pass


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from windlass.errors import StorageFailure
from windlass.transfer.ledger import Piece
from windlass.transfer.partial import open_partial

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
partial = open_partial(folder, "f", "sha256:ab", 1000)
partial.record([Piece(0, 10, "0" * 16)])
resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "f.ledger").stat().st_size + 60, -1))
failures = 0
for start in range(10, 100, 10):
    try:
        partial.record([Piece(start, 10, "0" * 16)])
    except StorageFailure:
        failures += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
partial.record([Piece(500, 10, "0" * 16)])
partial.close()
print(failures)
"""


def test_a_disk_that_fills_within_a_ledger_entry_loses_nothing(tmp_path: Path) -> None:
    """An entry that only half fits is an error, and no torn line stands before what is noted when there is room."""
    command = [sys.executable, "-c", _LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert int(done.stdout) >= 5
    pieces = kept(tmp_path)
    assert {0, 500} <= pieces.keys()


def test_parts_are_written_one_after_the_other_however_many(tmp_path: Path) -> None:
    """Also more of them than the system takes at once."""
    content = bytes(n % 251 for n in range(5000))
    with opened(tmp_path, size=6000) as partial:
        assert partial.write(700, *(memoryview(content)[at : at + 1] for at in range(5000))) == 5000
        assert partial.path.read_bytes() == bytes(700) + content + bytes(300)


@pytest.mark.parametrize("most", [1, 3, 7])
def test_a_write_that_takes_a_part_only_is_gone_on_with(
    tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system may do for reasons of its own; nothing is left out and nothing is twice there."""

    def some(fd: int, parts: Sequence[bytes], offset: int) -> int:
        return os.pwrite(fd, b"".join(parts)[:most], offset)

    monkeypatch.setattr(os, "pwritev", some)
    with opened(tmp_path) as partial:
        assert partial.write(10, b"01", b"234", b"56789") == 10
        assert partial.path.read_bytes()[:25] == bytes(10) + b"0123456789" + bytes(5)


def test_a_partial_that_was_removed_is_noticed(tmp_path: Path) -> None:
    """The folder is wiped behind our back: bytes would go to a file that nobody can find, so it is said at once."""
    with opened(tmp_path) as partial:
        partial.record([piece(0)])
        discard(tmp_path, "f")
        with pytest.raises(StorageUnavailable):
            partial.record([piece(10)])
        with pytest.raises(StorageUnavailable):
            partial.seal("aa", "bb", ())
    assert not exists(tmp_path, "f")


def test_flushing_ahead_outlives_the_partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk may flush for seconds: whoever closes the file and opens it anew waits for none of it."""
    begun_to, may_end = threading.Event(), threading.Event()
    flushed: list[int] = []

    def slowly(fd: int) -> None:
        flushed.append(os.fstat(fd).st_ino)
        begun_to.set()
        assert may_end.wait(60)

    monkeypatch.setattr(os, "fdatasync", slowly)
    with ThreadPoolExecutor(1) as threads:
        try:
            with opened(tmp_path) as partial:
                partial.write(0, b"x")
                partial.sync_soon(threads)
                partial.sync_soon(threads)  # one at a time is enough
                assert begun_to.wait(60)
            with opened(tmp_path) as again:
                assert [again.path.stat().st_ino] == flushed
        finally:
            may_end.set()
    assert len(flushed) == 1


def refuse(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("trouble", ["the disk fails", "it was removed"])
def test_flushing_ahead_does_not_complain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    """The next one is tried all the same; whether the bytes are on the disk is asked by `seal`."""
    flushing: list[Future[Any]] = []

    class Noting(Inline):
        def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
            flushing.append(super().submit(fn, *args, **more))
            return flushing[-1]

    with opened(tmp_path) as partial:
        if trouble == "the disk fails":
            monkeypatch.setattr(os, "fdatasync", refuse)
        else:
            partial.path.unlink()
        partial.sync_soon(Noting())
        partial.sync_soon(Noting())
    assert [future.exception() for future in flushing] == [None, None]


full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@full_disk
def test_a_full_disk_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """`/dev/full` answers every write with ENOSPC."""
    begun(tmp_path)
    with Path("/dev/full").open("wb", buffering=0) as full, opened(tmp_path) as partial:
        real, partial.fd = partial.fd, full.fileno()
        with pytest.raises(InsufficientStorage):
            partial.write(0, b"x")
        partial.fd = real


def test_a_disk_that_does_not_answer_is_no_bug_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked what is kept there, nothing is said to be, and no foreign error gets out: the job has to end as failed."""
    (tmp_path / "x.part").write_bytes(b"x" * 10)
    real = os.stat

    def dead(path: Any, *args: Any, **more: Any) -> Any:
        if str(path).endswith(".part"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **more)

    assert exists(tmp_path, "x")
    monkeypatch.setattr(os, "stat", dead)
    assert not exists(tmp_path, "x")
    assert kept_bytes(tmp_path, "x", "sha256:ab", 10) == 0
    assert kept_bytes(tmp_path, "x", "sha256:ab", 10_000_000) == 0
    assert read_seal(tmp_path / "x.part") is None


def test_a_lock_that_the_disk_does_not_give_is_an_error_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the moment of publishing."""

    def refuse(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / "x.part").write_bytes(b"x")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageUnavailable), claimed(tmp_path / "x.part", Seal("", "", (), 1, 0)):
        raise AssertionError("it was claimed")
