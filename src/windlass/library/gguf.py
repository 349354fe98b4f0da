"""A bounded scanner of a GGUF file's head: what the model says of itself, in a few blocks read from the front.

Our own, because the `gguf` package builds an object for each of 150,000 tokens: seconds and hundreds of megabytes on a
real vocabulary. This one skips arrays, and believes no number that the file's own size or a sane bound contradicts.
A vocabulary it does not even walk: from its first text it leaps to the fact that follows it, which is searched for, and
walks from text to text only where what is found there does not read on as a head does.

The layout is the GGUF specification's (ggml, docs/gguf.md): magic, version, number of tensors, number of key-value
pairs, the pairs, then one record for each tensor.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from itertools import repeat
from operator import length_hint
from pathlib import Path
from typing import Any

from windlass.library.opening import open_file

MAX_PAIRS = 100_000
MAX_TENSORS = 100_000
MAX_STRING = 10_000_000
MAX_ELEMENTS = 10_000_000  # of all arrays together: it bounds the time, as the next one bounds the bytes
MAX_HEAD = 256 * 1024 * 1024
MAX_NESTING = 4
MAX_TEMPLATE = 256 * 1024  # characters kept of a chat template
_MAX_KEY = 65_535  # the specification's own bound
_LONGEST_KEY = 64  # of those that are kept, so that a head full of them takes little memory
_NESTED = 500  # elements that an array within an array counts for: no model has any, and each is a call
_BLOCK = 256 * 1024

# How a fact of the tokenizer begins, but for the first byte of its key's length. A text of a vocabulary that begins so
# looks the same, and is seen through when what comes after its end does not read on.
_LEAP = b"\0\0\0\0\0\0\0tokenizer."
_MANY_TEXTS = 4096  # from which on a leap is worth the search
_LONG_TEXT = 64  # bytes; in an array of longer ones, on the average, the search is given up

# type number → format of one value; 8 is a string, 9 an array
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_WIDTHS = {kind: struct.calcsize(f"<{code}") for kind, code in _SCALARS.items()}
_STRING, _ARRAY = 8, 9

# ggml's type number of a tensor → (elements in a block, bytes of a block), from ggml.h and ggml-common.h.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36),
}  # fmt: skip
_UNKNOWN_BLOCK = (1, 0)  # a type of tomorrow: its bytes cannot be counted, only where they start
_ALIGNMENT = "general.alignment"

_TEMPLATE = "tokenizer.chat_template"
_TOOL_TEMPLATE = f"{_TEMPLATE}.tool_use"
_TEXTS = {"general.architecture", "general.name", "general.size_label", "general.type", _TEMPLATE}
_NUMBERS = {"general.file_type", _ALIGNMENT, "split.no", "split.count"}
_OF_ARCHITECTURE = {"context_length", "block_count", "expert_count", "embedding_length", "pooling_type"}


class Damaged(ValueError):
    """A file that is not what its name says, or not all of it; the message says how one can tell."""


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What a GGUF file says of itself; None where it does not, or says nonsense.

    Attributes:
        kind: `general.type`: `model`, `mmproj`, `adapter`, `imatrix`; older files have none.
        file_type: `general.file_type`, the number of the quantization that most tensors have.
        context_length: tokens that it was trained for.
        chat_template: its first 256 Ki characters.
        tool_template: whether there is a second template for tool use (`tokenizer.chat_template.tool_use`).
        split: (number of this shard from 0, how many there are).
        parameters: elements of all tensors of this file, which are all parameters of a model that is not split.
        pooling: whether it names a pooling type, as models that embed do.
    """

    version: int
    tensor_count: int
    architecture: str | None
    name: str | None
    size_label: str | None
    kind: str | None
    file_type: int | None
    context_length: int | None
    block_count: int | None
    expert_count: int | None
    embedding_length: int | None
    chat_template: str | None
    tool_template: bool
    split: tuple[int, int] | None
    parameters: int
    pooling: bool


def scan(path: Path) -> GgufHead:
    """Read the head of a GGUF file of version 2 or 3, of either byte order.

    Raises:
        Damaged: the file is no GGUF file, or it is cut short, or a number in it cannot be.
        OSError: the file cannot be read.
    """
    with open_file(path) as file:
        size = file.seek(0, 2)
        leaping = _Cursor(file, size, may_leap=True)
        try:
            return _scan(leaping)
        except Damaged:
            if not leaping.has_leapt:
                raise
        return _scan(_Cursor(file, size, may_leap=False))


def _scan(cursor: "_Cursor") -> GgufHead:
    version = _version(cursor)
    tensor_count, pair_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS or pair_count > MAX_PAIRS:
        raise Damaged(f"it claims {tensor_count} tensors and {pair_count} facts, which no model has")
    facts = dict(_pairs(cursor, pair_count))
    parameters = _tensors(cursor, tensor_count, _number(facts.get(_ALIGNMENT)) or 32)
    return _head(version, tensor_count, parameters, facts)


class _Cursor:
    """A place in the file that only moves on. Holds one block; what is skipped beyond it is never read."""

    def __init__(self, file: FileIO, size: int, *, may_leap: bool) -> None:
        self.size = size
        self.budget = MAX_ELEMENTS
        self.may_leap = may_leap
        self.has_leapt = False
        self._file = file
        self._end = min(size, MAX_HEAD)
        self._block = b""
        self._base = 0  # where in the file the block starts
        self._at = 0  # where in the block the cursor stands; beyond its end after a long skip
        self.set_order("<")

    def set_order(self, order: str) -> None:
        self.order = order
        self._u64 = struct.Struct(f"{order}Q")

    @property
    def position(self) -> int:
        return self._base + self._at

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._block):
            self._fill(count)
        start = self._at
        self._at += count
        return self._block[start : self._at]

    def skip(self, count: int) -> None:
        if self.position + count > self._end:
            raise self._short()
        self._at += count

    def scalar(self, kind: int) -> Any:
        return struct.unpack(self.order + _SCALARS[kind], self.take(_WIDTHS[kind]))[0]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little" if self.order == "<" else "big")

    def u64(self) -> int:
        return int(self._u64.unpack(self.take(8))[0])

    def string(self, limit: int) -> bytes:
        length = self.u64()
        if length > limit:
            raise Damaged(f"a text of {length} bytes stands in its head")
        return self.take(length)

    def skip_strings(self, count: int) -> None:
        """Pass over strings. This loop is all that a scan costs.

        It runs to the end of the block and into an error there: to look before each step takes nearly twice as long.
        """
        unpack = self._u64.unpack_from
        while count:
            if self._at + 8 > len(self._block):
                self._fill(8)
            block, at, steps = self._block, self._at, repeat(None, count)
            count = 0
            try:
                for _ in steps:
                    (length,) = unpack(block, at)
                    at += 8 + length
            except (struct.error, OverflowError):
                count = length_hint(steps) + 1  # this step, and those not begun
            self._at = at
            if self.position > self._end:
                raise self._short()

    def leap_over_strings(self, count: int) -> bool:
        """Pass over as many strings as a vocabulary has, to where the next fact of the tokenizer seems to begin."""
        if not self.may_leap or count < _MANY_TEXTS or self.order != "<":
            return False
        start = self.position + 8 * count  # each has its length before it
        end = min(self._end, self.position + _LONG_TEXT * count)
        while start + len(_LEAP) < end:
            self._file.seek(start)
            block = self._file.read(min(_BLOCK, end - start))
            found = block.find(_LEAP, 1)
            if found > 0:
                self._at += start + found - 1 - self.position
                self.has_leapt = True
                return True
            start += max(len(block) - len(_LEAP), 1)
        return False

    def _fill(self, count: int) -> None:
        start = self.position
        if start + count > self._end:
            raise self._short()
        self._file.seek(start)
        self._block = self._file.read(min(max(count, _BLOCK), self._end - start))
        self._base, self._at = start, 0
        if len(self._block) < count:
            raise self._short()

    def _short(self) -> Damaged:
        if self._end < self.size:
            return Damaged(f"its head is longer than {MAX_HEAD} bytes")
        return Damaged("it is cut short")


def _version(cursor: _Cursor) -> int:
    magic, version = cursor.take(4), cursor.u32()
    if magic != b"GGUF":
        raise Damaged("it does not begin as a GGUF file does")
    if version & 0xFFFF == 0:  # a small number seen from the wrong end: written on a big-endian machine
        cursor.set_order(">")
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in {2, 3}:
        raise Damaged(f"it is GGUF of version {version}; 2 and 3 are known")
    return version


def _pairs(cursor: _Cursor, count: int) -> Iterator[tuple[str, Any]]:
    for _ in range(count):
        key = cursor.string(_MAX_KEY).decode("utf-8", "replace")
        kind = cursor.u32()
        if kind == _STRING and key in _TEXTS:
            yield key, _start_of(cursor.string(MAX_STRING))
        elif kind == _STRING and key == _TOOL_TEMPLATE:
            _skip(cursor, kind)
            yield key, True
        elif kind in {_STRING, _ARRAY} or not _is_number(key):
            _skip(cursor, kind)
        else:
            yield key, _scalar(cursor, kind)


def _start_of(text: bytes) -> str:
    return text[: 4 * MAX_TEMPLATE].decode("utf-8", "replace")[:MAX_TEMPLATE]


def _is_number(key: str) -> bool:
    """Whether it is the key of a number that is wanted. What is kept of a head is bounded, whatever stands in it."""
    if key in _NUMBERS:
        return True
    return len(key) <= _LONGEST_KEY and key.rpartition(".")[2] in _OF_ARCHITECTURE


def _scalar(cursor: _Cursor, kind: int) -> Any:
    if kind not in _SCALARS:
        raise Damaged(f"a fact in its head is of the unknown type {kind}")
    return cursor.scalar(kind)


def _skip(cursor: _Cursor, kind: int, depth: int = 0) -> None:
    if kind == _STRING:
        cursor.skip_strings(1)
    elif kind == _ARRAY:
        _skip_array(cursor, depth + 1)
    elif kind in _WIDTHS:
        cursor.skip(_WIDTHS[kind])
    else:
        raise Damaged(f"a fact in its head is of the unknown type {kind}")


def _skip_array(cursor: _Cursor, depth: int) -> None:
    kind, count = cursor.u32(), cursor.u64()
    cursor.budget -= count * (_NESTED if kind == _ARRAY else 1)
    if depth > MAX_NESTING or cursor.budget < 0:
        raise Damaged("its arrays are deeper or longer than any model's")
    if kind == _STRING:
        if not cursor.leap_over_strings(count):
            cursor.skip_strings(count)
    elif kind in _WIDTHS:
        cursor.skip(count * _WIDTHS[kind])
    else:
        for _ in range(count):
            _skip(cursor, kind, depth)


def _tensors(cursor: _Cursor, count: int, alignment: int) -> int:
    """The elements of all tensors; checks that the file reaches to the end of the last one."""
    elements, furthest = 0, 0
    for _ in range(count):
        cursor.skip_strings(1)
        dimensions = cursor.u32()
        if dimensions > 8:
            raise Damaged(f"a tensor in it has {dimensions} dimensions")
        *shape, kind, offset = struct.unpack(f"{cursor.order}{dimensions}QIQ", cursor.take(8 * dimensions + 12))
        amount, (block, width) = math.prod(shape), _BLOCKS.get(kind, _UNKNOWN_BLOCK)
        elements += amount
        furthest = max(furthest, offset + amount // block * width)
    data = -(-cursor.position // alignment) * alignment
    if count and data + furthest > cursor.size:
        raise Damaged("it is cut short")
    return elements if elements < 2**60 else 0


def _head(version: int, tensor_count: int, parameters: int, facts: dict[str, Any]) -> GgufHead:
    architecture = _text(facts.get("general.architecture"))
    own = {name: _number(facts.get(f"{architecture}.{name}")) for name in _OF_ARCHITECTURE - {"pooling_type"}}
    shard, shards = _number(facts.get("split.no")), _number(facts.get("split.count"))
    return GgufHead(
        version=version,
        tensor_count=tensor_count,
        architecture=architecture,
        name=_text(facts.get("general.name")),
        size_label=_text(facts.get("general.size_label")),
        kind=_text(facts.get("general.type")),
        file_type=_number(facts.get("general.file_type")),
        chat_template=facts.get(_TEMPLATE),
        tool_template=_TOOL_TEMPLATE in facts,
        split=(shard, shards) if shard is not None and shards else None,
        parameters=parameters,
        pooling=f"{architecture}.pooling_type" in facts,
        **own,
    )


def _text(value: Any) -> str | None:
    """One short line of text, as names and labels are."""
    if not isinstance(value, str):
        return None
    return "".join(char for char in value[:200] if char.isprintable()).strip() or None


def _number(value: Any) -> int | None:
    """A count; nothing in a model's head reaches 2^48, so what does is damage."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48 else None
