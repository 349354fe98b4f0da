"""Keys: a unique name for each model of a list, and the way back from whatever a person types."""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, count

from windlass.errors import InvalidModel, ModelNotFound, QuantizationNotFound
from windlass.library.facts import Model, variant_of
from windlass.quantization import choose

_SUFFIX = re.compile(r"[-_.]gguf\Z")


def with_keys(models: Iterable[Model]) -> list[Model]:
    """The models with a unique `key` each, and catalog models with their `variants`; in order of key.

    LM Studio's rule: a catalog model's key is its id, another's the repository's name in lower case without `-gguf`;
    where two have the same, `publisher/name` tells publishers apart and `name@quantization` quantizations. Of several
    variants of a catalog model the one that came first keeps the plain id, so that a second one does not rename it.
    """
    groups: dict[str, list[Model]] = defaultdict(list)
    for model in sorted(models, key=_age):
        groups[plain_key(model)].append(model)
    catalog_first = sorted(groups.items(), key=lambda item: not item[1][0].found.catalog)
    taken: set[str] = set()
    keyed = [_keyed(model, wish, taken) for key, group in catalog_first for model, wish in _wishes(key, group)]
    return sorted(keyed, key=lambda model: model.key)


def plain_key(model: Model) -> str:
    """The key of a model that has no namesake."""
    if model.found.catalog:
        return model.id
    name = _SUFFIX.sub("", model.found.repo.rpartition("/")[2].lower())
    is_bare = model.type == "embedding" and not name.startswith("text-embedding-")
    return f"text-embedding-{name}" if is_bare else name


def _age(model: Model) -> tuple[bool, str, str]:
    """Oldest first; those that Windlass did not bring come after, by path."""
    return (not model.found.finished_at, model.found.finished_at, model.found.hand)


def _wishes(key: str, group: Sequence[Model]) -> Iterator[tuple[Model, str]]:
    """Each model with the key it should have, if that is still free."""
    if group[0].found.catalog:
        variants = tuple(dict.fromkeys(variant_of(model) for model in group))
        for place, model in enumerate(group):
            yield replace(model, variants=variants), variant_of(model) if place else key
        return
    repos = Counter(model.found.repo for model in group)
    for model in group:
        prefix = f"{model.found.publisher.lower()}/" if len(repos) > 1 else ""
        suffix = f"@{model.quantization.lower()}" if repos[model.found.repo] > 1 and model.quantization else ""
        yield model, f"{prefix}{key}{suffix}"


def _keyed(model: Model, wish: str, taken: set[str]) -> Model:
    """Give it the key it should have, else its path on the shelf, which no other has."""
    path = model.files[0].path
    forms = chain((wish, variant_of(model).lower(), path.lower(), path), (f"{path}#{number}" for number in count(2)))
    key = next(form for form in forms if form not in taken)
    taken.add(key)
    return replace(model, key=key)


def find(models: Sequence[Model], name: str, quantization: str | None = None) -> Model:
    """The one model that a person means.

    Args:
        models: as `with_keys` gives them.
        name: a key, an id of the catalog, `owner/repo` or the path of the first file, each with or without
            `@quantization`; capitals do not matter.
        quantization: in place of `@quantization`.

    Raises:
        ModelNotFound: none is called so; the hint names those that nearly are.
        QuantizationNotFound: it is here, but not in that quantization; the hint lists those there are.
        InvalidModel: more than one is meant; the hint lists them.
    """
    wanted = name.strip().lower()
    exact = [model for model in models if model.key.lower() == wanted]
    if len(exact) == 1 and (quantization is None or "@" in wanted):
        return exact[0]
    wanted, _, tail = wanted.partition("@")
    candidates = namesakes(models, wanted)
    if not candidates:
        raise ModelNotFound(f"No model called '{name}' is on this disk.", hint=_near(models, wanted))
    return _one(name, _of_quantization(candidates, name, quantization or tail))


def namesakes(models: Sequence[Model], name: str) -> list[Model]:
    """All that a name without a quantization may mean: quantizations of one model, or models of several."""
    wanted = name.strip().lower()
    return [model for model in models if wanted in _names(model)]


def _names(model: Model) -> set[str]:
    plain, repo = plain_key(model).lower(), model.found.repo.lower()
    names = {plain, repo, model.id.lower(), repo.rpartition("/")[2], f"{model.found.publisher.lower()}/{plain}"}
    return names | {_SUFFIX.sub("", name) for name in names} | {model.key.lower(), model.files[0].path.lower()}


def _of_quantization(candidates: list[Model], name: str, wish: str) -> list[Model]:
    if not wish:
        return candidates
    labels = [model.quantization or model.found.format for model in candidates]
    label = choose(wish, labels)
    if label is None:
        here = ", ".join(sorted(set(labels)))
        raise QuantizationNotFound(f"'{name}' is not on this disk as {wish}.", hint=f"There is: {here}.")
    return [model for model in candidates if (model.quantization or model.found.format) == label]


def _one(name: str, candidates: list[Model]) -> Model:
    if len(candidates) > 1:
        keys = ", ".join(sorted(model.key for model in candidates))
        raise InvalidModel(f"'{name}' may be any of several models on this disk.", hint=f"Say which: {keys}.")
    return candidates[0]


def _near(models: Sequence[Model], wanted: str) -> str:
    near = difflib.get_close_matches(wanted, [model.key for model in models], n=3)
    return f"Did you mean {' or '.join(near)}?" if near else "`windlass ls` shows what is here."
