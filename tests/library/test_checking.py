"""A check finds what has changed, where, and nothing else; a round over all goes on where it was broken off."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from library.shelving import bring, file_of
from windlass.errors import Stopped, StorageUnavailable
from windlass.library.checking import Checked, Checking, Verdict
from windlass.library.digests import digest_file
from windlass.library.receipts import CHUNK_SIZE
from windlass.library.shelf import Shelf, State

CONTENT = b"GGUF" + os.urandom(2 * CHUNK_SIZE + 1000)
FILE = file_of(CONTENT)
SMALL = file_of(b"{}", "config.json")


class Clock:
    now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "models").mkdir()
    shelf = Shelf(tmp_path / "models", tmp_path)
    for file, content in ((FILE, CONTENT), (SMALL, b"{}")):
        bring(shelf, file, content)
    return shelf


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def checking(shelf: Shelf, clock: Clock) -> Checking:
    """With the digests of chunks noted, which a pull does."""
    checking = Checking(shelf.receipts, clock)
    checking.check(FILE.shelf_path)
    return checking


def change(path: Path, offset: int, *, quietly: bool = False) -> None:
    """One byte; `quietly` as a disk does it, which changes no time."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    if quietly:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_is_whole_is_noted_as_such(shelf: Shelf, checking: Checking, clock: Clock) -> None:
    """With the time of the check, and the digests of its chunks for the next one."""
    assert checking.check(SMALL.shelf_path) == Checked(SMALL.shelf_path, 2, Verdict.WHOLE)
    clock.now += 1
    assert checking.check(FILE.shelf_path) == Checked(FILE.shelf_path, FILE.size, Verdict.WHOLE)
    receipt = shelf.receipts.read(FILE.shelf_path)
    assert receipt
    assert (receipt.verified_at, len(receipt.chunks)) == ("2033-05-18T03:33:21.000Z", 3)
    assert shelf.models_dir.joinpath(FILE.shelf_path).read_bytes() == CONTENT


@pytest.mark.parametrize("quietly", [True, False])
@pytest.mark.parametrize(
    ("offsets", "damage"),
    [((0,), (0,)), ((CHUNK_SIZE - 1, CHUNK_SIZE), (0, 1)), ((len(CONTENT) - 1,), (2,)), ((5, 2 * CHUNK_SIZE), (0, 2))],
)
def test_damage_is_found_where_it_is(
    shelf: Shelf, checking: Checking, offsets: tuple[int, ...], damage: tuple[int, ...], quietly: bool
) -> None:
    """By chunk, whether or not the file's time tells of it; and again, for what it should be stays written down."""
    before = shelf.receipts.read(FILE.shelf_path)
    for offset in offsets:
        change(shelf.path_of(FILE), offset, quietly=quietly)
    for _ in range(2):
        found = checking.check(FILE.shelf_path)
        assert found == Checked(FILE.shelf_path, FILE.size, Verdict.DAMAGED, damage)
        mtime_ns = shelf.path_of(FILE).stat().st_mtime_ns
        assert before
        assert shelf.receipts.read(FILE.shelf_path) == replace(before, mtime_ns=mtime_ns, damaged=True)


def test_what_is_known_to_be_damaged_is_not_here(shelf: Shelf, checking: Checking) -> None:
    """Also where the file's time tells nothing; until it is found whole again, or another is put in its place."""
    change(shelf.path_of(FILE), 3, quietly=True)
    assert shelf.state_of(FILE) is State.PRESENT
    checking.check(FILE.shelf_path)
    assert shelf.state_of(FILE) is State.OTHER
    change(shelf.path_of(FILE), 3, quietly=False)
    assert shelf.state_of(FILE) is State.UNVERIFIED
    shelf.path_of(FILE).write_bytes(CONTENT)
    assert checking.check(FILE.shelf_path).verdict is Verdict.WHOLE
    assert shelf.state_of(FILE) is State.PRESENT


@pytest.mark.parametrize(("size", "damage"), [(CHUNK_SIZE, (1, 2)), (0, (0, 1, 2)), (len(CONTENT) + 1, (2,))])
def test_a_file_of_another_length_is_damaged(
    shelf: Shelf, checking: Checking, size: int, damage: tuple[int, ...]
) -> None:
    """From where it ends too soon, or in its last chunk where it does not end."""
    os.truncate(shelf.path_of(FILE), size)
    assert checking.check(FILE.shelf_path) == Checked(FILE.shelf_path, size, Verdict.DAMAGED, damage)


def test_without_digests_of_chunks_nobody_knows_where(shelf: Shelf, clock: Clock) -> None:
    """That it is damaged is known all the same."""
    change(shelf.path_of(FILE), 7)
    found = Checking(shelf.receipts, clock).check(FILE.shelf_path)
    assert (found.verdict, found.damage) == (Verdict.DAMAGED, ())


def test_a_time_that_changed_alone_is_no_damage(shelf: Shelf, checking: Checking) -> None:
    """As a copy or a backup leaves it: the receipt agrees again afterwards."""
    os.utime(shelf.path_of(FILE), ns=(1, 1))
    assert checking.check(FILE.shelf_path).verdict is Verdict.WHOLE
    receipt = shelf.receipts.read(FILE.shelf_path)
    assert receipt
    assert receipt.agrees(FILE.size, 1)


def test_what_is_not_there_or_not_known(shelf: Shelf, checking: Checking) -> None:
    """Said so, and nothing is written for it."""
    shelf.path_of(FILE).unlink()
    assert checking.check(FILE.shelf_path) == Checked(FILE.shelf_path, 0, Verdict.MISSING)
    (shelf.models_dir / "owner/M-GGUF/other.gguf").write_bytes(b"GGUF")
    assert checking.check("owner/M-GGUF/other.gguf").verdict is Verdict.UNKNOWN
    assert shelf.receipts.read("owner/M-GGUF/other.gguf") is None


def test_it_can_be_stopped(shelf: Shelf, checking: Checking) -> None:
    """Between two pieces, and how far it was is told."""
    told: list[int] = []
    with pytest.raises(Stopped):
        checking.check(FILE.shelf_path, on_progress=told.append, should_stop=lambda: len(told) == 2)
    assert told == [4 * 1024 * 1024, 8 * 1024 * 1024]


def test_a_round_goes_on_where_it_was_broken_off(shelf: Shelf, checking: Checking, clock: Clock) -> None:
    """What it has found whole is known, unless it has changed since; the next round begins anew."""
    clock.now += 10
    since = checking.begin_round()
    checking.check(FILE.shelf_path)
    clock.now += 10
    assert checking.begin_round() == since
    assert checking.found_since(FILE.shelf_path, since) == Checked(FILE.shelf_path, FILE.size, Verdict.WHOLE)
    assert checking.found_since(SMALL.shelf_path, since) is None
    change(shelf.path_of(FILE), 7)
    assert checking.found_since(FILE.shelf_path, since) is None
    shelf.path_of(FILE).unlink()
    assert checking.found_since(FILE.shelf_path, since) is None
    checking.end_round()
    assert checking.begin_round() > since


def test_a_folder_that_cannot_be_written_is_told(checking: Checking, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, as everywhere."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("windlass.atomic.write", refuse)
    with pytest.raises(StorageUnavailable, match="Permission denied"):
        checking.begin_round()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody writes to, in a file's place: an error at once."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not supported"):
        digest_file(tmp_path / "pipe", "sha256")
