"""What has come and is not yet said to be anybody's: two buffers that take turns.

One fills up while what came into the other is written. Keeping the pieces as they come was tried first: a write of 64
parts of 16 KiB, each digested by itself, has the threads pass Python's lock around a hundred times for a megabyte.
Copied together it is three times, and the memory is always the same.
"""

import asyncio
from typing import Any

from windlass.transfer.writing import Writing

_SIZE = 512 * 1024  # bytes of each
LEAST = 32 * 1024  # bytes of space that are worth going on with; libcurl hands over 16 KiB


class Buffers:
    """Two buffers for what `writing` is given.

    Attributes:
        filling: the one that takes what comes; empty before the first turn.
    """

    def __init__(self, writing: Writing) -> None:
        self.filling = memoryview(b"")
        self._writing = writing
        self._spare = memoryview(b"")
        self._spare_until = 0  # so many bytes must have been written before the spare one is free

    def turn(self) -> "asyncio.Future[Any] | None":
        """Change them over, once what is in the other one is written; answers what to wait for until then.

        All that has been put into `filling` must have been given to `writing`.
        """
        self._writing.flush()
        if self._writing.written < self._spare_until:
            return self._writing.job
        self.filling, self._spare = self._spare or memoryview(bytearray(_SIZE)), self.filling
        self._spare_until = self._writing.added
        return None
