"""A damaged file becomes a partial: what is right in it counts, and nobody else's file is written to."""

import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest
import xxhash

from windlass.transfer.ledger import Piece
from windlass.transfer.partial import claimed, kept_bytes, open_partial, read_seal
from windlass.transfer.takeover import hand_in, take_over
from windlass.transfer.target import Target

CONTENT = os.urandom(4_000_000)
TARGET = Target("owner/M/m.gguf", "", len(CONTENT), "sha256", sha256(CONTENT).hexdigest())
HALF = Piece(0, 2_000_000, xxhash.xxh3_64_hexdigest(CONTENT[:2_000_000]))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT[:-1] + b"?")
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Among the partials, as what is brought over is."""
    path = tmp_path / "partial" / "m.over"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def linkless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which no file has two names, as exFAT is."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


def kept(folder: Path) -> int:
    return kept_bytes(folder, TARGET.partial_name, TARGET.identity, TARGET.size)


def test_what_is_right_is_kept(damaged: Path, tmp_path: Path) -> None:
    """The file itself is moved, not copied; a fetch opens it with its ledger."""
    inode = damaged.stat().st_ino
    take_over(damaged, tmp_path / "partial", TARGET, [HALF])
    assert not damaged.exists()
    assert kept(tmp_path / "partial") == 2_000_000
    partial = open_partial(tmp_path / "partial", TARGET.partial_name, TARGET.identity, TARGET.size)
    assert partial
    assert partial.path.stat().st_ino == inode
    assert list(partial.ledger.pieces.values()) == [HALF]
    partial.close()


@pytest.mark.parametrize("size", [0, 3_000_000, 5_000_000])
def test_another_length_is_put_right(damaged: Path, tmp_path: Path, size: int) -> None:
    """What is to be fetched has its place."""
    os.truncate(damaged, size)
    take_over(damaged, tmp_path / "partial", TARGET, [HALF] if size else [])
    assert kept(tmp_path / "partial") == (2_000_000 if size else 0)
    [part] = (tmp_path / "partial").glob("*.part")
    assert part.stat().st_size == TARGET.size


def test_with_nothing_right_all_is_fetched(damaged: Path, tmp_path: Path) -> None:
    """As where nobody knows the digests of the chunks."""
    take_over(damaged, tmp_path / "partial", TARGET, [])
    assert kept(tmp_path / "partial") == 0


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_what_has_another_name_is_copied(damaged: Path, tmp_path: Path, link: object) -> None:
    """It is in somebody else's cache as well, and is not written to."""
    theirs = tmp_path / "theirs"
    damaged.rename(theirs)
    link(theirs, damaged)  # type: ignore[operator]
    before = theirs.read_bytes()
    take_over(damaged, tmp_path / "partial", TARGET, [HALF])
    [part] = (tmp_path / "partial").glob("*.part")
    part.write_bytes(b"fetched")
    assert theirs.read_bytes() == before
    assert not os.path.lexists(damaged)


def test_a_leftover_of_the_same_name_makes_way(damaged: Path, tmp_path: Path) -> None:
    """A seal of an older one would vouch for what it has not seen."""
    folder = tmp_path / "partial"
    folder.mkdir()
    for suffix in ("part", "ledger", "whole"):
        (folder / f"{TARGET.partial_name}.{suffix}").write_text("old")
    take_over(damaged, folder, TARGET, [HALF])
    assert kept(folder) == 2_000_000
    assert not (folder / f"{TARGET.partial_name}.whole").exists()


# A whole file


def given(whole: Path) -> bool:
    return hand_in(whole, whole.parent, TARGET, TARGET.digest, ("ab",))


@pytest.mark.usefixtures("linkless")
def test_a_whole_file_is_found_by_a_fetch(whole: Path) -> None:
    """The file itself, sealed, ready to be published; also on a disk that knows no second names."""
    inode = whole.stat().st_ino
    assert given(whole)
    place = whole.with_name(f"{TARGET.partial_name}.part")
    assert (place.stat().st_ino, whole.exists()) == (inode, False)
    seal = read_seal(place)
    assert seal
    with claimed(place, seal) as ours:
        assert ours


@pytest.mark.parametrize("held", [True, False])
def test_what_a_fetch_has_begun_goes_on(whole: Path, held: bool) -> None:
    """Whether it is at work or has stopped again: what it has is left to it, and what was to be handed in is gone."""
    partial = open_partial(whole.parent, TARGET.partial_name, TARGET.identity, TARGET.size)
    assert partial
    partial.record([HALF])
    if not held:
        partial.close()
    assert not given(whole)
    assert kept(whole.parent) == 2_000_000
    assert read_seal(partial.path) is None
    assert not whole.exists()
    if held:
        partial.close()


def test_a_file_is_not_there_without_its_seal(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that looks in the moment in which it gets its name is kept waiting, or finds it whole."""
    seen: list[object] = []

    def look(path: Path, place: Path) -> Path:
        seen.append(open_partial(whole.parent, TARGET.partial_name, TARGET.identity, TARGET.size))
        moved = rename(path, place)
        seen.append(read_seal(place) is not None)
        return moved

    rename = Path.rename
    monkeypatch.setattr(Path, "rename", look)
    assert given(whole)
    assert seen == [None, True]
