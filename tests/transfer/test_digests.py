"""Digests that follow a growing file: right for every cut into pieces, and unharmed by a wrong piece."""

import hashlib

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from windlass.transfer.digests import Algorithm, Follower
from windlass.transfer.ledger import Piece
from windlass.transfer.segments import CHUNK


class Memory:
    """A file in memory; `step` is the most that one read gives, as a real one may give less than asked."""

    def __init__(self, content: bytes, step: int = 1 << 30) -> None:
        self.content = bytearray(content)
        self.step = step

    def read(self, buffer: memoryview, offset: int) -> int:
        data = self.content[offset : offset + min(len(buffer), self.step)]
        buffer[: len(data)] = data
        return len(data)


def piece_of(content: bytes, start: int, end: int) -> Piece:
    return Piece(start, end - start, xxhash.xxh3_64_hexdigest(content[start:end]))


def right_digests(content: bytes, algorithm: Algorithm) -> tuple[str, str, tuple[str, ...]]:
    """The plain way: everything at once."""
    sha256 = hashlib.sha256(content).hexdigest()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    chunks = [xxhash.xxh3_64_hexdigest(content[at : at + CHUNK]) for at in range(0, len(content), CHUNK)]
    return sha256, git if algorithm == "git-sha1" else sha256, tuple(chunks)


@given(content=st.binary(max_size=300), step=st.integers(1, 50), data=st.data())
def test_the_digests_are_those_of_the_whole(content: bytes, step: int, data: st.DataObject) -> None:
    """However the file is cut into pieces, and however little each read gives; both algorithms."""
    algorithm: Algorithm = data.draw(st.sampled_from(["sha256", "git-sha1"]))
    follower, file = Follower(algorithm, len(content)), Memory(content, step)
    while follower.position < len(content):
        end = data.draw(st.integers(follower.position + 1, len(content)))
        assert follower.eat(piece_of(content, follower.position, end), file.read)
        assert follower.position == end
    assert follower.finish() == right_digests(content, algorithm)


@given(content=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_wrong_piece_is_found_and_leaves_no_trace(content: bytes, data: st.DataObject) -> None:
    """One flipped byte: the piece is not taken in; put right, everything is as if it had never been wrong."""
    algorithm: Algorithm = data.draw(st.sampled_from(["sha256", "git-sha1"]))
    start = data.draw(st.integers(0, len(content) - 1))
    at = data.draw(st.integers(start, len(content) - 1))
    follower, file = Follower(algorithm, len(content)), Memory(content)
    if start:
        assert follower.eat(piece_of(content, 0, start), file.read)
    file.content[at] ^= 0x10
    assert not follower.eat(piece_of(content, start, len(content)), file.read)
    assert follower.position == start
    file.content[at] ^= 0x10
    assert follower.eat(piece_of(content, start, len(content)), file.read)
    assert follower.finish() == right_digests(content, algorithm)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_chunks_are_cut_at_16_mib(size: int) -> None:
    """Each chunk has its digest, the last one too, and a whole number of chunks has no empty one behind it."""
    content = (b"0123456789abcde" * (size // 15 + 1))[:size]
    follower, file = Follower("sha256", size), Memory(content)
    for start in range(0, size, CHUNK + 5):  # pieces that lie across the chunks' borders
        assert follower.eat(piece_of(content, start, min(size, start + CHUNK + 5)), file.read)
    assert follower.finish() == right_digests(content, "sha256")


def test_a_wrong_piece_takes_back_the_chunks_that_it_completed() -> None:
    """Chunk digests that a wrong piece has made are gone again."""
    content = bytes(2 * CHUNK)
    follower, file = Follower("sha256", len(content)), Memory(content)
    file.content[-1] = 1
    assert not follower.eat(piece_of(content, 0, len(content)), file.read)
    assert (follower.chunks, follower.position) == ([], 0)
    file.content[-1] = 0
    assert follower.eat(piece_of(content, 0, len(content)), file.read)
    assert follower.finish() == right_digests(content, "sha256")


def test_a_file_shorter_than_its_ledger_is_wrong() -> None:
    """A piece that cannot be read to its end is not as received; it does not loop for ever."""
    content = b"all of it"
    follower = Follower("sha256", len(content))
    assert not follower.eat(piece_of(content, 0, len(content)), Memory(content[:4]).read)
    assert follower.position == 0
