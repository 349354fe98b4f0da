"""What has come and is not yet said to be anybody's: two buffers that take turns.

One fills up while what came into the other is written. Keeping the pieces as they come was tried first: a write of 64
parts of 16 KiB, each digested by itself, has the threads pass Python's lock around a hundred times for one megabyte.
Copied together it is three times, and the memory is always the same.
"""

import asyncio
from typing import Any

from windlass.transfer.writing import Writing

_SIZE = 1024 * 1024  # bytes of each
_LEAST = 32 * 1024  # bytes of space that are worth going on with; libcurl hands over 16 KiB


class Buffers:
    """Two buffers for what `writing` is given."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._filling = self._spare = memoryview(b"")
        self._spare_until = 0  # so many bytes must have been written before the spare one is free
        self._begin = self._end = 0

    @property
    def space(self) -> int:
        """Bytes that can be put."""
        return len(self._filling) - self._end

    def put(self, data: bytes) -> None:
        """Take bytes; there must be space for them."""
        end = self._end + len(data)
        self._filling[self._end : end] = data
        self._end = end

    def take(self) -> memoryview:
        """What has been put since the last call. It stays as it is until it has been written."""
        view = self._filling[self._begin : self._end]
        self._begin = self._end
        return view

    def make_space(self) -> "asyncio.Future[Any] | None":
        """Have space for some more; answers what to wait for before there is some, None where there is."""
        if self.space >= _LEAST:
            return None
        self._writing.flush()
        if self._writing.written < self._spare_until:
            return self._writing.job
        self._filling, self._spare = self._spare or memoryview(bytearray(_SIZE)), self._filling
        self._spare_until = self._writing.added
        self._begin = self._end = 0
        return None
