"""What a server answers, as types: the JSON of docs/rest.md, field for field. Times are ISO 8601 in UTC.

A field that may be missing is missing, never None, except where LM Studio's own shape has null.
"""

from typing import Any, Literal, NotRequired, TypedDict

Status = Literal["downloading", "paused", "completed", "failed", "already_downloaded"]
Format = Literal["gguf", "mlx", "safetensors"]


class Quantization(TypedDict):
    """A quantization by name, as in `Q4_K_M`."""

    name: str


class Item(TypedDict):
    """One thing that a job brings in: the catalog's texts (`model_yaml`) or the weights (`model`)."""

    type: Literal["model_yaml", "model"]
    id: str
    size_bytes: int
    publisher: NotRequired[str]
    display_name: NotRequired[str]
    url: NotRequired[str]
    format: NotRequired[Format]
    quantization: NotRequired[Quantization]


class Underway(TypedDict):
    """What one connection is at: it stands at byte `position` of the file and goes on to `end`."""

    position: int
    end: int
    bytes_per_second: float


class File(TypedDict):
    """One file of a job; `digest` is `sha256:…` or `git-sha1:…`, the rest is there while it runs, or did lately."""

    path: str
    size_bytes: int
    role: str
    digest: str
    commit: str
    downloaded_bytes: NotRequired[int]
    verified_bytes: NotRequired[int]
    fetched_bytes: NotRequired[int]
    connections: NotRequired[int]
    segments: NotRequired[list[Underway]]
    retries: NotRequired[int]
    note: NotRequired[str]


class Line(TypedDict):
    """A line of a job's log."""

    at: str
    text: str


class Job(TypedDict):
    """A job. `phase` says more than `status`; `error_code` and `error_message` say why it failed, or waits."""

    job_id: str
    status: Status
    total_size_bytes: int
    downloaded_bytes: int
    items: list[Item]
    phase: str
    started_at: str
    bytes_per_second: NotRequired[int]
    estimated_completion: NotRequired[str]
    completed_at: NotRequired[str]
    error_code: NotRequired[str]
    error_message: NotRequired[str]
    model: NotRequired[str]
    priority: NotRequired[int]
    limit_rate: NotRequired[int]
    why: NotRequired[str]
    fits_memory: NotRequired[Literal["gpu", "gpu+ram", "ram", "nowhere", "unknown"]]
    source: NotRequired[str]
    path: NotRequired[str]
    log: NotRequired[list[Line]]
    files: NotRequired[list[File]]


class Limits(TypedDict, total=False):
    """How much may run at once, and how fast: bytes per second over all jobs, None for no limit.

    `schedule` is a list of hours in the server's time zone: `{"days": ["mon"], "from": "08:00", "to": "22:00",
    "limit_rate": 2000000}`.
    """

    max_jobs: int
    connections: int
    limit_rate: int | None
    schedule: list[dict[str, Any]]
    limit_rate_now: int


Model = dict[str, Any]
"""A model as LM Studio's lists have it: `key`, `display_name`, `quantization`, `size_bytes`, `format` and more."""

Plan = dict[str, Any]
"""What a download would do: `items`, `files`, `bytes_to_fetch`, `quantizations`, `fits_disk`, `why` and more."""
