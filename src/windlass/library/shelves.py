"""Several shelves as one: a model that stands on more than one is listed once, and keys are unique over all."""

from collections.abc import Sequence

from windlass.library.facts import Model
from windlass.library.keys import with_keys


def merged(shelves: Sequence[Sequence[Model]]) -> list[Model]:
    """The models of all shelves, in order of key; of one that stands on several, that of the first."""
    if len(shelves) == 1:
        return list(shelves[0])  # as a list wants it, and nothing to compare
    found: dict[frozenset[str], Model] = {}
    for model in (model for shelf in shelves for model in shelf):
        found.setdefault(frozenset(file.path for file in model.files if file.role == "weights"), model)
    return with_keys(found.values())
