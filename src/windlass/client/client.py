"""A client of a Windlass server, over its public REST API and nothing else.

    from windlass import Client

    with Client() as client:
        job = client.download("qwen/qwen3-4b-2507", on_progress=lambda job: print(job["downloaded_bytes"]))

The two calls that LM Studio's own server has, `download` and `status`, and so `wait`, work there too.
"""

import os
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, Self, cast

import httpx2

from windlass.client import calls
from windlass.client.calls import OWN, Call, Event
from windlass.client.failures import failure, job_failure
from windlass.client.shapes import Job, Limits, Model, Plan
from windlass.errors import ServerFailure, ServerUnreachable

OVER = ("completed", "failed")
OnProgress = Callable[[Job], object]


def options_of(url: str | None, token: str | None) -> dict[str, Any]:
    """How an HTTP client talks to the server at `url`; both are taken from the environment where they are not given."""
    base = calls.base_of(url or os.environ.get("WINDLASS_URL") or "http://127.0.0.1:1234")
    token = token or os.environ.get("LM_API_TOKEN")
    return {
        "base_url": base,
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        # Certificates take longer to read than a server on this machine to answer: plain http goes without.
        "verify": True if base.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        # The environment's proxies are for the way out, not for a server of one's own.
        "trust_env": False,
    }


def unreachable(url: str, error: Exception) -> ServerFailure:
    """What to say where no answer came."""
    if isinstance(error, httpx2.ReadTimeout):
        return ServerFailure(f"{url} took too long to answer.", status=0, remote_code=None)
    return ServerUnreachable(f"No server answers at {url} ({error}).", hint="Start one: windlass serve")


def body_of(response: httpx2.Response) -> Any:
    """The JSON of an answer, None for what is none."""
    try:
        return response.json()
    except ValueError:
        return None


class Client:
    """Talks to the server at `url`. Threads may share it.

    Args:
        url: as in `http://127.0.0.1:1234`; `WINDLASS_URL` if not given. A trailing `/v1` is taken off.
        token: sent where the server asks for one; `LM_API_TOKEN` if not given.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        options = options_of(url, token)
        self.url: str = options["base_url"]
        self._http = httpx2.Client(**options)
        self._sleep: Callable[[float], object] = time.sleep
        self._clock: Callable[[], float] = time.monotonic

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def is_windlass(self) -> bool:
        """Whether a Windlass server answers there (LM Studio's own listens at the same port)."""
        try:
            return "version" in self.ask(Call("GET", f"{OWN}/health", seconds=2.0))
        except ServerFailure:
            return False

    # Downloads

    def download(  # noqa: PLR0913 - each is a word of the API
        self,
        model: str,
        quantization: str | None = None,
        prefer: str | None = None,
        to: str | None = None,
        *,
        anew: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Job:
        """Start a download; its job, whose `status` may be `already_downloaded`.

        Args:
            model: a catalog name, `owner/repo`, or a link to lmstudio.ai or huggingface.co.
            quantization: as in `Q4_K_M`; the server's choice if not given.
            prefer: `gguf`, `mlx` or `safetensors`, if no other format will do.
            to: the models folder that it is to stand in.
            anew: whether the server is to go by nothing that hub and catalog have told it before.
            on_progress: told the job about twice a second; then this returns when the job is completed, as `wait`.

        Raises:
            ServerFailure: the server's own error, also of the class whose code it has, such as ModelNotFound.
            ServerUnreachable: nobody answers.
        """
        job = cast("Job", self.ask(calls.download((model, quantization, prefer, to), anew=anew)))
        if on_progress is None or "job_id" not in job or job["status"] == "already_downloaded":
            return job
        return self.wait(job["job_id"], on_progress)

    def wait(
        self,
        job_id: str,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        interval: float = 0.5,
    ) -> Job:
        """Wait until a job is completed; the job as it is then. One that is paused is waited for too.

        Args:
            job_id: the job's.
            on_progress: told the job each time.
            timeout: seconds after which to give up; None for never.
            interval: seconds between looks.

        Raises:
            TimeoutError: it is not over by then. The job goes on.
            ServerFailure: the error that it failed with, or the server's own.
        """
        end = None if timeout is None else self._clock() + timeout
        while True:
            job = self.status(job_id)
            if on_progress:
                on_progress(job)
            if job["status"] in OVER:
                return completed(job)
            if end is not None and self._clock() + interval > end:
                raise TimeoutError(f"Job {job_id} is not over after {timeout} seconds; it goes on.")
            self._sleep(interval)

    def status(self, job_id: str) -> Job:
        """A job as LM Studio's API tells of it. Raises ServerFailure."""
        return cast("Job", self.ask(Call("GET", f"/api/v1/models/download/status/{job_id}")))

    def jobs(self) -> dict[str, list[Job]]:
        """All jobs by status, newest first. Raises ServerFailure."""
        return cast("dict[str, list[Job]]", self.ask(Call("GET", "/api/v1/models/download/status")))

    def job(self, job_id: str) -> Job:
        """A job with its files, log and source. Raises ServerFailure."""
        return cast("Job", self.ask(calls.of_job(job_id)))

    def act(self, job_id: str, action: str) -> Job:
        """`pause`, `resume` or `cancel` a job; the job after it. Raises ServerFailure."""
        return cast("Job", self.ask(calls.of_job(job_id, f"/{action}", "POST")))

    def change(self, job_id: str, **changes: int | None) -> Job:
        """Change a job's `priority` or `limit_rate` (bytes per second, None for none). Raises ServerFailure."""
        return cast("Job", self.ask(calls.of_job(job_id, method="PATCH", body=changes)))

    def forget(self, job_id: str) -> None:
        """Remove a job that is over; the model stays. Raises ServerFailure."""
        self.ask(calls.of_job(job_id, method="DELETE"))

    def events(self, job_id: str | None = None, last_event_id: str | None = None) -> Iterator[Event]:
        """What happens to all jobs, or to one: first how those that are not over are, then each change, without end.

        After an interruption go on with the `id` of the last event.

        Raises:
            ServerFailure: the server refuses, or the connection broke.
        """
        path = f"{OWN}/jobs/{job_id}/events" if job_id else f"{OWN}/events"
        stream = calls.Stream(last_event_id)
        headers = {"Last-Event-ID": stream.last} if stream.last else {}
        try:
            # A sign of life comes every 15 seconds.
            with self._http.stream("GET", path, headers=headers, timeout=60.0) as response:
                if not calls.are_events(response.is_success, response.headers):
                    response.read()
                    raise failure(response.status_code, response.headers, body_of(response), self.url)
                yield from stream.lines(response.iter_lines())
        except httpx2.HTTPError as error:
            raise unreachable(self.url, error) from error

    # Models

    def plan(
        self, model: str, quantization: str | None = None, prefer: str | None = None, to: str | None = None
    ) -> Plan:
        """What `download` would do, and what else there is to choose from; nothing is written. Raises ServerFailure."""
        return self.ask(calls.plan((model, quantization, prefer, to)))

    def search(
        self, text: str, wanted: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> dict[str, Any]:
        """A page of `models` that can be had; `next_cursor` leads to the next. Raises ServerFailure."""
        return self.ask(calls.search(text, wanted, limit, cursor))

    def models(self) -> list[Model]:
        """The models on the server's machine that are whole. Raises ServerFailure."""
        return cast("list[Model]", self.ask(Call("GET", "/api/v1/models"))["models"])

    def model(self, key: str) -> Model:
        """One model with its files. Raises ServerFailure."""
        return self.ask(calls.of_model(key))

    def verify(self, key: str, *, repair: bool = False) -> dict[str, Any]:
        """Hash a model again: `whole`, and a `verdict` for each of `files`; with `repair` the `job` that mends it.

        Takes a second for each gigabyte or so. Raises ServerFailure.
        """
        return self.ask(calls.of_model(key, "/verify", "POST", {"repair": repair}))

    def delete(self, key: str) -> dict[str, Any]:
        """Delete a model: what was `removed`, what is `kept` for others, `freed_bytes`. Raises ServerFailure."""
        return self.ask(calls.of_model(key, method="DELETE"))

    # The server

    def limits(self) -> Limits:
        """How much may run at once, and how fast. Raises ServerFailure."""
        return cast("Limits", self.ask(Call("GET", f"{OWN}/limits")))

    def set_limits(self, **limits: Any) -> Limits:
        """Change limits at once; what is not named stays. Raises ServerFailure."""
        return cast("Limits", self.ask(Call("PUT", f"{OWN}/limits", limits)))

    def ask(self, call: Call) -> dict[str, Any]:
        """Make one call; the JSON of a good answer.

        Raises:
            ServerUnreachable: nobody answers.
            ServerFailure: the server's own error.
        """
        try:
            response = self._http.request(call.method, call.path, **call.options)
        except httpx2.HTTPError as error:
            raise unreachable(self.url, error) from error
        return calls.read(response.is_success, response.status_code, response.headers, body_of(response), self.url)


def completed(job: Job) -> Job:
    """The job, which is over. Raises ServerFailure where it failed."""
    if job["status"] == "failed":
        raise job_failure(job)
    return job
