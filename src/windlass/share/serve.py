"""A port to listen at: `windlass hub DIR` and, for the demo, the same in a thread of another process."""

import logging
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Self

import uvicorn

from windlass.errors import InvalidRequest
from windlass.share.app import create_app

log = logging.getLogger(__name__)

_GRACE = 2  # seconds that answers under way get at the end


class Running:
    """A folder served from a thread, for as long as the `with` block lasts. `url` is its address.

    Args:
        folder: what to serve.
        host: the address to listen at.
        port: 0 takes any free one.

    Raises:
        InvalidRequest: there is no such folder, or the port cannot be had.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        if not folder.is_dir():
            raise InvalidRequest(
                f"{folder} is no folder.", hint="Name a folder that holds owner/repo/files.", param="dir"
            )
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        config = uvicorn.Config(
            create_app(folder),
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = _Announcing(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="windlass-hub")

    def __enter__(self) -> Self:
        self._thread.start()
        self._server.up.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


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


def serve_folder(folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGINT or SIGTERM, and return then. Prints `Listening on http://HOST:PORT` once it answers.

    Raises:
        InvalidRequest: there is no such folder, or the port cannot be had.
    """
    _log_to_stderr()
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    # uvicorn's own handlers raise the signal again when it is done, so SIGTERM would not end with exit 0.
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Running(folder, host, port) as running:
            sys.stdout.write(f"Listening on {running.url}\n")
            sys.stdout.flush()
            ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        hint = "Choose another with --port; 0 takes any free one."
        raise InvalidRequest(f"Nothing can listen at {host}:{port}: {error}.", hint=hint, param="port") from error


def _log_to_stderr() -> None:
    """Progress of the hashing, for the person who started this; a program that set up logging keeps its own way."""
    logger = logging.getLogger("windlass.share")
    if not logging.getLogger().handlers and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
