"""The same client for asyncio: what each call takes, answers and raises is said in `Client`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, cast

import httpx2

from windlass.client import calls
from windlass.client.calls import OWN, Call, Event
from windlass.client.client import OVER, OnProgress, body_of, completed, options_of, unreachable
from windlass.client.failures import failure
from windlass.client.shapes import Job, Limits, Model, Plan


class AsyncClient:
    """Talks to the server at `url`; see `Client`. Of one event loop."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        options = options_of(url, token)
        self.url: str = options["base_url"]
        self._http = httpx2.AsyncClient(**options)
        self._sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
        self._clock: Callable[[], float] = time.monotonic

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def download(  # noqa: PLR0913 - as Client's
        self,
        model: str,
        quantization: str | None = None,
        prefer: str | None = None,
        to: str | None = None,
        *,
        anew: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Job:
        """Start a download, as `Client.download`."""
        job = cast("Job", await self.ask(calls.download((model, quantization, prefer, to), anew=anew)))
        if on_progress is None or "job_id" not in job or job["status"] == "already_downloaded":
            return job
        return await self.wait(job["job_id"], on_progress)

    async def wait(self, job_id: str, on_progress: OnProgress | None = None, interval: float = 0.5) -> Job:
        """Wait until a job is completed, as `Client.wait`; for a limit of time use `asyncio.timeout`."""
        while True:
            job = await self.status(job_id)
            if on_progress:
                on_progress(job)
            if job["status"] in OVER:
                return completed(job)
            await self._sleep(interval)

    async def status(self, job_id: str) -> Job:
        """A job as LM Studio's API tells of it."""
        return cast("Job", await self.ask(Call("GET", f"/api/v1/models/download/status/{job_id}")))

    async def jobs(self) -> dict[str, list[Job]]:
        """All jobs by status."""
        return cast("dict[str, list[Job]]", await self.ask(Call("GET", "/api/v1/models/download/status")))

    async def job(self, job_id: str) -> Job:
        """A job with its files, log and source."""
        return cast("Job", await self.ask(calls.of_job(job_id)))

    async def act(self, job_id: str, action: str) -> Job:
        """`pause`, `resume` or `cancel` a job."""
        return cast("Job", await self.ask(calls.of_job(job_id, f"/{action}", "POST")))

    async def change(self, job_id: str, **changes: int | None) -> Job:
        """Change a job's `priority` or `limit_rate`."""
        return cast("Job", await self.ask(calls.of_job(job_id, method="PATCH", body=changes)))

    async def forget(self, job_id: str) -> None:
        """Remove a job that is over."""
        await self.ask(calls.of_job(job_id, method="DELETE"))

    async def events(self, job_id: str | None = None, last_event_id: str | None = None) -> AsyncIterator[Event]:
        """What happens to all jobs, or to one, without end; as `Client.events`."""
        path = f"{OWN}/jobs/{job_id}/events" if job_id else f"{OWN}/events"
        stream = calls.Stream(last_event_id)
        headers = {"Last-Event-ID": stream.last} if stream.last else {}
        try:
            async with self._http.stream("GET", path, headers=headers, timeout=60.0) as response:
                if not calls.are_events(response.is_success, response.headers):
                    await response.aread()
                    raise failure(response.status_code, response.headers, body_of(response), self.url)
                async for line in response.aiter_lines():
                    for event in stream.feed(line):
                        yield event
        except httpx2.HTTPError as error:
            raise unreachable(self.url, error) from error

    async def plan(
        self, model: str, quantization: str | None = None, prefer: str | None = None, to: str | None = None
    ) -> Plan:
        """What `download` would do."""
        return await self.ask(calls.plan((model, quantization, prefer, to)))

    async def search(
        self, text: str, wanted: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> dict[str, Any]:
        """A page of models that can be had."""
        return await self.ask(calls.search(text, wanted, limit, cursor))

    async def models(self) -> list[Model]:
        """The models on the server's machine that are whole."""
        return cast("list[Model]", (await self.ask(Call("GET", "/api/v1/models")))["models"])

    async def model(self, key: str) -> Model:
        """One model with its files."""
        return await self.ask(calls.of_model(key))

    async def verify(self, key: str, *, repair: bool = False) -> dict[str, Any]:
        """Hash a model again."""
        return await self.ask(calls.of_model(key, "/verify", "POST", {"repair": repair}))

    async def delete(self, key: str) -> dict[str, Any]:
        """Delete a model."""
        return await self.ask(calls.of_model(key, method="DELETE"))

    async def limits(self) -> Limits:
        """How much may run at once, and how fast."""
        return cast("Limits", await self.ask(Call("GET", f"{OWN}/limits")))

    async def set_limits(self, **limits: Any) -> Limits:
        """Change limits at once; what is not named stays."""
        return cast("Limits", await self.ask(Call("PUT", f"{OWN}/limits", limits)))

    async def ask(self, call: Call) -> dict[str, Any]:
        """Make one call; the JSON of a good answer."""
        try:
            response = await self._http.request(call.method, call.path, **call.options)
        except httpx2.HTTPError as error:
            raise unreachable(self.url, error) from error
        return calls.read(response.is_success, response.status_code, response.headers, body_of(response), self.url)
