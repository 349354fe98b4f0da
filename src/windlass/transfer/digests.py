"""Digests that follow the front of a growing file, piece by piece, on a thread.

A piece is read back from the page cache, compared with its digest as received, and only then counted into the file's
own digest. So a wrong piece is known by its place and fetched again alone, and after the last byte the digest is there:
no second read of the file.
"""

import hashlib
from collections.abc import Callable
from typing import Literal

import xxhash

from windlass.errors import ChecksumMismatch
from windlass.transfer.ledger import Piece
from windlass.transfer.segments import CHUNK

_BLOCK = 2 * 1024 * 1024  # bytes hashed at once: for each block the thread has to win Python's lock three times

Algorithm = Literal["sha256", "git-sha1"]
Read = Callable[[memoryview, int], int]


def digest_of(content: bytes, algorithm: Algorithm) -> str:
    """The digest of a whole content, in hex."""
    digest = hashlib.sha256() if algorithm == "sha256" else _git_sha1(len(content))
    digest.update(content)
    return digest.hexdigest()


def _git_sha1(size: int) -> "hashlib._Hash":
    """Git's hash of a blob: the sha1 of the word, the size, a zero byte, and the content (git-hash-object)."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def mismatch(name: str, digest: str, promised: str) -> ChecksumMismatch:
    """The error of a file that came wrong twice."""
    return ChecksumMismatch(
        f"{name} hashes to {digest}, but {promised} was promised.",
        hint="The source sent wrong bytes twice. Nothing was kept. Try another mirror, or report it there.",
    )


class Follower:
    """The digests of a file's first `position` bytes."""

    def __init__(self, algorithm: Algorithm, size: int) -> None:
        self.position = 0
        self.chunks: list[str] = []
        self._sha256 = hashlib.sha256()
        self._git = _git_sha1(size) if algorithm == "git-sha1" else None
        self._chunk = xxhash.xxh3_64()
        self._buffer = memoryview(bytearray(min(size, _BLOCK)))

    def eat(self, piece: Piece, read: Read) -> bool:
        """Take in the piece that starts at `position`; False, and nothing taken in, where it is not as received."""
        before = (self._sha256.copy(), self._git.copy() if self._git else None, self._chunk.copy(), len(self.chunks))
        if self._digest(piece, read) == piece.digest:
            if self._is_chunk(piece):
                self.chunks.append(piece.digest)
            return True
        self._sha256, self._git, self._chunk = before[:3]
        del self.chunks[before[3] :]
        self.position = piece.start
        return False

    def finish(self) -> tuple[str, str, tuple[str, ...]]:
        """The sha256, the digest by the algorithm asked for, and the xxh3-64 of each chunk, all in hex."""
        sha256 = self._sha256.hexdigest()
        last = [self._chunk.hexdigest()] if self.position % CHUNK else []
        return sha256, self._git.hexdigest() if self._git else sha256, (*self.chunks, *last)

    @staticmethod
    def _is_chunk(piece: Piece) -> bool:
        """Whether the piece's own digest is a chunk's, as it most often is: then that is not made a second time."""
        return piece.length == CHUNK and piece.start % CHUNK == 0

    def _digest(self, piece: Piece, read: Read) -> str:
        whole, chunked = xxhash.xxh3_64(), not self._is_chunk(piece)
        while self.position < piece.end:
            want = min(_BLOCK, piece.end - self.position, CHUNK - self.position % CHUNK)
            got = read(self._buffer[:want], self.position)
            if got == 0:
                return "the file is shorter than its ledger says"
            block = self._buffer[:got]
            whole.update(block)
            self._count(block)
            if chunked:
                self._count_in_chunk(block)
        return whole.hexdigest()

    def _count(self, block: memoryview) -> None:
        self._sha256.update(block)
        if self._git:
            self._git.update(block)
        self.position += len(block)

    def _count_in_chunk(self, block: memoryview) -> None:
        self._chunk.update(block)
        if self.position % CHUNK == 0:
            self.chunks.append(self._chunk.hexdigest())
            self._chunk.reset()
