"""A connection to a server that stays open, with one request at a time on it. Cheap, so that the server is measured.

http.client takes a third of a millisecond for an answer, as much as what is measured.
"""

import json
import re
import socket
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

PATIENCE = 60.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


class ServerFailure(Exception):
    """The server did not start, or did not answer as it should; the message is what there is to say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    def content(self) -> Any:
        """What it says, in JSON; a ServerFailure where it says that something is wrong."""
        if self.status != 200:
            raise ServerFailure(f"HTTP {self.status}: {self.body.decode(errors='replace')}")
        return json.loads(self.body)


def get(path: str) -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, content: dict[str, str]) -> bytes:
    """A request with a body in JSON."""
    body = json.dumps(content).encode()
    head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"POST {path} HTTP/1.1\r\n{head}\r\n\r\n".encode() + body


class Line:
    """One connection.

    Raises:
        ServerFailure: there is no answer, or none that can be read. From every method.
    """

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        try:
            self._socket = socket.create_connection((place.hostname or "", place.port or 80), PATIENCE)
        except OSError as error:
            raise ServerFailure(f"{url} is not there: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def ask(self, request: bytes) -> Answer:
        """Send, and wait for the answer."""
        self.send(request)
        while (answer := self.receive()) is None:
            pass
        return answer

    def send(self, request: bytes) -> None:
        """Send a request; the answer to the one before has been received."""
        try:
            self._socket.sendall(request)
        except OSError as error:
            raise ServerFailure(f"nothing could be sent: {error}") from error

    def receive(self) -> Answer | None:
        """Wait for more of the answer; None as long as that is not the whole."""
        try:
            more = self._socket.recv(1 << 20)
        except OSError as error:
            raise ServerFailure(f"no answer: {error}") from error
        if not more:
            raise ServerFailure("the connection was closed in place of an answer")
        self._received += more
        head, _, body = self._received.partition(_END_OF_HEAD)
        length = _LENGTH.search(self._received)
        if length is None or len(body) < int(length[1]):
            return None
        self._received = b""
        return Answer(int(head[9:12]), body)  # "HTTP/1.1 200 OK"
