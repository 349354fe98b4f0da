"""Partials on a real disk: one writer, and nothing trusted that does not fit."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from transfer.partials import ID, SIZE, begun, kept, opened, piece
from windlass.transfer import ledger as ledgers
from windlass.transfer.ledger import Piece
from windlass.transfer.partial import (
    discard,
    discard_idle,
    exists,
    kept_bytes,
    open_partial,
    read_seal,
)

pytestmark = pytest.mark.usefixtures("small_chunks")

# What is kept


def test_bytes_stand_where_they_were_put(tmp_path: Path) -> None:
    """Written anywhere, read back from there; the file has its full size from the start."""
    with opened(tmp_path) as partial:
        partial.write(990, b"0123456789")
        partial.write(0, memoryview(b"front"))
        assert partial.path.stat().st_size == SIZE
        buffer = memoryview(bytearray(20))
        assert partial.read_into(buffer, 985) == 15
        assert bytes(buffer[:15]) == b"\0\0\0\0\x000123456789"


def test_offsets_beyond_4_gib_are_right(tmp_path: Path) -> None:
    """A file of 200 GB takes no room until it has bytes, and they stand where they belong."""
    size, far = 200_000_000_000, 199_999_999_995
    with opened(tmp_path, size) as partial:
        partial.write(far, b"12345")
        partial.record([Piece(far, 5, "aa")])
        assert partial.path.stat().st_blocks * 512 < 1 << 20
    with opened(tmp_path, size) as partial:
        assert partial.ledger.pieces == {far: Piece(far, 5, "aa")}
        buffer = memoryview(bytearray(5))
        assert (partial.read_into(buffer, far), bytes(buffer)) == (5, b"12345")


def test_what_was_recorded_is_there_again(tmp_path: Path) -> None:
    """Over any number of openings: added, lengthened and taken back."""
    begun(tmp_path, piece(0), piece(100))
    with opened(tmp_path) as partial:
        partial.record([piece(0, 20), piece(200)])
        partial.forget(100)
    assert kept(tmp_path) == {0: piece(0, 20), 200: piece(200)}
    assert kept_bytes(tmp_path, "f", ID, SIZE) == 30


def test_nothing_recorded_leaves_no_ledger(tmp_path: Path) -> None:
    """An empty record is no write."""
    begun(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f.part"]
    assert kept_bytes(tmp_path, "f", ID, SIZE) == 0


def test_the_ledger_does_not_grow_for_ever(tmp_path: Path) -> None:
    """A piece that is lengthened thousands of times is rewritten as one line now and then."""
    with opened(tmp_path, size=100_000) as partial:
        for length in range(1, 5000):
            partial.record([piece(0, length)])
        text = partial.path.with_suffix(".ledger").read_text()
        assert text.count("\n") < 2100
    with opened(tmp_path, size=100_000) as partial:
        assert partial.ledger.pieces == {0: piece(0, 4999)}


def test_starting_over_keeps_nothing(tmp_path: Path) -> None:
    """Neither bytes nor ledger; the room is given back at once."""
    with opened(tmp_path) as partial:
        partial.write(0, b"x" * SIZE)
        partial.record([piece(0, SIZE)])
        partial.start_over()
        assert partial.path.read_bytes() == bytes(SIZE)
        assert partial.ledger.received == 0
        partial.record([piece(5)])
    assert kept(tmp_path) == {5: piece(5)}


def test_a_line_that_was_half_written_is_healed(tmp_path: Path) -> None:
    """What a crash leaves at the end loses that line only, and the next entries stand after good lines."""
    begun(tmp_path, piece(0), piece(100))
    path = tmp_path / "f.ledger"
    path.write_text(path.read_text()[:-5])
    with opened(tmp_path) as partial:
        assert partial.ledger.pieces == {0: piece(0)}
        partial.record([piece(300)])
    assert kept(tmp_path) == {0: piece(0), 300: piece(300)}


def _middle_byte(text: str) -> str:
    middle = text.index("\n") + 3
    return text[:middle] + "?" + text[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        _middle_byte,
        lambda _: "",
        lambda _: "\n\n\n",
        lambda text: text[10:],
        lambda text: text.replace("windlass-ledger 1", "windlass-ledger 9"),
        lambda _: ledgers.header(ledgers.Ledger("sha256:cd", SIZE)),
        lambda _: ledgers.header(ledgers.Ledger(ID, SIZE + 1)),
        lambda text: text + "\u00e9",
    ],
    ids=["byte", "empty", "lines", "head", "version", "identity", "size", "encoding"],
)
def test_a_damaged_ledger_is_started_over(tmp_path: Path, damage: Callable[[str], str]) -> None:
    """Damaged, truncated, of another file or from another version: nothing of it is believed."""
    begun(tmp_path, piece(0), piece(100))
    path = tmp_path / "f.ledger"
    path.write_text(damage(path.read_text()), encoding="utf-8")
    assert kept_bytes(tmp_path, "f", ID, SIZE) == 0
    assert kept(tmp_path) == {}
    begun(tmp_path, piece(7))
    assert kept(tmp_path) == {7: piece(7)}


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_a_partial_of_another_size_is_started_over(tmp_path: Path, size: int) -> None:
    """The ledger says what came, but these are not the bytes that it speaks of."""
    begun(tmp_path, piece(0))
    os.truncate(tmp_path / "f.part", size)
    assert kept(tmp_path) == {}
    assert (tmp_path / "f.part").stat().st_size == SIZE


def test_a_ledger_without_its_partial_is_not_believed(tmp_path: Path) -> None:
    """Somebody removed the bytes and left the ledger."""
    begun(tmp_path, piece(0))
    (tmp_path / "f.part").unlink()
    assert kept_bytes(tmp_path, "f", ID, SIZE) == 0
    assert kept(tmp_path) == {}


# The lock


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """The second one gets None, until the first has closed."""
    with opened(tmp_path):
        assert open_partial(tmp_path, "f", ID, SIZE) is None
        assert exists(tmp_path, "f")
    with opened(tmp_path):
        pass


_HOLD = """
import sys
from pathlib import Path
from windlass.transfer.partial import open_partial
partial = open_partial(Path(sys.argv[1]), "f", "sha256:ab", 1000)
print("held" if partial else "refused", flush=True)
sys.stdin.read()
"""


def test_one_writer_over_processes_and_their_death(tmp_path: Path) -> None:
    """Another process's lock holds, and the kernel lifts it when that process is killed."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        assert open_partial(tmp_path, "f", ID, SIZE) is None
        other.kill()
    with opened(tmp_path):
        pass


def test_a_lock_on_a_file_that_was_moved_away_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between open and lock the file may be published: the lock is then on somebody's model, and is let go."""

    def flock(_fd: int, _how: int) -> None:
        (tmp_path / "f.part").rename(tmp_path / "model.gguf")

    monkeypatch.setattr(fcntl, "flock", flock)  # the only way into the moment between two system calls
    assert open_partial(tmp_path, "f", ID, SIZE) is None
    assert (tmp_path / "model.gguf").stat().st_size == 0


# The seal


def test_a_seal_is_known_again(tmp_path: Path) -> None:
    """Digests, chunks, size and time; it counts as all bytes kept."""
    with opened(tmp_path) as partial:
        partial.record([piece(0)])
        seal = partial.seal("aa", "bb", ("cc", "dd"))
    assert read_seal(tmp_path / "f.part") == seal
    assert (seal.sha256, seal.digest, seal.chunks, seal.size) == ("aa", "bb", ("cc", "dd"), SIZE)
    assert kept_bytes(tmp_path, "f", ID, SIZE) == SIZE


def test_a_seal_on_changed_bytes_is_not_trusted(tmp_path: Path) -> None:
    """Whoever wrote there after the seal changed its time: it is verified anew."""
    with opened(tmp_path) as partial:
        partial.seal("aa", "bb", ())
        stat = partial.path.stat()
        os.utime(partial.path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert read_seal(tmp_path / "f.part") is None


def test_a_seal_on_a_file_of_another_size_is_not_trusted(tmp_path: Path) -> None:
    """Even where somebody set the time back."""
    with opened(tmp_path) as partial:
        seal = partial.seal("aa", "bb", ())
    path = tmp_path / "f.part"
    os.truncate(path, SIZE - 1)
    os.utime(path, ns=(seal.mtime_ns, seal.mtime_ns))
    assert read_seal(path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"x"', "{}", '{"chunks": []}', '{"chunks": 5}', '{"chunks": [], "more": 1}', "\xff"],
)
def test_a_damaged_seal_is_no_seal(tmp_path: Path, text: str) -> None:
    """Whatever stands there instead: the file is verified anew, and nothing is raised."""
    begun(tmp_path)
    (tmp_path / "f.whole").write_text(text, encoding="latin-1")
    assert read_seal(tmp_path / "f.part") is None


def test_a_seal_from_another_version_is_no_seal(tmp_path: Path) -> None:
    """Fields that are unknown here, or missing, are not guessed."""
    with opened(tmp_path) as partial:
        partial.seal("aa", "bb", ())
    path = tmp_path / "f.whole"
    path.write_text(json.dumps({**json.loads(path.read_text()), "blake3": "ee"}))
    assert read_seal(tmp_path / "f.part") is None


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    """Bytes, ledger and seal; and there may be nothing to remove."""
    with opened(tmp_path) as partial:
        partial.seal("aa", "bb", ())
        partial.record([piece(0)])
    discard(tmp_path, "f")
    discard(tmp_path, "f")
    assert list(tmp_path.iterdir()) == []
    assert not exists(tmp_path, "f")


def test_only_what_no_writer_has_is_discarded_as_idle(tmp_path: Path) -> None:
    """One that is open stays; one that is not goes with all that lies beside it, and there may be none."""
    with opened(tmp_path) as partial:
        partial.record([piece(0)])
        before = sorted(tmp_path.iterdir())
        discard_idle(tmp_path, "f")
        assert sorted(tmp_path.iterdir()) == before
        partial.seal("aa", "bb", ())
    discard_idle(tmp_path, "f")
    discard_idle(tmp_path, "f")
    assert list(tmp_path.iterdir()) == []
