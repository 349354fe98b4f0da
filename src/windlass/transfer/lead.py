"""How far what has come is ahead of the digest that follows, and whether that is too far.

The network waits for the digest only where the digest has something to do: bytes that lie behind a gap, which one slow
connection may hold open for long, count for nothing, and neither does what an earlier process had brought. So the whole
is never later for it, since it ends with the digest; and what is to be read back is still in memory.
"""

import asyncio
from collections.abc import Mapping

from windlass.transfer.ledger import Piece


class Lead:
    """The lead over a digest.

    Args:
        ready: the pieces that are written, by where they start; somebody else's, and read anew each time.
        most: bytes that the lead may have.
    """

    def __init__(self, ready: Mapping[int, Piece], most: int) -> None:
        self._ready = ready
        self._most = most
        self._end = 0
        self.grow()
        self._behind = self._end  # up to here the digest has caught up, or need not to
        self._caught_up: asyncio.Future[None] | None = None

    def grow(self) -> None:
        """More is ready: the lead reaches as far as there is no gap."""
        while piece := self._ready.get(self._end):
            self._end = piece.end

    def shrink(self, end: int) -> None:
        """What starts at `end` has to come again."""
        self._end = min(self._end, end)
        self._release()

    def follow(self, position: int) -> None:
        """The digest has come to `position`."""
        self._behind = max(self._behind, position)
        self._release()

    def hold(self) -> "asyncio.Future[None] | None":
        """What to wait for before more is taken, None where more may be."""
        if self._end - self._behind <= self._most:
            return None
        if self._caught_up is None:
            self._caught_up = asyncio.get_running_loop().create_future()
        return self._caught_up

    def _release(self) -> None:
        if self._caught_up and self._end - self._behind <= self._most:
            self._caught_up.set_result(None)
            self._caught_up = None
