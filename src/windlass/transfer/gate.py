"""How many exchanges may be under way at once: fewer after the source has said that it is too many, then more again."""

import asyncio
from collections import deque


class Gate:
    """Lets at most `most` through at a time, in the order in which they come; `inside` is how many are now."""

    def __init__(self, most: int) -> None:
        self._most = self._width = max(1, most)
        self.inside = 0
        self._early = 0  # those who were inside when it was narrowed
        self._outside: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self.inside < self._width:
            self.inside += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._outside.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given to us in the same moment
                self.inside -= 1
                self._admit()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.inside -= 1
        if self._early:
            self._early -= 1
        else:
            self._width = min(self._most, self._width + 1)
        self._admit()

    def narrow(self) -> None:
        """Let half as many through as are inside now; each that comes and leaves after them widens it by one again.

        That those who are inside leave says nothing: most of them had been let in by the source before it had enough.
        """
        self._width, self._early = max(1, self.inside // 2), self.inside

    def _admit(self) -> None:
        """Give free places to those who wait. They count as inside at once: nobody who comes now is before them."""
        while self.inside < self._width and self._outside:
            place = self._outside.popleft()
            if not place.done():
                place.set_result(None)
                self.inside += 1
