"""The ledger's text: it reads back as written, and damage never makes a piece that did not come."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from windlass.transfer.ledger import Ledger, Piece, dump, entry, header, loss, parse, spans

ID = "sha256:" + "9f" * 32
SIZE = 10_000


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    """Pieces that do not overlap, in any order."""
    cuts = sorted(draw(st.sets(st.integers(0, SIZE), min_size=2, max_size=12)))
    digests = st.text("0123456789abcdef", min_size=16, max_size=16)
    spans = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    return [Piece(start, end - start, draw(digests)) for start, end in draw(st.permutations(spans))]


@st.composite
def histories(draw: st.DrawFn) -> str:
    """The text of a ledger that grew: pieces added, lengthened, and some taken back."""
    lines = [header(Ledger(ID, SIZE))]
    for piece in draw(pieces()):
        if piece.length > 1 and draw(st.booleans()):
            lines.append(entry(Piece(piece.start, piece.length // 2, "0" * 16)))
        lines.append(entry(piece))
        if draw(st.integers(0, 4)) == 0:
            lines.append(loss(piece.start))
    return "".join(lines)


def ledger_of(text: str) -> Ledger:
    ledger = parse(text, ID, SIZE)
    assert ledger is not None
    return ledger


def prefixes(text: str) -> list[dict[int, Piece]]:
    """What each whole number of lines says."""
    lines = text.splitlines(keepends=True)
    return [ledger_of("".join(lines[:n])).pieces for n in range(1, len(lines) + 1)]


@given(pieces())
def test_it_reads_back_as_it_was_written(some: list[Piece]) -> None:
    """`parse` is the inverse of `dump`."""
    ledger = Ledger(ID, SIZE)
    for piece in some:
        ledger.add(piece)
    again = ledger_of(dump(ledger))
    assert again == ledger
    assert again.received == sum(piece.length for piece in some)
    assert spans(again.pieces.values()) == [(piece.start, piece.end) for piece in some]


@given(histories(), st.data())
def test_a_cut_text_is_an_earlier_ledger(text: str, data: st.DataObject) -> None:
    """Cut anywhere, as a crash may: it says what an earlier moment said, or nothing where not even the head is left."""
    cut = data.draw(st.integers(0, len(text)))
    left = parse(text[:cut], ID, SIZE)
    whole_lines = text[:cut].count("\n")
    if whole_lines == 0:
        assert left is None or left.pieces == {}
    else:
        assert left is not None
        # A last line that lacks but its line feed is whole by its CRC, and counts.
        assert left.pieces in prefixes(text)[whole_lines - 1 : whole_lines + 1]


@given(histories(), st.data())
def test_a_changed_byte_never_makes_a_wrong_piece(text: str, data: st.DataObject) -> None:
    """Any one byte changed anywhere: nothing is believed, or only what an earlier moment said."""
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from(string.printable + "\x00"))
    assume(byte != text[place])
    damaged = parse(text[:place] + byte + text[place + 1 :], ID, SIZE)
    assert damaged is None or damaged.pieces in prefixes(text)


@given(histories(), st.data())
def test_a_lost_block_never_makes_a_wrong_piece(text: str, data: st.DataObject) -> None:
    """A stretch of zeros, as a file system leaves behind after the power went, is damage like any other."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    damaged = parse(text[:start] + "\0" * (end - start) + text[end:], ID, SIZE)
    assert damaged is None or damaged.pieces in prefixes(text)


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Whatever stands in the file, with or without a good head: an answer, never an exception."""
    assert parse(text, ID, SIZE) is None
    beyond = parse(header(Ledger(ID, SIZE)) + text, ID, SIZE)
    assert beyond is None or beyond.pieces == {}


def _sealed(line: str) -> str:
    """A line with a right CRC, however wrong what it says."""
    from zlib import crc32

    return f"{line} {crc32(line.encode()):08x}\n"


@pytest.mark.parametrize(
    "line",
    [
        "+ 0 20000 00",
        "+ 9999 2 00",
        "+ 0 0 00",
        "+ 5 -5 00",
        "+ -5 5 00",
        "+ x 5 00",
        "- x",
        "+ 0 5",
        "* 0 5 00",
        "",
    ],
)
def test_a_line_that_cannot_be_is_damage(line: str) -> None:
    """Pieces outside the file, empty ones and foreign words are not believed, even with a right CRC."""
    text = header(Ledger(ID, SIZE)) + _sealed(line) + entry(Piece(100, 10, "aa"))
    assert parse(text, ID, SIZE) is None


def test_pieces_that_overlap_are_damage() -> None:
    """Two connections never bring the same byte, so such a ledger was written by somebody else."""
    text = header(Ledger(ID, SIZE)) + entry(Piece(0, 100, "aa")) + entry(Piece(50, 100, "bb"))
    assert parse(text, ID, SIZE) is None


@pytest.mark.parametrize(
    "head",
    [
        f"windlass-ledger 2 {ID} {SIZE}",
        f"windlass-ledger 1 sha256:00 {SIZE}",
        f"windlass-ledger 1 {ID} {SIZE + 1}",
        f"another-ledger 1 {ID} {SIZE}",
    ],
)
def test_a_ledger_of_another_file_or_version_is_not_believed(head: str) -> None:
    """Format, version, identity and size have to be the ones asked for."""
    assert parse(_sealed(head) + entry(Piece(0, 10, "aa")), ID, SIZE) is None
