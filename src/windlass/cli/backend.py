"""Who does the work for a command: a server that runs already, or this process itself, on the same state."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from windlass.settings import Settings

Job = Mapping[str, Any]


class Backend(Protocol):
    """What the commands need. `elsewhere` says that jobs go on when this process ends, `where` who does them."""

    elsewhere: bool

    @property
    def where(self) -> str:
        """The server's address, or a word for this process."""

    def download(
        self, model: str, quantization: str | None, prefer: str | None, to: str | None, *, anew: bool = False
    ) -> Job:
        """Start a download; its job, whose `status` may be `already_downloaded`.

        With `anew` nothing counts that hub and catalog have told before.
        """

    def plan(self, model: str, quantization: str | None, prefer: str | None, to: str | None) -> dict[str, Any]:
        """What a download would do."""

    def search(self, text: str, wanted: str | None, limit: int, cursor: str) -> dict[str, Any]:
        """A page of models that can be had."""

    def job(self, job_id: str) -> Job:
        """A job with its files."""

    def take_up(self, job_id: str) -> Job:
        """A job with its files; one that is on its way and that nobody works on is worked on from now on."""

    def jobs(self) -> Mapping[str, Sequence[Job]]:
        """All jobs by status."""

    def act(self, job_id: str, action: str) -> Job:
        """`pause`, `resume` or `cancel` a job."""

    def forget(self, job_id: str) -> None:
        """Remove a job that is over."""

    def rest(self, seconds: float) -> None:
        """Let that time pass, or less where a job's end is known sooner."""


@contextmanager
def backend(settings: Settings) -> Iterator[Backend]:
    """The server at `WINDLASS_URL` if one answers, else the one on this state, else this process."""
    server = server_at(settings)
    if server is not None:
        from windlass.cli.remote import Remote

        with Remote(server, settings.api_token) as remote:
            yield remote
        return
    from windlass.cli.local import Local

    if settings.origin.get("url", "default") != "default":  # who names a server may mean another machine's disk
        said = f"No Windlass server answers at {settings.url} ({settings.origin['url']}): this command works by itself."
        sys.stderr.write(f"{said}\n")
    with Local(settings) as local:
        yield local


def server_at(settings: Settings) -> str | None:
    """The address of the server that does the work, where one does."""
    from windlass.presence import server_of

    own = server_of(settings.home)
    for url in (settings.url, str(own["address"]) if own and own.get("address") else None):
        if url and _answers(url):
            return url
    return None


def _answers(url: str) -> bool:
    """Whether a Windlass server is there; a refused connection, the usual case, costs no import of an HTTP library."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        socket.create_connection((parts.hostname or "", port), timeout=2.0).close()
    except (OSError, ValueError, KeyError):
        return False
    from windlass.client.client import Client

    with Client(url) as client:
        return client.is_windlass()
