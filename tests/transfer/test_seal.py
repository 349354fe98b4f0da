"""The seal's text: it reads back as written, and anything else is no seal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import memory
from windlass.transfer.seal import Seal, dump, parse

SEAL = Seal("9f" * 32, "77" * 32, ("0123456789abcdef", "fedcba9876543210"), 5_680_522_464, 1_760_000_000_000_000_000)
HEX = st.text("0123456789abcdef", max_size=64)


@given(st.builds(Seal, HEX, HEX, st.lists(HEX).map(tuple), st.integers(), st.integers()))
def test_it_reads_back_as_it_was_written(seal: Seal) -> None:
    """`parse` is the inverse of `dump`."""
    assert parse(dump(seal)) == seal


@given(st.data())
def test_what_is_cut_or_changed_is_none_or_still_one(data: st.DataObject) -> None:
    """Cut anywhere it is none; with a byte changed it is none, or each value is still of its kind."""
    text = dump(SEAL)
    place = data.draw(st.integers(0, len(text) - 1))
    assert parse(text[:place]) is None
    changed = parse(text[:place] + data.draw(st.characters(max_codepoint=127)) + text[place + 1 :])
    assert changed is None or (isinstance(changed.size, int) and all(isinstance(c, str) for c in changed.chunks))


@pytest.mark.parametrize(
    "change",
    [{"sha256": 5}, {"digest": None}, {"chunks": [5]}, {"chunks": 5}, {"size": "5"}, {"mtime_ns": 1.5}, {"surplus": 1}],
)
def test_values_of_another_kind(change: dict[str, object]) -> None:
    """A seal whose values are not what they should be is none, and so is one that lacks any or has more."""
    raw = json.loads(dump(SEAL))
    assert parse(json.dumps({**raw, **change})) is None
    assert parse(json.dumps({name: value for name, value in raw.items() if name not in change} | {"x": 1})) is None


@pytest.mark.parametrize("text", ["", "5", "[]", "{}", '{"a":[]}', "[" * 100_000, '{"chunks":[' + "9" * 5000 + "]}"])
def test_garbage_is_none(text: str) -> None:
    """Any garbage, however deep."""
    assert parse(text) is None


def test_what_is_nested_is_not_read() -> None:
    """A text that would stand for thirty times as much memory costs none."""
    text = '{"chunks":[' + "[]," * 1_000_000 + "[]]}"
    assert memory(lambda: parse(text)) < 1_000_000
