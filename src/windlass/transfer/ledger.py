r"""The ledger: what of a partial file has come, with a digest of every piece. A text of lines that is only appended to.

    windlass-ledger 1 sha256:9f86… 5680522464 5d1c87a0     format, identity, size
    + 0 16777216 2b8f4f0c9d1e33aa 8c0ffee1                  bytes [0, 16777216) came, with this digest (xxh3, 64 bits)
    + 16777216 4194304 77aa01fe02bc9d10 0badf00d            a piece that still grows is written again, longer
    - 0 77f00d77                                            the piece that starts at 0 turned out to be wrong

Each line ends in its own CRC-32, so a line that was half written when the power went is seen, and nothing after it
counts. The digests are of the bytes as *received*. That is why appending needs no fsync before it: after a crash each
piece is read back and compared, and one that never reached the disk is simply fetched again. The alternative, syncing
the data before every entry, would promise no more and cost a disk flush several times a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

MAGIC = "windlass-ledger"
VERSION = 1


class Piece(NamedTuple):
    """`length` bytes from `start`, and the xxh3-64 of them as received, in hex."""

    start: int
    length: int
    digest: str

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.start + self.length


@dataclass(slots=True)
class Ledger:
    """The pieces of one file, by where they start. No two overlap."""

    identity: str
    size: int
    pieces: dict[int, Piece] = field(default_factory=dict)

    @property
    def received(self) -> int:
        """Bytes that all pieces hold together."""
        return sum(piece.length for piece in self.pieces.values())

    def add(self, piece: Piece) -> None:
        """Add a piece, or lengthen the one that starts where it does."""
        self.pieces[piece.start] = piece

    def drop(self, start: int) -> None:
        """The piece that starts here was wrong, or is gone."""
        self.pieces.pop(start, None)


def header(ledger: Ledger) -> str:
    """The first line."""
    return _line(f"{MAGIC} {VERSION} {ledger.identity} {ledger.size}")


def entry(piece: Piece) -> str:
    """The line that adds or lengthens a piece."""
    return _line(f"+ {piece.start} {piece.length} {piece.digest}")


def loss(start: int) -> str:
    """The line that takes a piece back."""
    return _line(f"- {start}")


def dump(ledger: Ledger) -> str:
    """The shortest text that reads back as this ledger."""
    return header(ledger) + "".join(entry(piece) for piece in ledger.pieces.values())


def parse(text: str, identity: str, size: int) -> Ledger | None:
    """Read a ledger back; None where it is of another file, another version, or damaged before its last line.

    A damaged last line is what a crash leaves and only loses that line. Damage further up means that somebody else
    wrote here, and then nothing is believed. Pieces that overlap or leave the file are damage too.
    """
    if _checked(text.partition("\n")[0]) != f"{MAGIC} {VERSION} {identity} {size}":
        return None
    lines = text.split("\n")
    ledger = Ledger(identity, size)
    for number, line in enumerate(lines[1:], start=2):
        words = (_checked(line) or "").split(" ")
        if _apply(ledger, words):
            continue
        if number < len(lines) - 1:
            return None
        break
    return ledger if _sound(ledger) else None


def _apply(ledger: Ledger, words: list[str]) -> bool:
    try:
        match words:
            case ["+", start, length, digest]:
                ledger.add(Piece(int(start), int(length), digest))
            case ["-", start]:
                ledger.drop(int(start))
            case _:
                return False
    except ValueError:
        return False
    return True


def _sound(ledger: Ledger) -> bool:
    front = 0
    for piece in sorted(ledger.pieces.values()):
        if piece.start < front or piece.length <= 0:
            return False
        front = piece.end
    return front <= ledger.size


def _line(text: str) -> str:
    return f"{text} {crc32(text.encode()):08x}\n"


def _checked(line: str) -> str | None:
    text, _, crc = line.rpartition(" ")
    return text if text and crc == f"{crc32(text.encode()):08x}" else None


def spans(pieces: Iterable[Piece]) -> list[tuple[int, int]]:
    """The half-open spans that pieces cover."""
    return [(piece.start, piece.end) for piece in pieces]
