"""What a file holds: bytes in memory, on disk, or made up as they are read, so that 5 GiB cost nothing."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BLOCK = 1 << 20


class Content(Protocol):
    """Bytes that can be read anywhere."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start`, `length` of them, fewer only at the end."""
        ...


@dataclass(frozen=True)
class Bytes:
    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, length: int) -> bytes:
        return self.data[start : start + length]


@dataclass(frozen=True)
class OnDisk:
    """A file of the disk, sparse ones included; opened at each read, so a test may change it."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def read(self, start: int, length: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)


@dataclass(frozen=True)
class Repeated:
    """`block` over and over up to `size`. An odd block length keeps every 1 MiB boundary different."""

    block: bytes
    size: int

    def read(self, start: int, length: int) -> bytes:
        length = max(0, min(length, self.size - start))
        first = start % len(self.block)
        copies = (first + length) // len(self.block) + 1
        return (self.block * copies)[first : first + length]


@dataclass(frozen=True)
class Slice:
    """A part of other content."""

    whole: Content
    start: int
    size: int

    def read(self, start: int, length: int) -> bytes:
        return self.whole.read(self.start + start, max(0, min(length, self.size - start)))


@dataclass(frozen=True)
class Flipped:
    """Other content with one byte wrong: the size is right, the hash is not."""

    whole: Content
    at: int

    @property
    def size(self) -> int:
        return self.whole.size

    def read(self, start: int, length: int) -> bytes:
        data = bytearray(self.whole.read(start, length))
        if start <= self.at < start + len(data):
            data[self.at - start] ^= 0xFF
        return bytes(data)


def blocks(content: Content, size: int = BLOCK) -> Iterator[bytes]:
    for start in range(0, content.size, size):
        yield content.read(start, min(size, content.size - start))


def sha256(content: Content) -> str:
    digest = hashlib.sha256()
    for block in blocks(content):
        digest.update(block)
    return digest.hexdigest()


def git_sha1(content: Content) -> str:
    """Git's blob hash."""
    digest = hashlib.sha1(b"blob %d\0" % content.size)
    for block in blocks(content):
        digest.update(block)
    return digest.hexdigest()


def gzipped(content: Content) -> Bytes:
    return Bytes(gzip.compress(content.read(0, content.size), mtime=0))
