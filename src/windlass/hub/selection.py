"""What was asked of a repository, and what was chosen from it. Values that the selecting modules share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from windlass import words
from windlass.hub.listing import HubFile
from windlass.manifest import Format, Role
from windlass.names import PathKind


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a repository is asked for.

    Attributes:
        quantization: as people write it, without regard to case; None for the default.
        path: a single file or a folder, by address.
        prefer: the format to take; None for GGUF before MLX before other safetensors.
        budget: bytes that a default choice may have at most, where the usual ones are not there; None if not known.
    """

    quantization: str | None = None
    path: str | None = None
    path_kind: PathKind | None = None
    prefer: Format | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """One chosen file and what it is for."""

    file: HubFile
    role: Role = "weights"


@dataclass(frozen=True, slots=True)
class Selection:
    """The files that make the model.

    Attributes:
        files: weights first, in the order of their shards, then the projector or the data.
        quantization: the label, None where nothing states one.
        alternatives: each label that could be asked for, the chosen one among them, with the bytes it would bring in.
        why: which rule chose these, in sentences for people.
        by_size: a budget, had one been known, might have chosen otherwise.
    """

    files: tuple[Chosen, ...]
    format: Format
    quantization: str | None
    alternatives: Mapping[str, int] = field(default_factory=dict)
    why: str = ""
    by_size: bool = False


def size_of(files: Iterable[HubFile]) -> int:
    """Bytes of all of them."""
    return sum(file.size for file in files)


def offered(alternatives: Mapping[str, int]) -> str:
    """A sentence with all quantizations, smallest first, and their sizes; 0 stands for one that is not known."""
    if not alternatives:
        return "Its file names state no quantization: ask for none."
    ordered = sorted(alternatives.items(), key=_by_size)
    return f"It comes in {', '.join(f'{label} ({words.size(size)})' if size else label for label, size in ordered)}."


def _by_size(item: tuple[str, int]) -> tuple[int, str]:
    return item[1], item[0]
