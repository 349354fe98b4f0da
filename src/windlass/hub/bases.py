"""Which base of a catalog model to look at first. Pure: a guess from names, so that few listings are asked for.

LM Studio's rule: MLX on Apple silicon, GGUF elsewhere; the guess is only an order, the listing says what is there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from windlass.hub.model_yaml import HubSource
from windlass.hub.select_gguf import default_rank
from windlass.manifest import Format
from windlass.quantization import choose, label_in


@dataclass(frozen=True, slots=True)
class Candidate:
    """A base and what its names say: its format, and for MLX (one quantization a repository) its label."""

    source: HubSource
    format: Format | None
    label: str | None


def candidate(source: HubSource) -> Candidate:
    """What a base's names say about it."""
    label = label_in(source.repo.rpartition("/")[2])
    if "gguf" in source.spoken:
        return Candidate(source, "gguf", None)
    if "mlx" in source.spoken or (label and re.match(r"[\d.]+bit", label)):
        return Candidate(source, "mlx", label)
    return Candidate(source, None, None)


def preferred_format(platform: tuple[str, str]) -> Format:
    """What runs best on (`sys.platform`, `platform.machine()`)."""
    return "mlx" if platform == ("darwin", "arm64") else "gguf"


def in_order(sources: Iterable[HubSource], wish: str | None, prefer: Format | None, first: Format) -> list[Candidate]:
    """The bases to try, best guess first.

    Args:
        sources: in the catalog author's order, which decides between equals.
        wish: the quantization asked for; a base whose names state another is left out.
        prefer: the format asked for; a base whose names state another is left out.
        first: the format to take where none was asked for.
    """
    candidates = [candidate(source) for source in sources]
    fitting = [c for c in candidates if _may_be(c, wish, prefer)]
    labels = [c.label for c in fitting if c.label]
    wanted = prefer or first

    def rank(c: Candidate) -> tuple[bool, int, tuple[int, float, int, str]]:
        stated = wish is not None and c.label is not None and choose(wish, labels) == c.label
        by_format = 0 if c.format == wanted else 1 if c.format is None else 2
        return not stated, by_format, default_rank(c.label) if c.label else (0, 0, 0, "")

    return sorted(fitting, key=rank)


def stated_labels(sources: Iterable[HubSource], prefer: Format | None) -> list[str]:
    """The quantizations that the bases' names state, of those that may come in the format asked for."""
    return [c.label for c in map(candidate, sources) if c.label and _may_be(c, None, prefer)]


def _may_be(c: Candidate, wish: str | None, prefer: Format | None) -> bool:
    if prefer == "gguf" and c.format == "mlx":
        return False
    if prefer in {"mlx", "safetensors"} and c.format == "gguf":
        return False
    return wish is None or c.label is None or choose(wish, [c.label]) is not None
