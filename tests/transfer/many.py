"""An invented server of many files."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from transfer.invented import Server, answers, target_of
from windlass.transfer.meter import Meter
from windlass.transfer.network import Receiver, Request
from windlass.transfer.target import Target


@dataclass
class Many:
    """Each file is at an address of its own; `refused` is one that is denied.

    Attributes:
        peak: the most requests that were under way at once.
        seen: how many there were at the time of each request, that one counted.
    """

    contents: Sequence[bytes]
    refused: str = ""
    rate: float = 1000.0
    peak: int = 0
    seen: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.servers = {
            f"https://hub.test/{n}": Server(content, redirects=False, rate=self.rate)
            for n, content in enumerate(self.contents)
        }

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        server = self.servers[request.url]
        if request.url == self.refused:
            server.script = [answers(403)]
        running = sum(one.open for one in self.servers.values()) + 1
        self.seen.append((asyncio.get_running_loop().time(), running))
        self.peak = max(self.peak, running)
        await server(request, receiver)

    def targets(self) -> list[tuple[Target, Meter]]:
        """In the order of their numbers."""
        targets = [target_of(one.content, name=url, url=url) for url, one in self.servers.items()]
        return [(target, Meter(target.size)) for target in targets]
