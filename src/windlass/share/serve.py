"""`windlass hub DIR`, and for tests the same in a thread of another process."""

import logging
from pathlib import Path

from windlass.errors import InvalidRequest
from windlass.listening import Listening
from windlass.share.app import create_app


class Running(Listening):
    """A folder that is served at `url` for as long as the `with` block lasts.

    Args:
        folder: what to serve.
        host: the address to listen at.
        port: 0 takes any free one.

    Raises:
        InvalidRequest: there is no such folder.
        StateFailure: the port cannot be had.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        if not folder.is_dir():
            hint = "Name a folder that holds owner/repo/files."
            raise InvalidRequest(f"{folder} is no folder.", hint=hint, param="dir")
        super().__init__(create_app(folder), host, port)


def serve_folder(folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGINT or SIGTERM, and return then. Prints `Listening on http://HOST:PORT` once it answers.

    Raises:
        InvalidRequest: there is no such folder.
        StateFailure: the port cannot be had.
    """
    _log_to_stderr()
    with Running(folder, host, port) as running:
        running.until_ended()


def _log_to_stderr() -> None:
    """Progress of the hashing, for the person who started this; a program that set up logging keeps its own way."""
    logger = logging.getLogger("windlass.share")
    if not logging.getLogger().handlers and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
