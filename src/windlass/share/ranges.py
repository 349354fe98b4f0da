"""One file's answer: which bytes (RFC 9110 §13 and §14), and the bytes themselves."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO

from anyio import CapacityLimiter, to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """What to send: the status, and the first byte and the length of what goes with it."""

    status: int
    start: int
    length: int


def part_of(headers: Mapping[str, str], size: int, etag: str) -> Part:
    """Which part of a file of `size` bytes a request asks for. `headers`: names in lower case; `etag` with its quotes.

    Several ranges at once are answered with the whole file, which §14.2 allows and every client must expect.
    """
    if _matches(headers.get("if-none-match", ""), etag):
        return Part(304, 0, 0)
    whole = Part(200, 0, size)
    condition = headers.get("if-range")
    # A date in If-Range never matches: folders change within the second that a date can tell (§13.1.5).
    if condition is not None and condition.strip() != etag:
        return whole
    return _range(headers.get("range", ""), size) or whole


def _matches(condition: str, etag: str) -> bool:
    """If-None-Match compares weakly (§13.1.2)."""
    listed = [value.strip().removeprefix("W/") for value in condition.split(",")]
    return etag in listed or listed == ["*"]


def _range(header: str, size: int) -> Part | None:
    """206 or 416 for a single well-formed range, None for what is to be ignored (§14.2)."""
    match = re.fullmatch(r"bytes=\s*(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))\s*", header, re.ASCII | re.IGNORECASE)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if first is None:
        length = min(int(suffix), size)
        return Part(206, size - length, length) if length else Part(416, 0, 0)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return Part(416, 0, 0)
    end = min(int(last) + 1, size) if last else size
    return Part(206, int(first), end - int(first))


def range_headers(part: Part, size: int) -> dict[str, str]:
    """Content-Range and Content-Length as the part needs them. 304 has neither."""
    if part.status == 206:
        return {
            "Content-Range": f"bytes {part.start}-{part.start + part.length - 1}/{size}",
            "Content-Length": str(part.length),
        }
    if part.status == 416:
        return {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
    return {"Content-Length": str(part.length)} if part.status == 200 else {}


class PartResponse(StreamingResponse):
    """The part's bytes from an open file, which is closed afterwards, also when the client goes away."""

    def __init__(self, file: IO[bytes], part: Part, headers: dict[str, str], threads: CapacityLimiter) -> None:
        super().__init__(_blocks(file, part, threads), part.status, headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()  # no thread reads from it any more: anyio waits for the one that did


async def _blocks(file: IO[bytes], part: Part, threads: CapacityLimiter) -> AsyncIterator[bytes]:
    """The part in blocks, each read on a thread: at most one is in memory, and the event loop never waits for the disk.

    Raises:
        OSError: the file got shorter; the connection is cut, which is what a client can notice.
    """
    position, end = part.start, part.start + part.length
    while position < end:
        wanted = min(BLOCK, end - position)
        block = await to_thread.run_sync(os.pread, file.fileno(), wanted, position, limiter=threads)
        if not block:
            raise OSError(f"{file.name} ended at {position} of {end} bytes")
        yield block
        position += len(block)
