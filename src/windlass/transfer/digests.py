"""Digests that follow the front of a growing file, piece by piece, on a thread.

A piece is read back from the page cache, compared with its digest as received, and only then counted into the file's
own digest. So a wrong piece is known by its place and fetched again alone, and after the last byte the digest is there:
no second read of the file.
"""

import hashlib
from collections.abc import Callable
from typing import Literal

import xxhash

from windlass.transfer.ledger import Piece
from windlass.transfer.segments import CHUNK

_BLOCK = 1024 * 1024

Algorithm = Literal["sha256", "git-sha1"]
Read = Callable[[memoryview, int], int]


class Follower:
    """The digests of a file's first `position` bytes."""

    def __init__(self, algorithm: Algorithm, size: int) -> None:
        self.position = 0
        self.chunks: list[str] = []
        self._sha256 = hashlib.sha256()
        # git's blob hash is a sha1 over "blob <size>\0" and the content (git-hash-object).
        self._git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if algorithm == "git-sha1" else None
        self._chunk = xxhash.xxh3_64()
        self._buffer = memoryview(bytearray(_BLOCK))

    def eat(self, piece: Piece, read: Read) -> bool:
        """Take in the piece that starts at `position`; False, and nothing taken in, where it is not as received."""
        before = (self._sha256.copy(), self._git.copy() if self._git else None, self._chunk.copy(), len(self.chunks))
        if self._digest(piece, read) == piece.digest:
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

    def _digest(self, piece: Piece, read: Read) -> str:
        whole = xxhash.xxh3_64()
        while self.position < piece.end:
            want = min(_BLOCK, piece.end - self.position, CHUNK - self.position % CHUNK)
            got = read(self._buffer[:want], self.position)
            if got == 0:
                return "the file is shorter than its ledger says"
            block = self._buffer[:got]
            whole.update(block)
            self._count(block)
        return whole.hexdigest()

    def _count(self, block: memoryview) -> None:
        self._sha256.update(block)
        if self._git:
            self._git.update(block)
        self._chunk.update(block)
        self.position += len(block)
        if self.position % CHUNK == 0:
            self.chunks.append(self._chunk.hexdigest())
            self._chunk.reset()
