"""The wire by itself, on real sockets of this machine: how exchanges end, and that nothing is left behind."""

import asyncio
import contextlib
import os
import socket

import pycurl
import pytest

from standin import Hub, faults
from transfer.wiring import Taker, saying, serving, wired
from windlass.transfer.network import Cause, Cut, Patience, Request


async def asked(answer: bytes, taker: Taker) -> None:
    """One exchange with a server that answers so."""
    async with wired() as wire, serving(saying(answer)) as url:
        await wire(Request(url), taker)


# Good ends


def test_a_reply_comes_whole() -> None:
    """Status, headers in lower case without their blanks, and the body; interim replies are not shown."""
    taker = Taker()
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    reply = b"HTTP/1.1 206 Partial Content\r\nX-Name:  A: b \r\nContent-Length: 5\r\n\r\nhello"
    asyncio.run(asked(interim + reply, taker))
    assert [(head.status, dict(head.headers)) for head in taker.heads] == [
        (206, {"x-name": "A: b", "content-length": "5"})
    ]
    assert taker.data == b"hello"
    assert taker.heads[0].private


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: 1\r\nX-Two: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more than was promised",
    ],
    ids=["chunked with trailers", "until close", "HTTP/1.0", "no reason", "bare line feeds", "too long"],
)
def test_every_framing_of_a_body(answer: bytes) -> None:
    """All that RFC 9112 §6.3 lets end well, ends well, and what lies behind the end is not the body."""
    taker = Taker()
    asyncio.run(asked(answer, taker))
    assert taker.data == b"hello"
    assert [head.status for head in taker.heads] == [200]


def test_the_request_asks_for_the_range_and_for_plain_bytes() -> None:
    """`Range` with both ends, or open; no encoding but identity; the given headers."""
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def ask() -> None:
        async with wired() as wire, serving(note) as url:
            await wire(Request(f"{url}/a%20b?c=d", 7, 9, {"Authorization": "Bearer x"}), Taker())
            await wire(Request(url, 1 << 40), Taker())

    asyncio.run(ask())
    lines = seen[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?c=d HTTP/1.1"
    assert {"Range: bytes=7-9", "Accept-Encoding: identity", "Authorization: Bearer x"} <= set(lines)
    assert b"Range: bytes=1099511627776-\r\n" in seen[1]
    assert b"Authorization" not in seen[1]


def test_connections_are_kept_and_shared(hub: Hub) -> None:
    """One after the other on one connection, also after answers that nobody wanted to read, if they were short."""
    hub.add("o/r", {"m.gguf": b"x" * 1000, "a.json": b"{}" * 50})
    repository = hub.repositories["o/r"]

    async def ask() -> None:
        async with wired() as wire:
            for path in ("m.gguf", "a.json") * 5:
                redirect = Taker(at_head=RuntimeError("a redirect"))
                with pytest.raises(RuntimeError, match="a redirect"):
                    await wire(Request(f"{hub.url}/o/r/resolve/{repository.refs['main']}/{path}"), redirect)
                location = redirect.heads[0].headers["location"]
                url = location if location.startswith("http") else hub.url + location
                await wire(Request(url), Taker())

    asyncio.run(ask())
    assert hub.server.connections + hub.cdn.connections == 2


def test_a_long_answer_that_nobody_wants_is_not_read(hub: Hub) -> None:
    """It would cost more than a new connection."""
    hub.add("o/r", {"m.bin": b"x" * 5_000_000})

    async def ask() -> None:
        async with wired() as wire:
            hub.misbehave("resolve", faults.status(302, {"Location": "/x"}, b"y" * 5_000_000))
            taker = Taker(at_head=RuntimeError("unwanted"))
            with pytest.raises(RuntimeError):
                await wire(Request(f"{hub.url}/o/r/resolve/main/m.bin"), taker)
            assert not taker.data

    asyncio.run(ask())


@pytest.mark.parametrize("framing", ["Content-Length: 9", "Content-Length: 4000", "X: y"])
def test_an_unwanted_answer_that_does_not_end_is_left(framing: str) -> None:
    """The error is the receiver's, whatever becomes of the body, and it does not take long."""
    taker = Taker(at_head=RuntimeError("unwanted"))
    with pytest.raises(RuntimeError, match="unwanted"):
        asyncio.run(asked(f"HTTP/1.1 302 Found\r\n{framing}\r\n\r\nx".encode(), taker))

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\n{framing}\r\n\r\n".encode())
        await reader.read()

    async def ask() -> None:
        async with wired() as wire, serving(hang) as url:
            with pytest.raises(RuntimeError, match="unwanted"):
                await wire(Request(url), taker)

    asyncio.run(ask())


# Bad ends

_CUTS = [
    (faults.fin(after=10), Cause.BROKEN),
    (faults.rst(after=10), Cause.BROKEN),
    (faults.no_answer("fin"), Cause.BROKEN),
    (faults.no_answer("rst"), Cause.BROKEN),
    (faults.silence(), Cause.SILENT),
    (faults.stall(after=10), Cause.STALLED),
    (faults.stall(after=0), Cause.STALLED),
    (faults.trickle(pause=0.05), Cause.STALLED),
    (faults.content_length(2000), Cause.BROKEN),
]


@pytest.mark.parametrize(
    ("fault", "cause"),
    _CUTS,
    ids=["fin", "rst", "no answer", "rst at once", "silence", "stall", "stall at once", "trickle", "too short"],
)
def test_how_an_exchange_is_cut(hub: Hub, fault: faults.Fault, cause: Cause) -> None:
    """The cause is told, and what had come was handed over."""
    hub.add("o/r", {"m.json": b"x" * 1000})
    hub.misbehave("small", fault)
    taker = Taker()

    async def ask() -> None:
        async with wired() as wire:
            with pytest.raises(Cut) as caught:
                await wire(Request(f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"), taker)
            assert caught.value.cause is cause, caught.value.detail
            assert caught.value.detail

    asyncio.run(ask())
    assert bytes(taker.data) == b"x" * len(taker.data)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nother bytes",
        b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    ],
    ids=range(18),
)
def test_what_is_no_http_is_a_broken_exchange(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Nonsense, half heads, endless heads, lengths that are none: `Cut`, never a traceback and never a hang."""
    with pytest.raises(Cut) as caught:
        asyncio.run(asked(answer, Taker()))
    assert caught.value.cause is Cause.BROKEN
    assert "Traceback" not in capsys.readouterr().err


def test_headers_that_drip_are_silence() -> None:
    """A head that never ends, a header at a time, is bounded in time."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def ask() -> None:
        async with wired(Patience(connect=0.1, head=0.2, stall=5.0, floor=1)) as wire, serving(drip) as url:
            with pytest.raises(Cut) as caught:
                await wire(Request(url), Taker())
            assert caught.value.cause is Cause.SILENT

    asyncio.run(ask())


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:{port}/", Cause.CONNECT),
        ("http://nowhere.invalid/", Cause.DNS),
        ("http://[::1]:{port}/", Cause.CONNECT),
    ],
)
def test_nobody_there(url: str, cause: Cause) -> None:
    """A port where nobody listens, a name that is reserved for not existing (RFC 6761 §6.4)."""

    async def ask() -> None:
        async with wired(Patience(connect=5.0)) as wire:
            with pytest.raises(Cut) as caught:
                await wire(Request(url.format(port=_closed_port())), Taker())
            assert caught.value.cause is cause

    asyncio.run(ask())


def test_a_connection_that_is_never_answered_times_out() -> None:
    """The listener's queue is full, so the kernel answers nothing; within the patience it is `connect`."""
    with socket.socket() as listener, contextlib.ExitStack() as queue:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        async def ask() -> None:
            async with wired(Patience(connect=0.3, head=5.0)) as wire:
                with pytest.raises(Cut) as caught:
                    await wire(Request(url), Taker())
                assert caught.value.cause is Cause.CONNECT

        asyncio.run(ask())


# What the receiver says


@pytest.mark.parametrize("holds", [0, 1, 3])
def test_what_the_receiver_raises_comes_out(hub: Hub, holds: int) -> None:
    """From the head or from any piece of the body, also from one that was held back: that very error, at once."""
    hub.add("o/r", {"m.json": b"x" * 100_000})
    url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"

    async def ask() -> None:
        async with wired(Patience()) as wire, asyncio.timeout(5):
            with pytest.raises(ZeroDivisionError):
                await wire(Request(url), Taker(at_head=ZeroDivisionError()))
            with pytest.raises(ZeroDivisionError):
                await wire(Request(url), Taker(at_body=ZeroDivisionError(), holds=holds))

    asyncio.run(ask())


def test_held_back_bytes_come_later_and_whole(hub: Hub) -> None:
    """However often the receiver asks for more time, nothing is lost or doubled, and it is no stall."""
    content = bytes(range(256)) * 8000
    hub.add("o/r", {"m.gguf": content})
    taker = Taker(holds=30)

    async def ask() -> None:
        async with wired() as wire:
            hub.misbehave("resolve", faults.status(200, {}, content))
            await wire(Request(f"{hub.url}/o/r/resolve/main/m.gguf"), taker)

    asyncio.run(ask())
    assert taker.data == content


@pytest.mark.parametrize("after", [None, 0, 10])
def test_cancelled_in_the_middle(hub: Hub, after: int | None) -> None:
    """Before the head or within the body: it ends at once, and the wire goes on with others."""
    hub.add("o/r", {"m.json": b"x" * 1000})
    hub.misbehave("small", faults.silence() if after is None else faults.stall(after))
    url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"

    async def ask() -> None:
        async with wired(Patience()) as wire:
            task = asyncio.create_task(wire(Request(url), Taker()))
            await asyncio.wait([task], timeout=0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            taker = Taker()
            await wire(Request(url), taker)
            assert len(taker.data) == 1000

    asyncio.run(ask())


def test_cancelled_while_held_back(hub: Hub) -> None:
    """The timer that would have gone on is taken back."""
    hub.add("o/r", {"m.json": b"x" * 1000})

    async def ask() -> None:
        async with wired() as wire:
            url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"
            task = asyncio.create_task(wire(Request(url), Taker(holds=1000)))
            await asyncio.wait([task], timeout=0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())


def test_cancelled_in_the_moment_in_which_it_might_go_on(hub: Hub) -> None:
    """Both come in one turn of the loop: nothing is asked of a handle that is closed."""
    hub.add("o/r", {"m.json": b"x" * 1000})

    class Holding(Taker):
        held_back: "asyncio.Future[None] | None" = None

        def body(self, data: bytes) -> "asyncio.Future[None] | None":
            self.held_back = asyncio.get_running_loop().create_future()
            return self.held_back

    async def ask() -> None:
        async with wired() as wire:
            taker = Holding()
            task = asyncio.create_task(wire(Request(f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"), taker))
            while taker.held_back is None:
                await asyncio.sleep(0)
            task.cancel()
            taker.held_back.set_result(None)
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())


def test_a_socket_that_has_the_number_of_another_is_watched_too() -> None:
    """Should libcurl ever close one without a word, the next of that number must not stay unheard."""

    async def watch() -> list[int]:
        async with wired() as wire:
            heard: list[int] = []
            wire._act = lambda fd, events: heard.append(fd)  # type: ignore[method-assign]
            for _ in range(2):
                here, there = socket.socketpair()
                number = os.dup2(here.fileno(), 200)
                here.close()
                wire._watch(pycurl.POLL_IN, number, None, None)
                there.send(b"x")
                await asyncio.sleep(0.05)
                os.close(number)
                there.close()
            asyncio.get_running_loop().remove_reader(200)
            return heard

    heard = asyncio.run(watch())
    assert set(heard) == {200}


@pytest.mark.parametrize("trailer", ["X: abc", "X: 500", "X: 2"])
def test_trailers_are_no_second_head(trailer: str) -> None:
    """What follows a chunked body (RFC 9112 §7.1.2) says nothing of the reply."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    taker = Taker()
    asyncio.run(asked(head + b"5\r\nHello\r\n0\r\n" + trailer.encode() + b"\r\n\r\n", taker))
    assert taker.data == b"Hello"
    assert [head.status for head in taker.heads] == [200]


def test_an_address_that_libcurl_cannot_take_leaves_nothing_behind() -> None:
    """A foreign character where only ASCII may stand: refused, and no timer waits for an exchange that never was."""

    async def ask() -> None:
        async with wired() as wire:
            for url in ("http://127.0.0.1/\u00e9", "http://[", "http://a b/"):
                with pytest.raises(Cut):
                    await wire(Request(url), Taker())

    asyncio.run(ask())
