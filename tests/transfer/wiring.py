"""A wire on a loop, servers that say anything, and a receiver that keeps what it gets."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import certifi

from windlass.transfer.network import Head, Patience
from windlass.transfer.wire import Wire

SHORT = Patience(connect=1.0, head=0.3, stall=0.3, floor=100)


@dataclass
class Taker:
    """A receiver that keeps what it gets, and raises or holds back as told."""

    at_head: Exception | None = None
    at_body: Exception | None = None
    holds: int = 0
    heads: list[Head] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    def head(self, head: Head) -> None:
        self.heads.append(head)
        if self.at_head:
            raise self.at_head

    def body(self, data: bytes) -> asyncio.Future[None] | None:
        if self.holds:
            self.holds -= 1
            loop = asyncio.get_running_loop()
            held_back = loop.create_future()
            loop.call_later(0.02, held_back.set_result, None)
            return held_back
        if self.at_body:
            raise self.at_body
        self.data += data
        return None


@contextlib.asynccontextmanager
async def wired(
    patience: Patience = SHORT, ca_file: str = "", proxy: Callable[[str], str | None] = lambda _: None
) -> AsyncIterator[Wire]:
    """A wire, and afterwards the proof that no exchange, timer, callback or unread error is left on the loop."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    wire = Wire(ca_file or certifi.where(), proxy, patience)
    try:
        yield wire
    finally:
        assert not wire._running
        wire.close()
        gc.collect()
        await asyncio.sleep(0)
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        assert [timer for timer in timers if "Wire" in repr(timer) or "_Exchange" in repr(timer)] == []
        assert complaints == []


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Any server at all: `handler` has a connection for itself."""
    serving: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        for task in serving:
            assert task
            task.cancel()
            await asyncio.wait([task])


def saying(answer: bytes) -> Handler:
    """Each connection hears this once its request is read, and then its end."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return handle
