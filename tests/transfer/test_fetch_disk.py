"""What the disk does to a fetch: full, gone, read-only, damaged, and wanted by two. For large files and small ones."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from standin import Hub, faults
from transfer.fetching import BIG, CONTENT, MIB, PATH, REPO, SMALL_CONTENT, Fetcher, assert_right
from transfer.orders import CHILD, order_of
from windlass.errors import InsufficientStorage, StorageUnavailable, WindlassError
from windlass.transfer.ledger import VERSION

both_sizes = pytest.mark.parametrize("content", [CONTENT, SMALL_CONTENT], ids=["large", "small"])

# Full


@contextmanager
def tiny_disk(path: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes, or a skip where we may not mount one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def _remount(path: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", path], check=True)


@both_sizes
@pytest.mark.parametrize("part", [0, 2], ids=["at the start", "in the middle"])
def test_the_disk_is_full(fetcher: Fetcher, tmp_path: Path, content: bytes, part: int) -> None:
    """`insufficient_storage`, what came is kept as far as it counts, and with room it goes on."""
    fetcher.hub.repositories[REPO].push({PATH: content})
    fetcher.folder, fetcher.limit = tmp_path / "tiny" / "partial", len(content)
    with tiny_disk(tmp_path / "tiny", len(content) * part // 3 + 4096):
        with pytest.raises(InsufficientStorage):
            fetcher.bring()
        _remount(tmp_path / "tiny", f"size={32 * MIB}")
        before = fetcher.hub.sent(PATH)
        assert_right(fetcher)
        if content == CONTENT and part:
            assert fetcher.hub.sent(PATH) - before < len(content) * 3 // 4


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=["full", "read-only", "broken"])
@pytest.mark.parametrize("after", [0, 1])
@both_sizes
def test_the_disk_refuses_a_write(
    fetcher: Fetcher, content: bytes, after: int, full: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, or a later one: the error for people, and when the disk is well again the file comes."""
    fetcher.hub.repositories[REPO].push({PATH: content})
    fetcher.limit = 20 * MIB  # so that a large file has more writes than one
    with monkeypatch.context() as patch:
        for name in ("pwritev", "pwrite"):
            patch.setattr(os, name, _refusing(getattr(os, name), after, full))
        if content == SMALL_CONTENT and after:
            assert_right(fetcher)  # it has one write only
            return
        with pytest.raises(InsufficientStorage if full == errno.ENOSPC else StorageUnavailable):
            fetcher.bring()
    assert_right(fetcher)


def _refusing(call: Callable[..., int], good: int, number: int) -> Callable[..., int]:
    calls = iter(range(good))

    def refuse(*args: Any) -> int:
        if next(calls, None) is None:
            raise OSError(number, os.strerror(number))
        return call(*args)

    return refuse


# Gone, or not to be written to


def test_the_folder_vanishes_in_mid_file(either: Fetcher) -> None:
    """Somebody wipes the partials: an error that says so, and the next try begins anew."""
    wipe = faults.do(lambda: shutil.rmtree(either.folder))
    either.hub.misbehave("cdn", faults.fin(after=100_000), faults.both(wipe, faults.fin(after=150_000)))
    with pytest.raises(StorageUnavailable):
        either.bring()
    assert_right(either)


def test_the_folder_of_a_crew_vanishes(fetcher: Fetcher) -> None:
    """With several connections at work."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    wipe = faults.do(lambda: shutil.rmtree(fetcher.folder))
    hub.misbehave("cdn", faults.fin(after=MIB), faults.both(wipe, faults.fin(after=MIB)))
    with pytest.raises(StorageUnavailable):
        fetcher.bring()
    assert_right(fetcher)


def test_the_folder_cannot_be_written(either: Fetcher) -> None:
    """Where a file stands in its place."""
    either.folder.write_text("in the way")
    with pytest.raises(StorageUnavailable):
        either.bring()
    assert either.hub.exchanges == []


def test_the_folder_becomes_read_only(either: Fetcher, tmp_path: Path) -> None:
    """Between two tries: an error that says so, nothing is asked of the hub, and it goes on when that is over."""
    either.folder = tmp_path / "disk" / "partial"
    with tiny_disk(tmp_path / "disk", 32 * MIB):
        either.hub.misbehave("resolve", faults.status(404))
        with pytest.raises(WindlassError):
            either.bring()
        _remount(tmp_path / "disk", "ro")
        asked = len(either.hub.exchanges)
        with pytest.raises(StorageUnavailable, match="Read-only"):
            either.bring()
        assert len(either.hub.exchanges) == asked
        _remount(tmp_path / "disk", "rw")
        assert_right(either)


# Damaged


def _half_way(fetcher: Fetcher) -> Path:
    """A partial of which some has come, or all of it where that leaves no ledger; its path."""
    fetcher.hub.misbehave("cdn", faults.fin(after=100_000))
    fetcher.hub.misbehave("cdn", faults.status(404), times=9)
    fetcher.hub.misbehave("resolve", faults.do(lambda: None), faults.do(lambda: None))
    fetcher.hub.misbehave("resolve", faults.status(404), times=9)
    with pytest.raises(WindlassError):
        fetcher.bring()
    fetcher.hub.behave()
    path = next(fetcher.folder.glob("*.part"))
    if fetcher.content == SMALL_CONTENT:
        path.write_bytes(SMALL_CONTENT)
    return path


def _another_version(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace(f"windlass-ledger {VERSION}", f"windlass-ledger {VERSION + 1}"))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 9] ^= 0x40
    path.write_bytes(data)


_DAMAGE: list[tuple[str, str, Callable[[Path], object]]] = [
    ("partial gone", ".part", Path.unlink),
    ("partial empty", ".part", lambda path: os.truncate(path, 0)),
    ("partial shorter", ".part", lambda path: os.truncate(path, path.stat().st_size // 3)),
    ("partial longer", ".part", lambda path: os.truncate(path, path.stat().st_size + 1_000_000)),
    ("partial of zeros", ".part", lambda path: path.write_bytes(bytes(path.stat().st_size))),
    ("partial with a wrong byte", ".part", _flip),
    ("ledger gone", ".ledger", Path.unlink),
    ("ledger empty", ".ledger", lambda path: os.truncate(path, 0)),
    ("ledger truncated", ".ledger", lambda path: os.truncate(path, path.stat().st_size - 7)),
    ("ledger of another version", ".ledger", _another_version),
    ("ledger of noise", ".ledger", lambda path: path.write_bytes(os.urandom(5000))),
    ("ledger with a wrong byte", ".ledger", _flip),
    ("a seal that is none", ".whole", lambda path: path.write_text('{"sha256": "ab"}')),
    ("a seal of another file", ".whole", lambda path: path.write_text(json.dumps(_foreign_seal()))),
]


def _foreign_seal() -> dict[str, Any]:
    return {"sha256": "ab" * 32, "digest": "ab" * 32, "chunks": ["cd"], "size": len(CONTENT), "mtime_ns": 1}


@pytest.mark.parametrize(("suffix", "damage"), [row[1:] for row in _DAMAGE], ids=[row[0] for row in _DAMAGE])
def test_what_is_damaged_is_not_believed(either: Fetcher, suffix: str, damage: Callable[[Path], object]) -> None:
    """Whatever happened to the files between two tries: the end is right, and at worst all of it came again."""
    path = _half_way(either).with_suffix(suffix)
    if suffix == ".ledger" and either.content == SMALL_CONTENT:
        path.write_text("of an older version, that had one for small files too")
    damage(path)
    before = either.hub.sent(PATH)
    assert_right(either)
    assert either.hub.sent(PATH) - before <= len(either.content)


# Wanted by two


@both_sizes
def test_two_processes_at_one_partial(hub: Hub, tmp_path: Path, content: bytes) -> None:
    """One has the lock and fetches, the other waits and finds it done: both end well, and the bytes came once."""
    hub.add(REPO, {PATH: content})
    hub.rate = 4 * len(content)
    order = order_of(hub, REPO, tmp_path / "partial", tmp_path / "order.json")
    command = [sys.executable, str(CHILD), str(order)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    assert [errors for _, errors in said] == ["", "", ""]
    assert {Path(path.strip()).read_bytes() for path, _ in said} == {content}
    assert hub.sent(PATH) == len(content)
