"""Typer, without pydantic where there is nothing to read.

From 0.29 on it has pydantic turn each word of a command into its value, text into text as well; to import that takes
0.07 s in every command, more than Typer itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

_AS_THEY_COME = (str, bool)  # text is text, and a flag is set or is not; numbers and paths are read as Typer likes


class _AsItComes:
    """Stands where Typer looks for what reads a parameter; for all but reading it is what Typer made."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def coerce(self, value: Any, **_: Any) -> Any:
        """The value, as the command line had it."""
        return value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._make(), name)


class Verb(TyperCommand):
    """A command whose texts and flags are taken as they come."""

    def get_params(self, *context: Any) -> Any:
        """Its parameters."""
        return _eased(super().get_params(*context))


class Verbs(TyperGroup):
    """All of them."""

    def get_params(self, *context: Any) -> Any:
        """The parameters before the verb."""
        return _eased(super().get_params(*context))


def _eased(parameters: Sequence[Any]) -> Sequence[Any]:
    """With another Typer, which has no such hook, they are left as they are."""
    for parameter in parameters:
        make = getattr(parameter, "get_runtime_param", None)
        kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        if make and kind in _AS_THEY_COME and "get_runtime_param" not in vars(parameter):
            vars(parameter)["get_runtime_param"] = lambda reader=_AsItComes(make): reader
    return parameters
