"""The calls of the REST API as values, and what comes of an answer: the same for both clients."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from windlass.client.failures import failure

OWN = "/api/windlass/v1"

Wish = tuple[str, str | None, str | None, str | None]
"""What is to be brought in: model, quantization, format, models folder."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `body` is sent as JSON; `seconds` without a sign of life after which it counts as failed."""

    method: str
    path: str
    body: Any = None
    params: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float | None = 60.0

    @property
    def options(self) -> dict[str, Any]:
        """As an HTTP client takes them."""
        sent = {} if self.body is None else {"json": self.body}
        return {"params": self.params, "headers": self.headers, "timeout": self.seconds, **sent}


class Event(NamedTuple):
    """Something that happened: `kind` is `job` (then `data` is a Job) or `removed` (then it has a `job_id`).

    `id` is where to go on from (`last_event_id`).
    """

    kind: str
    data: dict[str, Any]
    id: str


def base_of(url: str) -> str:
    """The address as calls are put after it; clients of OpenAI's API write a trailing `/v1`, and people no scheme."""
    url = url if "://" in url else f"http://{url}"
    return url.rstrip("/").removesuffix("/v1")


def are_events(good: bool, headers: Mapping[str, str]) -> bool:
    """Whether an answer is a stream of events: what is no Windlass may answer any path well, with a page."""
    return good and headers.get("content-type", "").startswith("text/event-stream")


def download(wish: Wish, *, anew: bool) -> Call:
    """Start a download."""
    headers = {"Cache-Control": "no-cache"} if anew else {}
    return Call("POST", "/api/v1/models/download", _body(wish), headers=headers)


def plan(wish: Wish) -> Call:
    """What it would do."""
    return Call("POST", f"{OWN}/plan", _body(wish))


def _body(wish: Wish) -> dict[str, str]:
    names = ("model", "quantization", "format", "to")
    return {name: value for name, value in zip(names, wish, strict=True) if value is not None}


def of_job(job_id: str, verb: str = "", method: str = "GET", body: Any = None) -> Call:
    """One job, or something that is done with it."""
    return Call(method, f"{OWN}/jobs/{quote(job_id, safe='')}{verb}", body)


def of_model(key: str, verb: str = "", method: str = "GET", body: Any = None) -> Call:
    """One model, or something that is done with it: hashing takes as long as it takes."""
    return Call(method, f"{OWN}/models/{quote(key, safe='')}{verb}", body, seconds=None if verb else 60.0)


def search(text: str, wanted: str | None, limit: int, cursor: str | None) -> Call:
    """Models that can be had."""
    query = {"q": text, "format": wanted, "limit": limit, "cursor": cursor}
    return Call("GET", f"{OWN}/search", params={name: value for name, value in query.items() if value})


def read(good: bool, status: int, headers: Mapping[str, str], body: Any, url: str) -> dict[str, Any]:
    """The JSON of a good answer. Raises ServerFailure."""
    if good and isinstance(body, dict) and "error" not in body:  # LM Studio says 200 to what it does not know
        return body
    raise failure(status, headers, body, url)


class Stream:
    """Server-sent events out of lines, as they come."""

    def __init__(self, last: str | None) -> None:
        self.last = last or ""
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Iterable[Event]:
        """Take one line; the event that it ends, if it does."""
        if line:
            name, _, value = line.partition(":")
            before = f"{self._fields[name]}\n" if name == "data" and name in self._fields else ""
            self._fields[name] = before + value.removeprefix(" ")
            return
        fields, self._fields = self._fields, {}
        self.last = fields.get("id", self.last)
        if "data" in fields:
            yield Event(fields.get("event", "message"), json.loads(fields["data"]), self.last)

    def lines(self, lines: Iterable[str]) -> Iterator[Event]:
        """The events of all lines."""
        for line in lines:
            yield from self.feed(line)
