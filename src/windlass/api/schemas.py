"""The shapes of bodies, for `/openapi.json` and `/docs`. They describe; `views` and `library` make what is sent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.codes import codes_in

_STATUSES = ("downloading", "paused", "completed", "failed")
_CLOCK = r"^(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)$"


class Download(BaseModel):
    """The body of a download."""

    model: str = Field(
        pattern=r"\S",
        description="A name of the catalog, a link to lmstudio.ai or huggingface.co, or `owner/repo`.",
        examples=["qwen/qwen3-4b-2507", "https://huggingface.co/lmstudio-community/Qwen3-4B-GGUF"],
    )
    quantization: str | None = Field(default=None, examples=["Q4_K_M"])
    format: Literal["gguf", "mlx", "safetensors"] | None = Field(default=None, description="If no other will do.")
    to: str | None = Field(default=None, description="The models folder that it is to stand in, by its path.")


class Quantization(BaseModel):
    """A quantization by name."""

    name: str


class Item(BaseModel):
    """One thing that a job brings in: the catalog's texts (`model_yaml`) or the weights (`model`)."""

    type: Literal["model_yaml", "model"]
    id: str
    size_bytes: int
    publisher: str | None = None
    display_name: str | None = None
    url: str | None = None
    quantization: Quantization | None = None
    format: Literal["gguf", "mlx", "safetensors"] | None = None


class Job(BaseModel):
    """A download job. Times are UTC, ISO 8601; optional fields that have no value are left out."""

    model_config = ConfigDict(extra="allow")

    job_id: str = Field(pattern="^job_[0-9a-f]{10}$", description="`job_` and ten hex digits.")
    status: Literal["downloading", "paused", "completed", "failed", "already_downloaded"]
    items: list[Item] = Field(description="What it brings in.")
    total_size_bytes: int
    downloaded_bytes: int = Field(description="What is kept, whatever happens to the process.")
    phase: Literal["queued", "resolving", "transferring", "verifying", "done"] = Field(
        description="More than `status` says."
    )
    bytes_per_second: int | None = None
    estimated_completion: str | None = None
    started_at: str | None = Field(default=None, description="When it was asked for.")
    completed_at: str | None = None
    error_code: str | None = Field(
        default=None,
        description="Why it failed, or waits for room on the disk.",
        json_schema_extra={"enum": [*codes_in("job")]},
    )
    error_message: str | None = None


class JobRow(Job):
    """A job in Windlass's own list."""

    model: str
    priority: int = Field(description="Higher runs first; 0 to begin with.")
    limit_rate: int | None = Field(default=None, description="Bytes per second, for this job alone.")


class JobPage(BaseModel):
    """Jobs, newest first; `next_cursor` leads to older ones."""

    jobs: list[JobRow]
    next_cursor: str | None = None


class Change(BaseModel):
    """What may be changed of a job: the urgent run first; bytes per second, null for no limit of its own."""

    model_config = ConfigDict(extra="forbid")

    priority: int = Field(default=0, ge=-(2**31), lt=2**31, examples=[5])
    limit_rate: int | None = Field(default=None, ge=1, lt=2**63, examples=[20_000_000])


class Window(BaseModel):
    """Hours with a limit of their own, by the clock on the wall; an end that is not later is on the next day."""

    model_config = ConfigDict(extra="forbid")

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1
    )
    begin: str = Field(alias="from", pattern=_CLOCK, examples=["08:00"])
    to: str = Field(pattern=_CLOCK, examples=["18:00"])
    limit_rate: int | None = Field(ge=1, lt=2**63)


class LimitChanges(BaseModel):
    """Limits; what is not named stays as it is. Bytes per second, null for no limit."""

    model_config = ConfigDict(extra="forbid")

    max_jobs: int = Field(default=3, ge=1, lt=2**63, description="Jobs that transfer at once.", examples=[2])
    connections: int = Field(default=8, ge=1, lt=2**63, description="The most that one file may use.")
    limit_rate: int | None = Field(default=None, ge=1, lt=2**63, description="Over all jobs.", examples=[20_000_000])
    schedule: list[Window] = Field(default=[], max_length=100, description="Outside of it `limit_rate` holds.")


class LimitsNow(LimitChanges):
    """The limits in force; what has no value is left out. `limit_rate_now` is that of the schedule, at this hour."""

    limit_rate_now: int | None = None


class Health(BaseModel):
    """One line of engine state."""

    status: Literal["ok"]
    version: str
    engine: Literal["running", "stopped"]
    jobs_running: int
    jobs_queued: int


class Cancel(BaseModel):
    """What is to become of what has come so far."""

    keep_partial: bool = Field(default=False, description="Whether it stays, for a job to come.", examples=[True])


class Removed(BaseModel):
    """A job that is forgotten."""

    job_id: str
    removed: Literal[True]


class Underway(BaseModel):
    """What one connection is at: it stands at byte `position` of the file and goes on to `end`."""

    position: int
    end: int
    bytes_per_second: float


class JobFile(BaseModel):
    """One file of a job, and what its connections do right now."""

    model_config = ConfigDict(extra="allow")

    path: str
    size_bytes: int
    role: str
    digest: str = Field(examples=["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    commit: str
    downloaded_bytes: int | None = Field(default=None, description="What is kept.")
    verified_bytes: int | None = Field(default=None, description="What is hashed.")
    fetched_bytes: int | None = Field(default=None, description="What came over the network, in this process.")
    connections: int | None = None
    segments: list[Underway] | None = None
    retries: int | None = None
    note: str | None = None


class LogLine(BaseModel):
    """What happened to a job, and when."""

    at: str
    text: str


class JobLists(BaseModel):
    """All jobs by status."""

    downloading: list[Job]
    paused: list[Job]
    completed: list[Job]
    failed: list[Job]


class JobDetail(JobRow):
    """A job with all that is known of it."""

    why: str = Field(description="Why these files.")
    fits_memory: Literal["gpu", "gpu+ram", "ram", "nowhere", "unknown"] | None = None
    source: str | None = Field(default=None, description="Where it comes from: the repository, at its commit.")
    log: list[LogLine]
    files: list[JobFile]
    path: str | None = Field(default=None, description="Where the model stands, once it is whole.")


class Verify(BaseModel):
    """Whether what is damaged is to be fetched again."""

    repair: bool = False


class CheckedFile(BaseModel):
    """One file as it was found; `damaged_chunks` are of 16 MiB each, counted from 0."""

    path: str
    size_bytes: int
    verdict: Literal["whole", "damaged", "missing", "unknown"]
    damaged_chunks: list[int] | None = None


class Checkup(BaseModel):
    """What a check found; `job` mends it."""

    key: str
    whole: bool
    files: list[CheckedFile]
    job: JobRow | None = None


class RemovedModel(BaseModel):
    """What was removed; `kept` is what other models need."""

    key: str
    removed: list[str]
    kept: list[str]
    freed_bytes: int


class ModelFile(BaseModel):
    """One file of a model, by its path below the models folder."""

    path: str
    size_bytes: int
    role: str
    verified: bool
    digest: str | None = None
    verified_at: str | None = None
    repository: str | None = None
    commit: str | None = None
    source: str | None = None


class Update(BaseModel):
    """What a download of the model would change: its repository has moved on, or the catalog's model.yaml has.

    `files` are those that changed or came, by their paths below the models folder, and `owner/name/model.yaml` of the
    catalog; `bytes_to_fetch` is of the files, without what is on the machine already. A new README is no update.
    """

    commit: str
    newest_commit: str
    files: list[str]
    bytes_to_fetch: int


class ModelDetail(BaseModel):
    """A model as `/api/v1/models` lists it, where it stands, and its files.

    `update` is there only when there is something newer. It is left out too where nobody knows: the hub does not
    answer soon, or somebody else has put the model here. What the hub told is kept for ten minutes.
    """

    model_config = ConfigDict(extra="allow")

    key: str
    id: str
    path: str
    verified: bool
    finished_at: str | None = None
    files: list[ModelFile]
    update: Update | None = None


class Offer(BaseModel):
    """A model that can be had; `id` is what a download takes."""

    id: str
    source: Literal["catalog", "huggingface"]
    publisher: str
    display_name: str
    formats: list[Literal["gguf", "mlx", "safetensors"]]
    url: str
    gated: bool
    description: str | None = None
    params_string: str | None = None
    downloads: int | None = None
    likes: int | None = None
    updated_at: str | None = None


class Found(BaseModel):
    """A page of what a search found; `next_cursor` leads to the next one."""

    models: list[Offer]
    warnings: list[str]
    next_cursor: str | None = None


class ErrorDetail(BaseModel):
    """What happened and what to do next, with a stable code."""

    model_config = ConfigDict(extra="allow")

    type: str
    message: str
    hint: str | None = Field(default=None, description="What to do next; the end of the message.")
    code: str | None = Field(default=None, json_schema_extra={"enum": [*codes_in("answer")]})
    param: str | None = None


class Error(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers that are no success, for an endpoint's description."""
    return {status: {"model": Error} for status in statuses}


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The description of a JSON body that is read by hand."""
    schema = model.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """With each part in the place where it is referred to: a body's description stands alone."""
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {name: _inlined(value, parts) for name, value in schema.items()}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


ANEW = {
    "parameters": [
        {
            "name": "Cache-Control",
            "in": "header",
            "required": False,
            "description": "`no-cache`: ask hub and catalog now, whatever they have told in the last seconds.",
            "schema": {"type": "string"},
        }
    ]
}
"""The header by which a download goes by nothing that was told before."""
LIST = {
    "parameters": [
        _query("status", "Only those.", type="string", enum=["", *_STATUSES], examples=["downloading"]),
        _query("limit", "Jobs a page.", type="integer", minimum=1, maximum=1000, default=100),
        _query("cursor", "`next_cursor` of the page before.", type="string", pattern=r"^[0-9]{0,18}$"),
    ]
}
"""The query of a list of jobs."""
SEARCH = {
    "parameters": [
        _query("q", "Words that the name or the description has.", type="string", examples=["qwen3"]),
        _query(
            "format",
            "Without it, GGUF and MLX.",
            type="string",
            enum=["", "gguf", "mlx", "safetensors"],
            examples=["gguf"],
        ),
        _query("limit", "Models a page.", type="integer", minimum=1, maximum=100, default=20),
        _query("cursor", "`next_cursor` of the page before.", type="string"),
    ]
}
"""The query of a search, which is read by hand too."""

EVENTS = {
    "description": "`id`, `event` (`job` or `removed`) and `data`, which is JSON; `Last-Event-ID` resumes.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
"""The answer that is a stream of events."""
