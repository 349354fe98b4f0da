"""model.yaml and manifest.json: what a catalog says a model is. Reading is bounded; what we do not know is kept aside.

Form: https://modelyaml.org (a draft) and LM Studio's manifest.json.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass.errors import HubError, ModelNotFound
from windlass.names import catalog_name, is_repository, safe_path

LIMIT = 256 * 1024
"""Most bytes of a model.yaml. Those of LM Studio's catalog have a few thousand."""

_DEEPEST = 32
_MOST_BASES = 200
_HALF = re.compile("[\ud800-\udfff]")
# What PyYAML comes to where the text is wrong, beside its own errors: `!!int ""`, `!!bool maybe` and `!!timestamp x`
# fail wherever they happen to.
_FAILURES = (ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, TypeError)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the hub that holds the weights, or one `path` in it. `key` is the catalog's word for it."""

    repo: str
    path: str | None = None
    key: str = ""

    @property
    def spoken(self) -> str:
        """All that its names say, in lower case, for a guess at what it holds."""
        return f"{self.repo} {self.key} {self.path or ''}".lower()


@dataclass(frozen=True, slots=True)
class CatalogBase:
    """Another model of the catalog, which this one is built on."""

    owner: str
    name: str

    @property
    def id(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


Base = HubSource | CatalogBase


@dataclass(frozen=True, slots=True)
class ModelYaml:
    """What Windlass uses of a model.yaml or a manifest.

    Attributes:
        model: `owner/name` as it states itself, None if it does not.
        bases: where the weights are, in the author's order; any one of them is the model.
        overrides: `metadataOverrides`, of values that JSON knows.
        warnings: what was passed over, in sentences for people.
    """

    model: str | None
    bases: tuple[Base, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_model_yaml(text: str) -> ModelYaml:
    """Read a model.yaml.

    Raises:
        HubError: too large, no YAML, YAML with aliases or foreign tags, or no mapping with a `base`.
    """
    raw = _safe_yaml(text)
    if not isinstance(raw, dict) or "base" not in raw:
        raise HubError("The model.yaml is none: it names no `base`.")
    bases, warnings = _bases(raw["base"])
    return ModelYaml(_text(raw.get("model")), bases, plain_dict(raw.get("metadataOverrides")), warnings)


def read_fields(text: str) -> dict[str, Any] | None:
    """All that a model.yaml says, of values that JSON knows, for who passes it on; None where it is no mapping.

    Raises:
        HubError: as `read_model_yaml` has it, but for a `base`.
    """
    raw = _safe_yaml(text)
    return plain_dict(raw) if isinstance(raw, dict) else None


def plain_dict(value: object) -> dict[str, Any]:
    """What of a mapping JSON can say too: overrides are kept in the model's receipt, and YAML has dates and sets.

    Python's reader of JSON takes more than JSON as well: NaN, and halves of surrogate pairs.
    """
    if not isinstance(value, dict):
        return {}
    items = ((key, item) for key, item in value.items() if isinstance(key, str))
    return {key: _plain(item) for key, item in items if _is_plain(key) and _is_plain(item)}


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return plain_dict(value)
    return [_plain(item) for item in value if _is_plain(item)] if isinstance(value, list) else value


def _is_plain(value: object) -> bool:
    if isinstance(value, int):  # in another base than ten YAML's may have any number of digits, which no JSON may
        return -(2**63) <= value < 2**63
    if isinstance(value, str):  # half of a pair of surrogates is a text in Python, and none in UTF-8
        return not _HALF.search(value)
    return value is None or isinstance(value, list | dict) or (isinstance(value, float) and math.isfinite(value))


def read_manifest(raw: object) -> ModelYaml:
    """Read a manifest.json's content: `dependencies` of purpose `baseModel` are the bases.

    Raises:
        HubError: it is no manifest.
        ModelNotFound: it is that of a preset or a plugin.
    """
    if not isinstance(raw, dict):
        raise HubError("The catalog's manifest cannot be read.")
    if (kind := raw.get("type", "model")) != "model":
        raise ModelNotFound(f"The catalog has no model of that name, but something else: {str(kind)[:50]}.")
    found: list[Base] = []
    warnings: list[str] = []
    for dependency in _dicts(raw.get("dependencies")):
        if dependency.get("purpose", "baseModel") == "baseModel":
            bases, more = _bases(_keyed_sources(dependency))
            found += bases
            warnings += more
    owner, name = _text(raw.get("owner")), _text(raw.get("name"))
    return ModelYaml(f"{owner}/{name}" if owner and name else None, tuple(found), {}, tuple(warnings))


def write_model_yaml(model: str, bases: Iterable[Base]) -> str:
    """A model.yaml for a catalog that gave only a manifest.

    `metadataOverrides` must not be missing: LM Studio refuses a model of its hub folder without it.
    """
    import yaml  # late: only catalog models need it

    raw = {
        "model": model,
        "base": [{"key": _key(source), "sources": [_source(source)]} for source in _hub_sources(bases)],
        "metadataOverrides": {"domain": "llm"},
    }
    return str(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True))


def write_manifest(owner: str, name: str, bases: Iterable[Base]) -> str:
    """A manifest.json for a catalog that gave only a model.yaml."""
    sources = _hub_sources(bases)
    dependency = {
        "type": "model",
        "purpose": "baseModel",
        "modelKeys": [_key(source) for source in sources],
        "sources": [_source(source) for source in sources],
    }
    raw = {"type": "model", "owner": owner, "name": name, "dependencies": [dependency] if sources else []}
    return json.dumps(raw, indent=2)


def _hub_sources(bases: Iterable[Base]) -> list[HubSource]:
    return [base for base in bases if isinstance(base, HubSource)]


def _key(source: HubSource) -> str:
    return source.key or source.repo.lower()


def _source(source: HubSource) -> dict[str, str]:
    user, _, repo = source.repo.partition("/")
    return {"type": "huggingface", "user": user, "repo": repo}


def _safe_yaml(text: str) -> object:
    """YAML of plain values. Aliases are refused: a few lines of them can stand for gigabytes."""
    import yaml  # late: only catalog models need it

    if len(text.encode("utf-8", "replace")) > LIMIT:
        raise HubError(f"The model.yaml is larger than {LIMIT} bytes.")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
                raise HubError("The model.yaml has aliases or is nested too deeply.")
        return yaml.load(text, Loader=loader)  # noqa: S506  CSafeLoader is a safe loader
    except (yaml.YAMLError, *_FAILURES) as error:
        raise HubError(f"The model.yaml cannot be read: {str(error)[:200]}.") from error


def _bases(raw: object) -> tuple[tuple[Base, ...], tuple[str, ...]]:
    """The bases that a `base` field names: one string, or a list of strings and of keys with sources."""
    found: list[Base] = []
    warnings: list[str] = []
    for entry in (raw if isinstance(raw, list) else [raw])[:_MOST_BASES]:
        if isinstance(entry, str):
            candidates: list[Base | None] = [_named_base(entry)]
        else:
            key, sources = (entry.get("key"), entry.get("sources")) if isinstance(entry, dict) else (None, None)
            candidates = [_source_base(source, _text(key) or "") for source in _dicts(sources)] or [None]
        found += [base for base in candidates if base]
        warnings += [f"A base was passed over: {str(entry)[:200]}." for base in candidates if base is None]
    return tuple(found), tuple(warnings)


def _named_base(text: str) -> Base | None:
    """A string: `user/repo/file.gguf`, another model of the catalog, or (it cannot be one) a repository."""
    owner, _, rest = text.strip().partition("/")
    name, _, path = rest.partition("/")
    if path:
        return HubSource(f"{owner}/{name}", path) if is_repository(owner, name) and safe_path(path) else None
    if catalog_name(owner, name) == (owner, name):
        return CatalogBase(owner, name)
    return HubSource(f"{owner}/{name}") if is_repository(owner, name) else None


def _source_base(source: Mapping[str, Any], key: str) -> Base | None:
    user, repo = _text(source.get("user")), _text(source.get("repo"))
    if source.get("type", "huggingface") != "huggingface" or not user or not repo or not is_repository(user, repo):
        return None
    return HubSource(f"{user}/{repo}", None, key)


def _keyed_sources(dependency: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A manifest's parallel lists of keys and sources, as a model.yaml would have them."""
    sources, keys = _dicts(dependency.get("sources")), dependency.get("modelKeys")
    keys = keys if isinstance(keys, list) and len(keys) == len(sources) else [""] * len(sources)
    return [{"key": key, "sources": [source]} for key, source in zip(keys, sources, strict=True)]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
