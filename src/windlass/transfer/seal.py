"""The seal's text: a flat JSON object with what a whole, verified file was found to be."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Seal:
    """What is known of a whole, verified file: its digests, and how it is recognised as unchanged."""

    sha256: str
    digest: str
    chunks: tuple[str, ...]
    size: int
    mtime_ns: int


def dump(seal: Seal) -> str:
    """The text that reads back as this seal."""
    return json.dumps(asdict(seal))


def parse(text: str) -> Seal | None:
    """Read a seal back, None where it is none. Nothing in it is nested: what is, is not even read."""
    if text.count("{") != 1 or text.count("[") != 1:
        return None
    try:
        raw = json.loads(text)
        seal = Seal(**{**raw, "chunks": tuple(raw["chunks"])})
    except (ValueError, KeyError, TypeError):
        return None
    are_texts = all(isinstance(text, str) for text in (seal.sha256, seal.digest, *seal.chunks))
    return seal if are_texts and isinstance(seal.size, int) and isinstance(seal.mtime_ns, int) else None
