"""Partials of one small file, opened, begun and looked into."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windlass.transfer.ledger import Piece
from windlass.transfer.partial import (
    Partial,
    open_partial,
)

ID, SIZE = "sha256:ab", 1000


@contextmanager
def opened(folder: Path, size: int = SIZE, identity: str = ID) -> Iterator[Partial]:
    partial = open_partial(folder, "f", identity, size)
    assert partial is not None
    try:
        yield partial
    finally:
        partial.close()


def piece(start: int, length: int = 10) -> Piece:
    return Piece(start, length, f"{start:016x}")


def begun(folder: Path, *pieces: Piece) -> None:
    """A partial that holds these pieces."""
    with opened(folder) as partial:
        partial.record(pieces)


def kept(folder: Path) -> dict[int, Piece]:
    with opened(folder) as partial:
        return dict(partial.ledger.pieces)
