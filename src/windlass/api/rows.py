"""The shapes of a plan and of rows of the model lists, for `/openapi.json`; see `schemas`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.api.schemas import Item


class PlannedFile(BaseModel):
    """One file that a download would see to, by its path below the models folder."""

    model_config = ConfigDict(extra="allow")

    path: str
    size_bytes: int
    role: str = Field(description="What it is for.")
    digest: str = Field(description="What its content must hash to: `sha256:…` or `git-sha1:…`.")
    commit: str
    state: Literal["present", "unverified", "other", "absent", "partial", "elsewhere"] = Field(
        description="`unverified`: of that size, not hashed; `other`: something else; `elsewhere`: it is not fetched."
    )
    downloaded_bytes: int = Field(description="Bytes that need not be fetched any more.")
    elsewhere: str | None = Field(default=None, description="Where else on this machine it is.")


class Choice(BaseModel):
    """A quantization that the model comes in."""

    name: str
    format: Literal["gguf", "mlx", "safetensors"]
    size_bytes: int
    default: bool = Field(description="It is taken when none is asked for.")
    selected: bool = Field(description="It is the one of this plan.")
    fits_disk: bool
    memory_bytes: int = Field(description="A guess of what it takes to run it.")
    fits_memory: Literal["gpu", "gpu+ram", "ram", "nowhere", "unknown"]


class Plan(BaseModel):
    """What a download would do, and what else there is to choose from."""

    model_config = ConfigDict(extra="allow")

    model: str
    publisher: str
    display_name: str
    url: str
    format: Literal["gguf", "mlx", "safetensors"]
    quantization: str | None = None
    why: str = Field(description="Why these files.")
    gated: bool = Field(description="Access is granted per person.")
    items: list[Item]
    files: list[PlannedFile]
    total_size_bytes: int
    bytes_to_fetch: int = Field(description="Without what is on this machine already.")
    models_dir: str
    free_bytes: int = Field(description="What may be used of that disk.")
    fits_disk: bool
    quantizations: list[Choice]
    ram_bytes: int | None = None
    gpu_bytes: int | None = None
    warnings: list[str]


class ModelRow(BaseModel):
    """A model in LM Studio's shape, which has null where nothing is known."""

    model_config = ConfigDict(extra="allow")

    type: Literal["llm", "embedding"]
    publisher: str
    key: str = Field(description="What the calls for one model take.")
    display_name: str
    size_bytes: int
    quantization: dict[str, Any] | None = Field(description="`name` and `bits_per_weight`.")
    params_string: str | None
    format: Literal["gguf", "mlx"]
    max_context_length: int = Field(description="Tokens; 0 where it is not known.")
    loaded_instances: list[Any] = Field(description="Always empty: Windlass runs no models.")


class Models(BaseModel):
    """Models in LM Studio's shape."""

    models: list[ModelRow]


class V0Row(BaseModel):
    """A model in LM Studio's older shape."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["model"]
    type: Literal["llm", "vlm", "embeddings"]
    publisher: str
    compatibility_type: str
    state: Literal["not-loaded"]
    max_context_length: int | None = Field(default=None, description="Tokens.")
    arch: str | None = None
    quantization: str | None = None


class V0List(BaseModel):
    """Models in LM Studio's older shape."""

    object: Literal["list"]
    data: list[V0Row]


class OpenAIRow(BaseModel):
    """A model in OpenAI's shape."""

    id: str
    object: Literal["model"]
    owned_by: str


class OpenAIList(BaseModel):
    """Models in OpenAI's shape."""

    object: Literal["list"]
    data: list[OpenAIRow]
