"""A client of a Windlass server, over its public REST API and nothing else."""

import ssl
from typing import Any, Self

import httpx2

from windlass.errors import ServerFailure, ServerUnreachable


class Client:
    """Talks to the server at `url`.

    Args:
        url: as in `http://127.0.0.1:1234`; a trailing `/v1` is taken off, as clients of OpenAI's API write it.
        token: sent as a bearer token where the server asks for one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Certificates take longer to read than a server on this machine to answer: plain http goes without.
        verify = True if self.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The environment's proxies are for the way out, not for a server of one's own.
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=60.0, trust_env=False, verify=verify)

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
            return "version" in self.ask("GET", "/api/windlass/v1/health", timeout=2.0)
        except ServerFailure:
            return False

    def download(
        self,
        model: str,
        quantization: str | None = None,
        prefer: str | None = None,
        to: str | None = None,
        *,
        anew: bool = False,
    ) -> dict[str, Any]:
        """Start a download; the job, as the contract has it. Raises ServerFailure.

        With `anew` the server goes by nothing that hub and catalog have told it before.
        """
        headers = {"Cache-Control": "no-cache"} if anew else {}
        wish = _wish(model, quantization, prefer, to)
        return self.ask("POST", "/api/v1/models/download", json=wish, headers=headers)

    def plan(
        self, model: str, quantization: str | None = None, prefer: str | None = None, to: str | None = None
    ) -> dict[str, Any]:
        """What a download would do. Raises ServerFailure."""
        return self.ask("POST", "/api/windlass/v1/plan", json=_wish(model, quantization, prefer, to))

    def search(
        self, text: str, wanted: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> dict[str, Any]:
        """A page of models that can be had. Raises ServerFailure."""
        query = {"q": text, "format": wanted, "limit": limit, "cursor": cursor}
        params = {name: value for name, value in query.items() if value}
        return self.ask("GET", "/api/windlass/v1/search", params=params)

    def job(self, job_id: str) -> dict[str, Any]:
        """A job with its files. Raises ServerFailure."""
        return self.ask("GET", f"/api/windlass/v1/jobs/{job_id}")

    def jobs(self) -> dict[str, list[dict[str, Any]]]:
        """All jobs by status. Raises ServerFailure."""
        return self.ask("GET", "/api/v1/models/download/status")

    def models(self) -> list[dict[str, Any]]:
        """The models on the server's machine. Raises ServerFailure."""
        rows: list[dict[str, Any]] = self.ask("GET", "/api/v1/models")["models"]
        return rows

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        """`pause`, `resume` or `cancel` a job. Raises ServerFailure."""
        return self.ask("POST", f"/api/windlass/v1/jobs/{job_id}/{action}")

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One call; the JSON of a good answer.

        Raises:
            ServerUnreachable: nobody answers.
            ServerFailure: the server's own error.
        """
        try:
            response = self._http.request(method, path, **options)
        except httpx2.ReadTimeout as error:
            raise ServerFailure(f"{self.url} took too long to answer.", status=0, remote_code=None) from error
        except httpx2.HTTPError as error:
            raise ServerUnreachable(
                f"No server answers at {self.url} ({error}).", hint="Start one: windlass serve"
            ) from error
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and isinstance(body, dict):
            return body
        raise _failure(response.status_code, body, self.url)


def _wish(model: str, quantization: str | None, prefer: str | None, to: str | None) -> dict[str, str]:
    body = {"model": model, "quantization": quantization, "format": prefer, "to": to}
    return {name: value for name, value in body.items() if value is not None}


def _failure(status: int, body: Any, url: str) -> ServerFailure:
    detail = body.get("error") if isinstance(body, dict) else None
    if not isinstance(detail, dict):
        return ServerFailure(
            f"{url} does not answer as a Windlass server does (HTTP {status}).", status=status, remote_code=None
        )
    message = str(detail.get("message", f"HTTP {status}"))
    code = detail.get("code") or detail.get("type")
    return ServerFailure(message, status=status, remote_code=str(code) if code else None)
