"""The wire by itself, on real sockets of this machine: how exchanges end, and that nothing is left behind."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import pytest

from standin import Hub, faults
from windlass.transfer import wire as wires
from windlass.transfer.network import Cause, Cut, Head, Patience, Request
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

    def body(self, data: bytes) -> float:
        if self.holds:
            self.holds -= 1
            return 0.02
        if self.at_body:
            raise self.at_body
        self.data += data
        return 0.0


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
        b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    ],
    ids=range(17),
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


def test_an_address_that_libcurl_cannot_take_leaves_nothing_behind() -> None:
    """A foreign character where only ASCII may stand: refused, and no timer waits for an exchange that never was."""

    async def ask() -> None:
        async with wired() as wire:
            for url in ("http://127.0.0.1/\u00e9", "http://[", "http://a b/"):
                with pytest.raises(Cut):
                    await wire(Request(url), Taker())

    asyncio.run(ask())


# Who is at the other end


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1", "0"])
def test_an_untrusted_address_must_be_public(hub: Hub, host: str) -> None:
    """By whatever name: the address that is really connected to decides, and no request is sent there."""

    async def ask() -> None:
        async with wired() as wire:
            with pytest.raises(Cut) as caught:
                await wire(Request(f"http://{host}:{hub.server.port}/x", trusted=False), Taker())
            assert caught.value.cause is Cause.UNSAFE

    asyncio.run(ask())
    assert hub.exchanges == []


def test_an_untrusted_request_does_not_take_a_kept_connection(hub: Hub) -> None:
    """A connection that a trusted request has opened to a private address is no way around the rule."""
    hub.add("o/r", {"m.json": b"x"})
    url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"

    async def ask() -> None:
        async with wired() as wire:
            await wire(Request(url), Taker())
            with pytest.raises(Cut) as caught:
                await wire(Request(url, trusted=False), Taker())
            assert caught.value.cause is Cause.UNSAFE

    asyncio.run(ask())
    assert len(hub.exchanges) == 1


def test_an_untrusted_address_that_is_public_is_fine(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is connected to, and the socket is closed in the end."""
    monkeypatch.setattr(wires, "is_public", lambda _: True)  # a test has no other public address to go to
    hub.add("o/r", {"m.json": b"x"})
    taker = Taker()

    async def ask() -> None:
        async with wired() as wire:
            url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"
            await wire(Request(url, trusted=False), taker)
            hub.misbehave("small", faults.rst(after=0))
            with pytest.raises(Cut) as caught:
                await wire(Request(url, trusted=False), Taker())
            assert caught.value.cause is Cause.BROKEN

    asyncio.run(ask())
    assert (bytes(taker.data), taker.heads[0].private) == (b"x", False)


# TLS


def test_tls_with_a_known_authority(tmp_path: Path) -> None:
    """The named file's authorities are trusted."""
    with Hub(tls=True) as hub:
        hub.add("o/r", {"m.json": b"x"})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        taker = Taker()

        async def ask() -> None:
            async with wired(Patience(), ca_file=str(tmp_path / "ca.pem")) as wire:
                await wire(Request(f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"), taker)

        asyncio.run(ask())
        assert taker.data == b"x"


def test_tls_with_an_unknown_authority() -> None:
    """Refused, with the cause; nothing is asked there."""
    with Hub(tls=True) as hub:

        async def ask() -> None:
            async with wired(Patience()) as wire:
                with pytest.raises(Cut) as caught:
                    await wire(Request(f"{hub.url}/x"), Taker())
                assert caught.value.cause is Cause.TLS

        asyncio.run(ask())
        assert hub.exchanges == []


@pytest.mark.parametrize("end", [b"", b"not TLS at all\r\n"])
def test_a_handshake_that_breaks_is_not_a_bad_certificate(end: bytes) -> None:
    """A connection that ends within the handshake is broken: it may be tried again, no certificate was seen."""

    async def ask() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(end)

        async with wired(Patience()) as wire, serving(handler) as url:
            with pytest.raises(Cut) as caught:
                await wire(Request(url.replace("http:", "https:")), Taker())
            assert caught.value.cause is not Cause.TLS

    asyncio.run(ask())


# Proxies


def test_a_proxys_own_answer_is_not_the_sources(tmp_path: Path) -> None:
    """The head of CONNECT's answer is never judged as a reply, and the proxy does not see the token."""
    with Hub(tls=True) as hub:
        hub.add("o/r", {"m.json": b"0123456789"})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        taker, seen = Taker(), bytearray()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend(await reader.readuntil(b"\r\n\r\n"))
            await _relay(bytes(seen), reader, writer)

        async def ask() -> None:
            async with serving(handler) as proxy, wired(Patience(), str(tmp_path / "ca.pem"), lambda _: proxy) as wire:
                url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"
                await wire(Request(url, 3, 5, {"Authorization": "Bearer hf_secret"}), taker)

        asyncio.run(ask())
        assert [head.status for head in taker.heads] == [206]
        assert "x-proxy" not in taker.heads[0].headers
        assert taker.data == b"345"
        assert b"CONNECT" in seen
        assert b"hf_secret" not in seen


async def _relay(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A tunnel to where CONNECT says (RFC 9110 §9.3.6), until the client ends it."""
    host, _, port = head.split()[1].decode().rpartition(":")
    there_reader, there_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    back = asyncio.create_task(pump(there_reader, writer))
    try:
        await pump(reader, there_writer)
    finally:
        back.cancel()
        there_writer.close()
        await there_writer.wait_closed()


@pytest.mark.parametrize(("host", "private"), [("hub.test", False), ("10.0.0.1", True)])
def test_a_private_proxy_does_not_make_the_source_private(host: str, private: bool) -> None:
    """The peer of the connection is the proxy; whether the source is private is then told by its name alone."""
    taker = Taker()

    async def ask() -> None:
        answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        async with serving(answer) as proxy, wired(proxy=lambda _: proxy) as wire:
            await wire(Request(f"http://{host}/x"), taker)

    asyncio.run(ask())
    assert taker.heads[0].private is private


def test_a_proxy_that_refuses_is_a_broken_exchange() -> None:
    """407 to CONNECT is no reply of the source's."""
    taker = Taker()

    async def ask() -> None:
        answer = saying(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        async with serving(answer) as proxy, wired(proxy=lambda _: proxy) as wire:
            with pytest.raises(Cut):
                await wire(Request("https://hub.test/x"), taker)

    asyncio.run(ask())
    assert taker.heads == []
