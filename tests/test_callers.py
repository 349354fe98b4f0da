"""Those who connect: what is slow is ended, what is too much is refused, and the others notice nothing of it."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar

import pytest

from windlass.callers import Caller
from windlass.listening import Listening

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\n"
GOOD = HEAD + b"four"
LONG = 16 * 1024 * 1024  # more than the system takes on the way


class Hasty(Caller):
    """With deadlines that a test can wait for."""

    most: ClassVar[int] = 4
    to_ask: ClassVar[float] = 0.3
    to_listen: ClassVar[float] = 0.3


class App:
    """Reads the body and answers with it; `/long` answers at length, `/held` when told. It notes how requests ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.ended = threading.Condition()
        self.held = 0
        self._go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            end = "broken off"
            try:
                end = await self._answer(scope, receive, send)
            finally:
                with self.ended:
                    self.ends.append(end)
                    self.ended.notify_all()
            return
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})

    async def _answer(self, scope: Any, receive: Any, send: Any) -> str:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return "gone"
            body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/held":
            with self.ended:
                self.held += 1
                self.ended.notify_all()
            await asyncio.to_thread(self._go.wait, 20)
        answer = {"/long": bytes(LONG), "/held": b"four"}.get(scope["path"], body)
        head = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for start in range(0, len(answer), 65536):
            await send({"type": "http.response.body", "body": answer[start : start + 65536], "more_body": True})
        await send({"type": "http.response.body"})
        return "answered"

    def until_held(self, count: int) -> None:
        with self.ended:
            assert self.ended.wait_for(lambda: self.held >= count, 20)

    def release(self) -> None:
        self._go.set()

    def until(self, end: str) -> None:
        with self.ended:
            assert self.ended.wait_for(lambda: end in self.ends, 20), self.ends


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def listening(app: App) -> Iterator[Listening]:
    with Listening(app, callers=Hasty) as listening:
        yield listening


@contextmanager
def connected(listening: Listening) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", listening.port), timeout=20) as connection:
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    came = b""
    while piece := connection.recv(65536):
        came += piece
    return came


def one_answer(connection: socket.socket) -> bytes:
    """A status line; the body is as long as the one sent."""
    came = b""
    while b"\r\n\r\nfour" not in came:
        piece = connection.recv(65536)
        assert piece, came
        came += piece
    return came.partition(b"\r\n")[0]


@pytest.mark.parametrize("begun", [b"", b"GET / HT", HEAD[:-2]])
def test_a_head_that_does_not_come_is_not_waited_for(listening: Listening, begun: bytes) -> None:
    """Nor a connection on which nothing is asked; it is said why, in the form of all errors."""
    with connected(listening) as connection:
        connection.sendall(begun)
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert json.loads(body)["error"]["code"] == "request_timeout"


def test_a_body_that_does_not_come_is_not_waited_for(listening: Listening, app: App) -> None:
    """The connection is ended, and what was to answer is told."""
    with connected(listening) as connection:
        connection.sendall(HEAD + b"fo")
        assert all_of(connection) == b""
    app.until("gone")


def test_a_trickle_is_no_excuse(listening: Listening) -> None:
    """The time counts from the first byte: a byte now and then does not begin it anew."""
    came = []
    with connected(listening) as connection:

        def trickle() -> None:
            for byte in HEAD * 100:
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    return
                came.append(byte)
                if done.wait(0.02):
                    return

        done = threading.Event()
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            answer = all_of(connection)
        except ConnectionResetError:  # it was still sending when the other side had ended
            answer = b""
        done.set()
        thread.join()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    assert len(came) < len(HEAD) * 100


def test_a_reader_that_takes_nothing_is_not_waited_for(listening: Listening, app: App) -> None:
    """However much there is for him: it is thrown away, and the connection with it."""
    with connected(listening) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n")
        app.until("answered")  # to nobody: what is sent to a closed connection is dropped


def test_one_that_asks_in_time_may_ask_again(listening: Listening) -> None:
    """A kept connection is as good as a new one, and the deadline of one request does not meet the next."""
    with connected(listening) as connection:
        for _ in range(3):
            connection.sendall(HEAD)
            connection.sendall(b"four")
            assert one_answer(connection) == b"HTTP/1.1 200 OK"
        connection.sendall(b"GET / HT")
        assert all_of(connection).startswith(b"HTTP/1.1 408 ")


def test_what_is_no_http_is_told_so(listening: Listening) -> None:
    """In the form of all errors."""
    with connected(listening) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body)["error"]["type"] == "invalid_request"


def test_who_waits_longest_makes_room(listening: Listening) -> None:
    """One that is idle, or has not asked to the end; those that came after it are kept, and the new one is answered."""
    with ExitStack() as opened:
        connections = [opened.enter_context(connected(listening)) for _ in range(4)]
        for connection in connections[1:]:
            connection.sendall(GOOD)
            assert one_answer(connection) == b"HTTP/1.1 200 OK"
        connections[0].sendall(GOOD[:-1])
        late = opened.enter_context(connected(listening))
        late.sendall(GOOD)
        assert one_answer(late) == b"HTTP/1.1 200 OK"
        with suppress(ConnectionResetError):
            assert all_of(connections[0]) == b""
        connections[1].sendall(GOOD)
        assert one_answer(connections[1]) == b"HTTP/1.1 200 OK"


def test_those_who_dawdle_do_not_keep_others_out(listening: Listening) -> None:
    """However many there are: who asks to the end is answered."""
    with ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(connected(listening)).sendall(HEAD[:-2])
            prompt = opened.enter_context(connected(listening))
            prompt.sendall(GOOD)
            assert one_answer(prompt) == b"HTTP/1.1 200 OK"


def test_one_too_many_is_refused(listening: Listening, app: App) -> None:
    """Where all others are being answered; there is room again when one of them ends."""
    with ExitStack() as opened:
        connections = [opened.enter_context(connected(listening)) for _ in range(4)]
        for connection in connections:
            connection.sendall(b"GET /held HTTP/1.1\r\nHost: here\r\n\r\n")
        app.until_held(4)
        with connected(listening) as late:
            head, _, body = all_of(late).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert json.loads(body)["error"]["code"] == "too_many_connections"
        app.release()
        for connection in connections:
            assert one_answer(connection) == b"HTTP/1.1 200 OK"
        with connected(listening) as late:
            late.sendall(GOOD)
            assert one_answer(late) == b"HTTP/1.1 200 OK"
