"""Manifests that are kept: those last used, within a bound, and never another one's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample import numbered
from windlass.jobs.manifests import Key, Manifests
from windlass.manifest import Manifest


def fill(kept: Manifests, *sizes: int) -> None:
    for number, size in enumerate(sizes):
        kept.keep((f"job_{number}", number), numbered(number), size)


def numbers(kept: Manifests, most: int = 10) -> list[int]:
    return [number for number in range(most) if kept.get((f"job_{number}", number))]


def test_what_is_kept_is_handed_out_again() -> None:
    """The very same value, under its own key only: after a move that brought another, the old one is not meant."""
    kept, manifest = Manifests(), numbered(1)
    kept.keep(("job_1", 7), manifest, 100)
    assert kept.get(("job_1", 7)) is manifest
    assert kept.get(("job_1", 8)) is kept.get(("job_1", None)) is kept.get(("job_2", 7)) is None


@pytest.mark.parametrize(
    ("sizes", "left"),
    [
        ((40, 40), [0, 1]),
        ((40, 40, 20), [0, 1, 2]),
        ((40, 40, 21), [1, 2]),
        ((40, 40, 90), [2]),
        ((40, 1000), [1]),
        ((1000, 40), [1]),
        ((100, 0), [0, 1]),
    ],
)
def test_the_bound_holds(sizes: tuple[int, ...], left: list[int]) -> None:
    """The oldest go first; one that is larger than all there is room for stays until the next comes."""
    kept = Manifests(most=100)
    fill(kept, *sizes)
    assert numbers(kept) == left


def test_what_was_used_of_late_stays() -> None:
    """A look counts as use."""
    kept = Manifests(most=100)
    fill(kept, 40, 40)
    kept.get(("job_0", 0))
    kept.keep(("job_2", 2), numbered(2), 40)
    assert numbers(kept) == [0, 2]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60))))
def test_keeping_again_and_again_loses_no_room(steps: list[tuple[int, int]]) -> None:
    """Whatever is kept in whatever order, twice too: what stays is what a list of the last used would hold."""
    kept, model = Manifests(most=100), dict[Key, tuple[Manifest, int]]()
    for number, size in steps:
        key, manifest = (f"job_{number}", number), numbered(number)
        kept.keep(key, manifest, size)
        model.pop(key, None)
        model[key] = manifest, size
        while len(model) > 1 and sum(size for _, size in model.values()) > 100:
            del model[next(iter(model))]
    assert numbers(kept) == sorted(number for _, number in model if number is not None)
