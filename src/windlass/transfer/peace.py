"""Which sources have asked not to be asked for a while. Pure; time is handed in.

One for all transfers of a process: what one of their connections was told holds for the others, of other files and jobs
too.
"""

from urllib.parse import urlsplit


class Peace:
    """Until when each host wants peace."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def keep(self, url: str, seconds: float, now: float) -> None:
        """The host of `url` wants to be left alone for so long; the longest that it has asked for counts."""
        host = urlsplit(url).netloc
        self._until = {name: until for name, until in self._until.items() if until > now}
        if seconds > 0:
            self._until[host] = max(self._until.get(host, 0.0), now + seconds)

    def left(self, url: str, now: float) -> float:
        """For how many more seconds the host of `url` wants peace."""
        return max(0.0, self._until.get(urlsplit(url).netloc, 0.0) - now)
