"""The targets as the usual tests run them: over their seeds, what was once found, and seeds with harm done to them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.__main__ import _dictionary, _summary
from fuzz.seeds import seeds
from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_stands_its_seeds(name: str) -> None:
    """There are some, and each scanner takes what its writer wrote, whole and with its end cut off."""
    kept = seeds(name)
    assert kept
    for seed in kept:
        assert TARGETS[name](seed)
        for end in (len(seed) - 1, len(seed) // 2, 1, 0):
            TARGETS[name](seed[:end])


def test_what_was_found_does_no_harm_any_more() -> None:
    """Each input that once did is answered, or refused in the scanner's own words."""
    for path in Path(__file__).with_name("found").rglob("*"):
        if path.is_file():
            TARGETS[path.parent.name](path.read_bytes())


def test_the_words_of_a_seed_are_handed_to_the_fuzzer() -> None:
    """In the form that it reads, each once; and what it says at its end is told in a line."""
    assert list(_dictionary([b'{"bits":4}', b'{"bits":8}\0\xff'])) == ['"\\x22\\x62\\x69\\x74\\x73\\x22"\n']
    said = "#9 DONE cov: 20 ft: 29 corp: 5/9b\nstat::number_of_executed_units: 420\nstat::peak_rss_mb: 49\n"
    assert _summary(said).split() == ["420", "inputs,", "20", "edges,", "29", "features,", "5", "kept,", "49", "MiB"]
    assert _summary("Traceback").split()[0] == "?"


@settings(max_examples=400, deadline=2000)
@given(st.sampled_from(sorted(TARGETS)), st.data())
def test_any_change_of_a_seed(name: str, data: st.DataObject) -> None:
    """A few bytes put in, taken out or changed anywhere: the same holds."""
    changed = bytearray(data.draw(st.sampled_from(_SEEDS[name])))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(changed)))
        new = data.draw(st.one_of(st.binary(max_size=9), st.sampled_from(_WORDS)))
        changed[at : at + data.draw(st.integers(0, 9))] = new
    TARGETS[name](bytes(changed))


_SEEDS = {name: [seed[:8192] for seed in seeds(name)] for name in TARGETS}
_WORDS = [
    b"{}",
    b"[]",
    b"null",
    b"-1",
    b'"\\ud800"',
    b"1e999",
    b"NaN",
    b"9" * 5000,
    b"\xff" * 8,
    bytes(8),
    b"\n- ",
    b"!!int ",
]
