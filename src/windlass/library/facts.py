"""The value `Model`: one model on the shelf in one quantization, with all that the lists tell about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from windlass.library.heads import Head
from windlass.manifest import Format, Role
from windlass.quantization import bits_of

# `30B`, `0.6B`, `8x7B`, `270M`, `30B-A3B` as a word of a name.
_PARAMETERS = re.compile(r"(?<![A-Za-z0-9.])(?:\d+x)?\d+(?:\.\d+)?[BM](?:-A\d+(?:\.\d+)?B)?(?![A-Za-z0-9])", re.I)
_HALF = re.compile(r"[\ud800-\udfff]")
_NO_HEAD = Head()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ShelfFile:
    """One file of a model: `path` below the models folder, `size` in bytes, whether a receipt says it was verified."""

    path: str
    size: int
    role: Role
    verified: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A model as its receipt or its folder presents it, before its head is read.

    Attributes:
        id: `owner/name` in the catalog, else `owner/repo`.
        models_dir: below which all of it stands.
        hand: what to hand to a program, below `models_dir`: the first shard of a GGUF, the folder of other weights.
        overrides: the catalog's `metadataOverrides`; they go before what the files say.
        finished_at: when Windlass had brought it in whole; empty for what was there before.
    """

    id: str
    repo: str
    publisher: str
    display_name: str
    format: Format
    quantization: str | None
    files: tuple[ShelfFile, ...]
    models_dir: Path
    hand: str
    catalog: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One model on the shelf in one quantization. `key` is unique among all models listed together.

    Attributes:
        found: what it is called, its format, its quantization, its files.
        type: `embedding` for models that turn text into vectors, else `llm`.
        bits_per_weight: as the quantization's name has it.
        reasoning: whether it can think first (True), or can also be told not to ("mixed").
        variants: of a catalog model: `id@quantization` of each that is here, in the order they came.
    """

    found: Found
    type: Literal["llm", "embedding"]
    architecture: str | None
    quantization: str | None
    bits_per_weight: float | None
    params_string: str | None
    max_context_length: int | None
    vision: bool
    tool_use: bool
    reasoning: bool | Literal["mixed"]
    description: str | None
    key: str = ""
    variants: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`owner/name` in the catalog, else `owner/repo`."""
        return self.found.id

    @property
    def path(self) -> Path:
        """What to hand to a program that runs it: the first shard of a GGUF, the folder of other weights."""
        return self.found.models_dir / self.found.hand

    @property
    def files(self) -> tuple[ShelfFile, ...]:
        """All files of it."""
        return self.found.files

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.found.files)

    @property
    def verified(self) -> bool:
        """Whether every file was hashed and has not changed since."""
        return all(file.verified for file in self.found.files)

    @property
    def selected_variant(self) -> str | None:
        """Of a catalog model: which of the variants this one is."""
        return variant_of(self) if self.found.catalog else None


def variant_of(model: Model) -> str:
    """`id@quantization`, in lower case as LM Studio writes it; the format stands in for a quantization without name."""
    return f"{model.id}@{(model.quantization or model.found.format).lower()}"


def describe(found: Found, head: Head | None) -> Model:
    """All that is known of a model; what the catalog says goes before what the files say, which goes before names.

    Args:
        found: what is on the shelf.
        head: None where the files do not tell: verified bytes are listed even if no one can read them.
    """
    head = head or _NO_HEAD
    told = found.overrides
    quantization = found.quantization or head.quantization
    embedding = head.embedding or told.get("domain") == "embedding"
    return Model(
        found=found,
        type="embedding" if embedding else "llm",
        architecture=head.architecture or _first(told.get("architectures"), str),
        quantization=quantization,
        bits_per_weight=bits_of(quantization),
        params_string=_first(told.get("paramsStrings"), str) or head.size_label or _params(found, head.parameters),
        max_context_length=_first(told.get("contextLengths"), int) or head.context_length,
        vision=_flag(told, "vision", head.vision or any(file.role == "projector" for file in found.files)),
        tool_use=_flag(told, "trainedForToolUse", head.tool_use),
        reasoning=_reasoning(told.get("reasoning")),
        description=_text(told.get("description")),
    )


def _params(found: Found, count: int | None) -> str | None:
    named = _PARAMETERS.search(found.repo.partition("/")[2])
    if named:
        return named[0].upper().replace("X", "x")
    return _short(count) if count else None


def _short(count: int) -> str:
    """`4B`, `1.5B`, `270M`: two digits below ten, as names of models have it."""
    unit, amount = ("B", count / 1e9) if count >= 0.95e9 else ("M", count / 1e6)
    text = f"{amount:.1f}" if amount < 9.95 else f"{amount:.0f}"
    return text.removesuffix(".0") + unit


def _first(value: Any, kind: type[T]) -> T | None:
    """The first of a list in `metadataOverrides`, which a person may have written: anything may stand there."""
    values: Sequence[Any] = value if isinstance(value, list | tuple) else (value,)
    return next((item for item in values if type(item) is kind and item and not _is_half(item)), None)


def _flag(told: Mapping[str, Any], name: str, otherwise: bool) -> bool:
    """`mixed` (some variants can, some cannot) says nothing of this one."""
    value = told.get(name)
    return value if isinstance(value, bool) else otherwise


def _reasoning(value: Any) -> bool | Literal["mixed"]:
    return "mixed" if value == "mixed" else value is True


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() and not _is_half(value) else None


def _is_half(value: Any) -> bool:
    """Whether it has half a character in it, as JSON may: an answer with one could not be sent at all."""
    return isinstance(value, str) and bool(_HALF.search(value))
