"""Which part of a file a request gets (RFC 9110 §13, §14)."""

import os
from pathlib import Path

import anyio
import pytest
from anyio import CapacityLimiter
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from windlass.share.ranges import Part, PartResponse, part_of, range_headers

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({}, Part(200, 0, 10)),
        ({"range": "bytes=0-9"}, Part(206, 0, 10)),
        ({"range": "bytes=3-5"}, Part(206, 3, 3)),
        ({"range": "Bytes=3-"}, Part(206, 3, 7)),
        ({"range": "bytes=3-99"}, Part(206, 3, 7)),
        ({"range": "bytes=-3"}, Part(206, 7, 3)),
        ({"range": "bytes=-99"}, Part(206, 0, 10)),
        ({"range": "bytes=-0"}, Part(416, 0, 0)),
        ({"range": "bytes=10-"}, Part(416, 0, 0)),
        ({"range": "bytes=5-3"}, Part(200, 0, 10)),
        ({"range": "bytes=0-1,3-4"}, Part(200, 0, 10)),
        ({"range": "bytes=-"}, Part(200, 0, 10)),
        ({"range": "bytes=x-"}, Part(200, 0, 10)),
        ({"range": "bytes=²-3"}, Part(200, 0, 10)),
        ({"range": f"bytes={'9' * 9999}-"}, Part(200, 0, 10)),
        ({"range": "lines=0-1"}, Part(200, 0, 10)),
        ({"range": "bytes=0-1", "if-range": ETAG}, Part(206, 0, 2)),
        ({"range": "bytes=0-1", "if-range": f"W/{ETAG}"}, Part(200, 0, 10)),
        ({"range": "bytes=0-1", "if-range": "Sat, 01 Jan 2028 00:00:00 GMT"}, Part(200, 0, 10)),
        ({"if-none-match": ETAG}, Part(304, 0, 0)),
        ({"if-none-match": f'"x", W/{ETAG}'}, Part(304, 0, 0)),
        ({"if-none-match": "*"}, Part(304, 0, 0)),
        ({"if-none-match": '"x"', "range": "bytes=0-1"}, Part(206, 0, 2)),
    ],
)
def test_parts(headers: dict[str, str], part: Part) -> None:
    """One well-formed range is granted, one beyond the end refused, anything else ignored."""
    assert part_of(headers, 10, ETAG) == part


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60) | st.none())
def test_a_part_lies_within_its_file(size: int, first: int, last: int | None) -> None:
    """Whatever is asked, what is sent starts and ends within the file, and the headers say exactly that."""
    part = part_of({"range": f"bytes={first}-{'' if last is None else last}"}, size, ETAG)
    assert 0 <= part.start <= part.start + part.length <= size
    if part.status == 206:
        assert part.start == first
        stated = range_headers(part, size)
        assert stated["Content-Range"] == f"bytes {first}-{first + part.length - 1}/{size}"
        assert stated["Content-Length"] == str(part.length)
    else:
        assert part.status == (200 if last is not None and last < first else 416)


@given(st.text())
def test_no_header_breaks_it(header: str) -> None:
    """Any text in Range is answered, with the whole file if nothing else."""
    assert part_of({"range": header}, 10, ETAG).status in {200, 206, 416}


async def _disconnected() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def _connected() -> dict[str, str]:
    await anyio.sleep_forever()
    raise AssertionError


def test_a_file_that_got_shorter_cuts_the_connection(tmp_path: Path) -> None:
    """Fewer bytes than promised raise, so the server closes instead of pretending; the file is closed."""
    path = tmp_path / "short"
    path.write_bytes(b"12345")

    async def run() -> bool:
        file = path.open("rb", buffering=0)
        response = PartResponse(file, Part(200, 0, 10), {"Content-Length": "10"}, CapacityLimiter(1))

        async def send(_: object) -> None:
            """Nobody looks."""

        with pytest.raises((OSError, ExceptionGroup)):
            await response({"type": "http", "asgi": {"spec_version": "2.3"}}, _connected, send)
        return file.closed

    assert anyio.run(run)


def test_a_client_that_leaves_lets_go_of_the_file(tmp_path: Path) -> None:
    """When the client is gone, reading ends long before the file does, and the file is closed."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    sent = 0

    async def run() -> bool:
        file = path.open("rb", buffering=0)
        response = PartResponse(file, Part(200, 0, 1 << 40), {}, CapacityLimiter(1))

        async def send(message: Message) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))

        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, _disconnected, send)
        return file.closed

    assert anyio.run(run)
    assert sent < 1 << 30
