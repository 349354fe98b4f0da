"""A network that is a function: it invents a server, with a script of what goes wrong, in virtual time."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

from transfer.virtual_time import Inline
from windlass.transfer.network import Cause, Cut, Head, Receiver, Request
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Target, Tools

HUB = "https://hub.test/owner/repo/resolve/c0ffee/model.gguf"
CDN = "https://cdn.test/signed/"


@dataclass(frozen=True)
class Reply:
    """What the server would send: `cut` is after how many bytes of body the exchange breaks, and why."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: tuple[int, Cause] | None = None


Fault = Callable[[Reply], Reply]


@dataclass
class Server:
    """A hub that redirects to signed addresses, and the CDN behind them. Calling it is the network.

    Attributes:
        script: what goes wrong, one entry a request, None for nothing; after its end all goes well.
        rate: bytes a second on each connection.
        addresses: how many requests a signed address is good for.
        ranges: whether ranges are known here.
        redirects: whether the hub redirects at all.
    """

    content: bytes
    script: list[Fault | None] = field(default_factory=list)
    rate: float = 1000.0
    latency: float = 0.01
    block: int = 64
    addresses: int = 1 << 30
    ranges: bool = True
    redirects: bool = True
    requests: list[tuple[float, Request]] = field(default_factory=list)
    sent: int = 0
    open: int = 0
    peak: int = 0
    _uses: dict[str, int] = field(default_factory=dict)

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        self.requests.append((_now(), request))
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await self._perform(request, receiver)
        finally:
            self.open -= 1

    async def _perform(self, request: Request, receiver: Receiver) -> None:
        await asyncio.sleep(self.latency)
        reply = self._right(request)
        fault = self.script.pop(0) if self.script else None
        reply = fault(reply) if fault else reply
        if reply.status == 0:
            assert reply.cut
            raise Cut(reply.cut[1], "the invented connection failed")
        receiver.head(Head(reply.status, reply.headers))
        end = min(len(reply.body), reply.cut[0]) if reply.cut else len(reply.body)
        for start in range(0, end, self.block):
            await self._deliver(reply.body[start : min(end, start + self.block)], receiver)
        if reply.cut:
            raise Cut(reply.cut[1], "the invented connection broke")

    async def _deliver(self, data: bytes, receiver: Receiver) -> None:
        await asyncio.sleep(len(data) / self.rate)
        self.sent += len(data)
        while held_back := receiver.body(data):
            await asyncio.wait([held_back])

    def _right(self, request: Request) -> Reply:
        if self.redirects and request.url == HUB:
            location = f"{CDN}{len(self._uses)}"
            self._uses[location] = self.addresses
            return Reply(302, {"location": location})
        if self.redirects:
            self._uses[request.url] -= 1
            if self._uses[request.url] < 0:
                return Reply(403)
        if not self.ranges:
            return self.whole()
        size = len(self.content)
        last = size - 1 if request.last is None else min(request.last, size - 1)
        body = self.content[request.first : last + 1]
        headers = {"content-range": f"bytes {request.first}-{last}/{size}", "content-length": str(len(body))}
        return Reply(206, headers, body)

    def whole(self) -> Reply:
        """The whole file, as a server without ranges sends it."""
        return Reply(200, {"content-length": str(len(self.content))}, self.content)


def target_of(content: bytes, *, name: str = "owner/repo/model.gguf", **changed: Any) -> Target:
    """The target whose right bytes are `content`."""
    digest = hashlib.sha256(content).hexdigest()
    target = Target(name, HUB, len(content), "sha256", digest, {"Authorization": "Bearer hf_secret"})
    return replace(target, **changed) if changed else target


def tools(
    network: Any, *, connections: int = 4, chance: float = 0.5, threads: Executor | None = None, **more: Any
) -> Tools:
    """Tools in virtual time: no threads, or all in one place, and fixed chance."""
    workers = threads or Inline()
    defaults: dict[str, Any] = {
        "threads": workers,
        "one_thread": lambda: workers,
        "chance": lambda: chance,
        "wall_clock": lambda: 1_000_000.0,
        "connections": lambda: connections,
        "persistence": Persistence(failures=4, seconds=5.0),
    }
    return Tools(network=network, **{**defaults, **more})


# What goes wrong


def cut(after: int, cause: Cause = Cause.BROKEN) -> Fault:
    """The exchange breaks after so many bytes of body."""
    return lambda reply: replace(reply, cut=(after, cause))


def fails(cause: Cause) -> Fault:
    """No reply at all."""
    return lambda _: Reply(0, cut=(0, cause))


def answers(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Fault:
    """Another answer."""
    return lambda _: Reply(status, headers or {}, body)


def without_body(reply: Reply) -> Reply:
    """The head, and then nothing."""
    return replace(reply, body=b"")


def shortened(reply: Reply) -> Reply:
    """Half of the bytes, then a good end."""
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def lengthened(reply: Reply) -> Reply:
    """More bytes than the head promises."""
    return replace(reply, body=reply.body + b"and then some more than was asked for")


def elsewhere(reply: Reply) -> Reply:
    """A range that was not asked for, and says so."""
    total = reply.headers.get("content-range", "/1").rpartition("/")[2]
    return replace(reply, headers={**reply.headers, "content-range": f"bytes 999999-999999/{total}"})


def wrong(reply: Reply) -> Reply:
    """The right number of wrong bytes."""
    return replace(reply, body=bytes(byte ^ 0xFF for byte in reply.body))


# What may go wrong any number of times, and passes
RECOVERABLE: list[Fault] = [
    cut(0),
    cut(1),
    cut(40),
    cut(333),
    cut(100, Cause.STALLED),
    fails(Cause.DNS),
    fails(Cause.CONNECT),
    fails(Cause.SILENT),
    answers(500),
    answers(502, body=b"<html>"),
    answers(503, {"retry-after": "2"}),
    answers(429, {"ratelimit": '"resolvers";r=0;t=3'}),
    answers(408),
    answers(416),
    answers(302),
    answers(200, {"content-length": "70000"}, b"captive"),
    answers(200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
    without_body,
    shortened,
    lengthened,
    elsewhere,
]


def spoils(bodies: Iterable[Fault], times: int) -> list[Fault | None]:
    """The same faults over and over."""
    faults = list(bodies)
    return [faults[turn % len(faults)] for turn in range(times)]


def _now() -> float:
    return asyncio.get_running_loop().time()
