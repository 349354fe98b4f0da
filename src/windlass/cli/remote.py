"""The commands' work, done by a server."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from windlass.client.client import Client

Job = Mapping[str, Any]


class Remote:
    """A `Backend` over the REST API."""

    elsewhere = True

    def __init__(self, url: str, token: str | None) -> None:
        self._client = Client(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def where(self) -> str:
        """The server's address."""
        return self._client.url

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
        started = self._client.download(model, quantization, prefer, to, anew=anew)
        return {**self._client.job(started["job_id"]), "status": started["status"]}

    def plan(self, model: str, quantization: str | None, prefer: str | None, to: str | None) -> dict[str, Any]:
        """What a download would do."""
        return self._client.plan(model, quantization, prefer, to)

    def search(self, text: str, wanted: str | None, limit: int, cursor: str) -> dict[str, Any]:
        """A page of models that can be had."""
        return self._client.search(text, wanted, limit, cursor)

    def job(self, job_id: str) -> Job:
        """A job with its files."""
        return self._client.job(job_id)

    def take_up(self, job_id: str) -> Job:
        """A job: the server works on it."""
        return self.job(job_id)

    def jobs(self) -> Mapping[str, Sequence[Job]]:
        """All jobs by status."""
        return self._client.jobs()

    def act(self, job_id: str, action: str) -> Job:
        """`pause`, `resume` or `cancel` a job."""
        return self._client.act(job_id, action)

    def forget(self, job_id: str) -> None:
        """Remove a job that is over."""
        self._client.forget(job_id)

    def rest(self, seconds: float) -> None:
        """Let that time pass: a server does not call back."""
        time.sleep(seconds)
