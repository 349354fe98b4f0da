"""The shapes of bodies, for `/openapi.json` and `/docs`. They describe; `views` and `library` make what is sent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.codes import codes_in


class Download(BaseModel):
    """The body of a download."""

    model: str = Field(examples=["qwen/qwen3-4b-2507", "https://huggingface.co/lmstudio-community/Qwen3-4B-GGUF"])
    quantization: str | None = Field(default=None, examples=["Q4_K_M"])


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

    job_id: str = Field(pattern="^job_[0-9a-f]{10}$")
    status: Literal["downloading", "paused", "completed", "failed", "already_downloaded"]
    items: list[Item]
    total_size_bytes: int
    downloaded_bytes: int
    phase: Literal["queued", "resolving", "transferring", "verifying", "done"]
    bytes_per_second: float | None = None
    estimated_completion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    error_code: str | None = Field(default=None, json_schema_extra={"enum": [*codes_in("job")]})
    error_message: str | None = None


class JobPage(BaseModel):
    """Jobs, newest first; `next_cursor` leads to older ones."""

    jobs: list[Job]
    next_cursor: str | None = None


class Change(BaseModel):
    """What may be changed of a job: the urgent run first; bytes per second, null for no limit of its own."""

    priority: int | None = None
    limit_rate: int | None = Field(default=None, examples=[20_000_000])


class Window(BaseModel):
    """Hours with a limit of their own, by the clock on the wall; an end that is not later is on the next day."""

    days: list[str] | None = Field(default=None, examples=[["mon", "tue", "wed", "thu", "fri"]])
    begin: str = Field(alias="from", examples=["08:00"])
    to: str = Field(examples=["18:00"])
    limit_rate: int | None


class LimitChanges(BaseModel):
    """Limits; what is not named stays as it is."""

    max_jobs: int | None = None
    connections: int | None = None
    limit_rate: int | None = None
    schedule: list[Window] | None = None


class JobLists(BaseModel):
    """All jobs by status."""

    downloading: list[Job]
    paused: list[Job]
    completed: list[Job]
    failed: list[Job]


class AnyObject(BaseModel):
    """An object whose fields the guide describes."""

    model_config = ConfigDict(extra="allow")


class Models(BaseModel):
    """Models in LM Studio's shape."""

    models: list[AnyObject]


class ModelList(BaseModel):
    """Models in the v0 and OpenAI shape."""

    object: Literal["list"]
    data: list[AnyObject]


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
    code: str | None = Field(default=None, json_schema_extra={"enum": [*codes_in("answer")]})
    param: str | None = None


class Error(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers that are no success, for an endpoint's description."""
    return {status: {"model": Error} for status in statuses}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a JSON body that is read by hand."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


LIST = {
    "parameters": [
        _query("status", "Only those.", type="string", enum=["downloading", "paused", "completed", "failed"]),
        _query("limit", "Jobs a page.", type="integer", minimum=1, maximum=1000, default=100),
        _query("cursor", "`next_cursor` of the page before.", type="string"),
    ]
}
"""The query of a list of jobs."""
SEARCH = {
    "parameters": [
        _query("q", "Words that the name or the description has.", type="string"),
        _query("format", "Without it, GGUF and MLX.", type="string", enum=["gguf", "mlx", "safetensors"]),
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
