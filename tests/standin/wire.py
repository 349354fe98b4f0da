"""An HTTP/1.1 server on plain sockets and threads (RFC 9112) that can send exactly the bytes a test wants.

`http.server` was not used: it neither resets a connection, nor sends a wrong length, nor counts what it sent.
"""

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import parse_headers
from typing import IO, Literal
from urllib.parse import parse_qsl, urlsplit

from standin.content import BLOCK, Bytes, Content


@dataclass(frozen=True)
class Request:
    """One request as it came, and, once the hub has read its path, what it asks for."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    connection: int = 0
    kind: str = "other"
    repo: str = ""
    revision: str = "main"
    file: str = ""

    @property
    def path(self) -> str:
        """The path of the target, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Manner:
    """How an answer is sent. After `after` bytes of body comes `then`; None means that all of it is sent well."""

    head: bool = True
    before: threading.Event | None = None
    after: int | None = None
    then: Literal["fin", "rst", "wait"] = "fin"
    gate: threading.Event | None = None  # what `wait` waits for; without one, until the server closes
    framing: Literal["length", "chunked", "close"] = "length"
    rate: int | None = None  # bytes of body per second
    block: int = BLOCK
    pause: float = 0.0  # seconds between blocks, until `gate` opens
    head_pause: float = 0.0  # seconds before each line of the head


@dataclass(frozen=True)
class Reply:
    """An answer; Content-Length is the body's unless set. `offset`: where in the file the body begins."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content = field(default_factory=Bytes)
    offset: int = 0
    manner: Manner = field(default_factory=Manner)


@dataclass
class Exchange:
    """What was asked and what went out; `sent` counts the bytes of body handed to the kernel."""

    request: Request
    status: int = 0
    sent: int = 0
    done: bool = False


class Cut(Exception):
    """The connection is over, as told."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


Answer = Callable[[Request], tuple[Request, Reply]]


class Server:
    """One listening port. `answer` may be called on many threads at once."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._tls = answer, tls
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.peak = 0  # most bodies under way at once
        self._under_way = 0
        self._mute = 0  # connections up to this number say nothing any more
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop at once: every connection is cut, every wait ends."""
        self._closing.set()
        self.refuse()

    def refuse(self) -> None:
        """Refuse connections from now on, and cut those there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def accept_again(self) -> None:
        self._listener = self._listen(self.port)

    def mute(self) -> None:
        """Every connection there is falls silent and stays open, as after the client's sleep; new ones are served."""
        with self._lock:
            self._mute = self.connections

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens at this port within the block."""
        self.refuse()
        yield
        self.accept_again()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            number = self.connections
            self._open.add(plain)
        connection = plain
        with contextlib.suppress(OSError, Cut):  # the client left, or TLS failed: its affair
            if self._tls:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.add(connection)
            self._converse(connection, number)
        with self._lock:
            self._open -= {plain, connection}
        connection.close()

    def _converse(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as incoming:
            while (request := read_request(incoming, number)) is not None:
                request, reply = self._answer(request)
                exchange = Exchange(request, reply.status)
                with self._lock:
                    self.exchanges.append(exchange)
                try:
                    self._send(connection, reply, exchange)
                except Cut as cut:
                    hang_up(connection, cut.how)
                    raise
                if request.headers.get("connection", "").lower() == "close":
                    return

    def _send(self, connection: socket.socket, reply: Reply, exchange: Exchange) -> None:
        manner = reply.manner
        self._stay_mute(exchange)
        if manner.before:
            self._wait(manner.before)
        if not manner.head:
            self._end(manner)
        self._send_head(connection, reply)
        if exchange.request.method != "HEAD" and reply.status not in {204, 304}:
            with self._counted():
                self._send_body(connection, reply, exchange)
        exchange.done = True

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _send_body(self, connection: socket.socket, reply: Reply, exchange: Exchange) -> None:
        manner, size = reply.manner, reply.body.size
        while exchange.sent < size:
            if exchange.sent == manner.after:
                self._end(manner)
            self._stay_mute(exchange)
            until = manner.after if manner.after is not None and manner.after > exchange.sent else size
            data = reply.body.read(exchange.sent, min(self._block(manner), until - exchange.sent))
            framed = b"%x\r\n%b\r\n" % (len(data), data) if manner.framing == "chunked" else data
            # Counted before it is sent: a client that has the bytes must find them counted.
            exchange.sent += len(data)
            if unsent := unsent_of(connection, framed):
                exchange.sent -= min(len(data), unsent)
                raise Cut("fin")
            self._pace(manner, len(data))
        if exchange.sent == manner.after and size:  # a cut after the last byte
            self._end(manner)
        if manner.framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
        elif manner.framing == "close":
            raise Cut("fin")

    def _send_head(self, connection: socket.socket, reply: Reply) -> None:
        pause = reply.manner.head_pause
        for part in head(reply).splitlines(keepends=True) if pause else [head(reply)]:
            self._closing.wait(pause)
            connection.sendall(part)

    def _stay_mute(self, exchange: Exchange) -> None:
        if exchange.request.connection <= self._mute:
            self._wait(threading.Event())

    def _block(self, manner: Manner) -> int:
        if manner.rate:  # 20 blocks a second keep a slow body even
            return max(1, min(manner.block, manner.rate // 20))
        return manner.block if not (manner.pause and manner.gate and manner.gate.is_set()) else BLOCK

    def _pace(self, manner: Manner, sent: int) -> None:
        if manner.rate:
            self._closing.wait(sent / manner.rate)
        elif manner.pause and not (manner.gate and manner.gate.is_set()):
            self._closing.wait(manner.pause)

    def _end(self, manner: Manner) -> None:
        """Cut the connection, or wait for the gate and go on."""
        if manner.then != "wait":
            raise Cut(manner.then)
        self._wait(manner.gate or threading.Event())  # without a gate: until the server closes

    def _wait(self, gate: threading.Event) -> None:
        while not gate.wait(0.05):
            if self._closing.is_set():
                raise Cut("fin")


def unsent_of(connection: socket.socket, data: bytes) -> int:
    """Send all of it; what could not be sent because the client left is the answer."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[connection.send(rest) :]
    except OSError:
        return len(rest)
    return 0


def read_request(incoming: IO[bytes], number: int) -> Request | None:
    """The next request of a connection, its body read and dropped; None at its end."""
    line = incoming.readline(65536).decode("latin-1").split()
    if len(line) != 3:
        return None
    fields = {name.lower(): value for name, value in parse_headers(incoming).items()}
    incoming.read(int(fields.get("content-length", 0)))
    return Request(line[0], line[1], fields, number)


def head(reply: Reply) -> bytes:
    """The status line and the headers."""
    headers = {"Content-Length": str(reply.body.size), **reply.headers}
    if reply.manner.framing != "length":
        del headers["Content-Length"]
        headers |= {"Transfer-Encoding": "chunked"} if reply.manner.framing == "chunked" else {"Connection": "close"}
    reason = HTTPStatus(reply.status).phrase
    lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def hang_up(connection: socket.socket, how: str) -> None:
    """Close with FIN, or with RST once the kernel has sent what it holds, so that N bytes are N bytes."""
    if how == "rst":
        _drain(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        connection.shutdown(socket.SHUT_WR)


def _drain(connection: socket.socket) -> None:
    for _ in range(400):
        unsent = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]
        if unsent == 0:
            return
        threading.Event().wait(0.005)
