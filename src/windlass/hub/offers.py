"""What is looked for and what is found: values, and how the answers of hub and catalog are read.

Pure; no answer is trusted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from windlass.errors import InvalidRequest
from windlass.hub.titles import catalog_title, repository_title
from windlass.manifest import FORMATS, Format
from windlass.names import catalog_name, is_repository

MOST = 100  # offers of one page

_LONGEST = 200  # characters of what is looked for
_MOST_TEXT = 500  # characters of a description


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be had. What its source does not tell is None, or empty.

    Attributes:
        id: what a download takes: `owner/name` in the catalog, `owner/repo` on the hub.
        formats: what it is said to come in.
        updated_at: as the source writes times, ISO 8601.
    """

    id: str
    source: Literal["catalog", "huggingface"]
    display_name: str
    url: str
    formats: tuple[Format, ...] = ()
    description: str | None = None
    params_string: str | None = None
    downloads: int | None = None
    likes: int | None = None
    updated_at: str | None = None
    gated: bool = False

    def is_about(self, words: Iterable[str]) -> bool:
        """Whether all words occur in what is told of it, whatever their case."""
        told = f"{self.id} {self.display_name} {self.description or ''}".lower()
        return all(word.lower() in told for word in words)

    def may_come_in(self, formats: Iterable[Format]) -> bool:
        """Whether one of these is what it comes in, or might be."""
        return not self.formats or bool({*self.formats} & {*formats})


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: `text`, in one of `formats`, `limit` offers at a time.

    Raises:
        InvalidRequest: too much of something.
    """

    text: str = ""
    formats: tuple[Format, ...] = ("gguf", "mlx")
    limit: int = 20

    def __post_init__(self) -> None:
        if len(self.text) > _LONGEST:
            raise InvalidRequest(f"'q' has more than {_LONGEST} characters: a few words are enough.", param="q")
        if not 1 <= self.limit <= MOST:
            raise InvalidRequest(f"'limit' is a whole number from 1 to {MOST}.", param="limit")
        if not self.formats or not {*self.formats} <= {*FORMATS}:
            raise InvalidRequest(f"'format' is one of {', '.join(FORMATS)}.", param="format")


@dataclass(frozen=True, slots=True)
class Page:
    """What was found. `cursor` leads to the next page, None after the last; `warnings` are sentences for people."""

    offers: tuple[Offer, ...]
    cursor: str | None = None
    warnings: tuple[str, ...] = ()


def repository_offer(row: object, endpoint: str) -> Offer | None:
    """A row of the hub's `/api/models`; None for one that names no repository.

    Form: https://huggingface.co/docs/hub/api
    """
    fields = row if isinstance(row, dict) else {}
    name = fields.get("id") or fields.get("modelId")
    owner, slash, repo = name.partition("/") if isinstance(name, str) else ("", "", "")
    if not slash or not is_repository(owner, repo):
        return None
    tags = {*_list(fields.get("tags")), *_list([fields.get("library_name")])}
    return Offer(
        f"{owner}/{repo}",
        "huggingface",
        repository_title(repo),
        f"{endpoint}/{owner}/{repo}",
        # What MLX loads is safetensors too, and is of no use to anybody else.
        formats=tuple(kind for kind in FORMATS if kind in tags and not (kind == "safetensors" and "mlx" in tags)),
        downloads=_count(fields.get("downloads")),
        likes=_count(fields.get("likes")),
        updated_at=_text(fields.get("lastModified")),
        gated=fields.get("gated") not in (None, False),
    )


def pick_offer(row: object, page: str) -> Offer | None:
    """A row of the catalog's staff picks; None for one that names no model. `page` is where the models' pages are.

    Observed: `{owner, name, description, likeCount, downloads, updatedAt, metadata{…}}`.
    """
    fields = row if isinstance(row, dict) else {}
    owner, name = fields.get("owner"), fields.get("name")
    named = catalog_name(owner, name) if isinstance(owner, str) and isinstance(name, str) else None
    if named is None:
        return None
    told = fields.get("metadata")
    told = told if isinstance(told, dict) else {}
    return Offer(
        "/".join(named),
        "catalog",
        catalog_title(named[1], told),
        f"{page}/{named[0]}/{named[1]}",
        formats=_compatible(told),
        description=_text(fields.get("description")),
        params_string=_params(told),
        downloads=_count(fields.get("downloads")),
        likes=_count(fields.get("likeCount")),
        updated_at=_text(fields.get("updatedAt")),
    )


def entry_offer(owner: str, name: str, told: Mapping[str, Any], page: str) -> Offer:
    """A model of a catalog that is a folder; `told` are the `metadataOverrides` of its model.yaml."""
    return Offer(
        f"{owner}/{name}",
        "catalog",
        catalog_title(name, told),
        page,
        formats=_compatible(told),
        description=_text(told.get("description")),
        params_string=_params(told),
    )


def _compatible(told: Mapping[str, Any]) -> tuple[Format, ...]:
    """`compatibilityTypes`, whose `safetensors` means MLX."""
    types = {"mlx" if kind == "safetensors" else kind for kind in _list(told.get("compatibilityTypes"))}
    return tuple(kind for kind in FORMATS if kind in types)


def _params(told: Mapping[str, Any]) -> str | None:
    return next((text for text in map(_text, _list(told.get("paramsStrings"))) if text), None)


def _list(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    """One line of it, without what a terminal would take for a command."""
    if not isinstance(value, str):
        return None
    line = " ".join(value[: 2 * _MOST_TEXT].split())
    return "".join(char for char in line if char.isprintable())[:_MOST_TEXT] or None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None
