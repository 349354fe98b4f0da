"""A program of somebody else's that listens for webhooks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 60.0


class Listener:
    """What came, in order; `status` is what is answered, with `location`."""

    def __init__(self) -> None:
        self.status = 204
        self.location = ""
        self.came: list[tuple[dict[str, str], bytes]] = []
        self._news = threading.Condition()
        self.url = ""

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self._news:
            self.came.append((headers, body))
            self._news.notify_all()
            return self.status

    def until(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.came) >= count, PATIENCE), self.came


@contextmanager
def listening() -> Iterator[Listener]:
    """One that listens for as long as the block lasts."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(listener.take(dict(self.headers), body))
            self.send_header("Content-Length", "0")
            self.send_header("Location", listener.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener.url = f"http://127.0.0.1:{server.server_port}/hooks/path-that-is-a-secret"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()
