"""The commands' work, done by a server."""

import time
from typing import Any

from windlass.client.client import Client

Job = dict[str, Any]


class Remote(Client):
    """A `Backend` over the REST API."""

    elsewhere = True

    @property
    def where(self) -> str:
        """The server's address."""
        return self.url

    def download(
        self,
        model: str,
        quantization: str | None = None,
        prefer: str | None = None,
        to: str | None = None,
        *,
        anew: bool = False,
    ) -> Job:
        """Start a download; its job with its files."""
        started = super().download(model, quantization, prefer, to, anew=anew)
        return {**self.job(started["job_id"]), "status": started["status"]}

    def wait(self, seconds: float) -> None:
        """Let that time pass: a server does not call back."""
        time.sleep(seconds)
