"""A port to listen at, for `windlass serve` and `windlass hub` alike: uvicorn on a thread, signals on the main one."""

import logging
import signal
import socket
import sys
import threading
from typing import Any, Self

import uvicorn

from windlass.callers import Caller
from windlass.errors import StateFailure

_ENDING = (signal.SIGINT, signal.SIGTERM)
_OVER = 0  # the server has ended; no signal has this number


class Listening:
    """An ASGI app that answers at `url` for as long as the `with` block lasts.

    Args:
        app: what answers.
        host: the address to listen at.
        port: 0 takes any free one.
        grace: seconds that answers under way get at the end.
        callers: what is made of each connection.

    Raises:
        StateFailure: the port cannot be had, or the app does not start.
    """

    def __init__(
        self, app: Any, host: str = "127.0.0.1", port: int = 0, *, grace: int = 2, callers: type[Caller] = Caller
    ) -> None:
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        config = uvicorn.Config(
            app,
            http=callers,
            ws="none",
            log_config=None,
            log_level=logging.ERROR,  # it warns of every request that is no HTTP: anybody could fill the log
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=grace,
        )
        self._server = _Announcing(config)
        self._thread = threading.Thread(target=self._run, name="windlass-http")
        self._heard, self._told = socket.socketpair()  # through which it hears that it is to end, or has ended
        self._told.setblocking(False)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server.up.wait()
        if not self._server.started:
            self.__exit__()
            raise StateFailure(f"The server at {self.url} did not start; the log has the reason.")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        for each in (self._socket, self._heard, self._told):
            each.close()

    def _run(self) -> None:
        try:
            self._server.run([self._socket])
        finally:
            self._server.up.set()
            self._told.send(bytes([_OVER]))

    def until_ended(self) -> None:
        """Say on stdout where it listens, and return at SIGINT or SIGTERM. For the main thread.

        Not uvicorn's own handling: that raises the signal again when it is done, and SIGTERM would not end with exit 0.
        And not an event that a handler sets: the kernel may give the signal to any thread, which does not wake this one
        from waiting for a lock, and so the handler would not run. What is written at once, wherever it arrives, is
        waited for instead.
        """
        before = {number: signal.signal(number, lambda *_: None) for number in _ENDING}
        told_before = signal.set_wakeup_fd(self._told.fileno())
        try:
            sys.stdout.write(f"Listening on {self.url}\n")
            sys.stdout.flush()
            while self._heard.recv(1)[0] not in {*_ENDING, _OVER}:
                pass
        finally:
            signal.set_wakeup_fd(told_before)
            for number, handler in before.items():
                signal.signal(number, handler)


class _Announcing(uvicorn.Server):
    """uvicorn's server with an event instead of a flag to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=512)
    except (OSError, OverflowError) as error:
        hint = "Choose another with --port; 0 takes any free one."
        raise StateFailure(f"Nothing can listen at {host}:{port}: {error}.", hint=hint) from error
    # Accepted connections inherit it. Without it Nagle's algorithm and delayed acknowledgements cost 40 ms an answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
