"""Several models folders: where a model goes, and what is said where it cannot."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a_yard import LARGE, begin, job_manifest
from windlass.errors import InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.folder import ModelsFolder
from windlass.library.shelf import Shelf
from windlass.places import Bid, Place, Places, choose

SIZE = job_manifest(LARGE).total_size


def place_at(path: Path) -> Place:
    path.mkdir(exist_ok=True)
    return Place(Shelf(path, path), ModelsFolder(path, path / "known", 0))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places([place_at(tmp_path / name) for name in ("first", "second", "third")])


def room(**free: int) -> Callable[[Place], int]:
    return lambda place: free.get(place.folder.path.name, 10**9)


@pytest.mark.parametrize(
    ("free", "kept", "chosen"),
    [
        ({}, {}, "first"),
        ({"first": SIZE}, {}, "first"),
        ({"first": SIZE - 1}, {}, "second"),
        ({"first": SIZE - 1, "second": SIZE - 1}, {}, "third"),
        ({}, {"third": 500}, "third"),  # what is there need not come again
        ({"third": SIZE - 500}, {"third": 500}, "third"),
        ({"third": SIZE - 501}, {"third": 500}, "first"),
        ({}, {"second": 400, "third": 500}, "third"),
    ],
)
def test_where_a_model_goes(places: Places, free: dict[str, int], kept: dict[str, int], chosen: str) -> None:
    """To the folder that has most of it among those with room for the rest, else to the first with room."""
    for place in places:
        if size := kept.get(place.folder.path.name):
            begin(place.shelf, LARGE, size)
    manifest = job_manifest(LARGE)
    assert places.choose(manifest, None, room(**free)).folder.path.name == chosen
    assert places.likeliest(manifest, room(**free)).folder.path.name == chosen


@given(
    bids=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), max_size=5),
    size=st.integers(0, 12),
)
def test_whatever_there_is_of_room(
    tmp_path_factory: pytest.TempPathFactory, bids: list[tuple[int, int]], size: int
) -> None:
    """One with room is found where there is one, and no other has room and more of the model."""
    folder = tmp_path_factory.getbasetemp()
    offers = [Bid(Place(Shelf(folder, folder), ModelsFolder(folder, folder, 0)), *bid) for bid in bids]
    chosen = choose(offers, size)
    fitting = [bid for bid in offers if bid.kept + bid.usable >= size]
    assert (chosen is None) is (not fitting)
    if chosen:
        [taken] = [bid for bid in fitting if bid.place is chosen]
        assert taken.kept == max(bid.kept for bid in fitting)


def test_room_in_none(places: Places) -> None:
    """The numbers are those of the folder that comes nearest."""
    with pytest.raises(InsufficientStorage, match="second") as caught:
        places.choose(job_manifest(LARGE), None, room(first=5, second=7, third=6))
    assert (caught.value.needed, caught.value.free) == (SIZE, 7)
    assert places.likeliest(job_manifest(LARGE), room(first=5, second=7, third=6)).folder.path.name == "second"


def test_the_folder_that_is_asked_for(places: Places, tmp_path: Path) -> None:
    """Or an error: what is none of them, what is not there, what has no room; another one is not taken instead."""
    manifest = job_manifest(LARGE)
    second = tmp_path / "second"
    assert places.choose(manifest, str(second), room()).folder.path == second
    with pytest.raises(InsufficientStorage, match="second"):
        places.choose(manifest, str(second), room(second=5))
    with pytest.raises(InvalidRequest, match="none of the models folders") as caught:
        places.choose(manifest, "/elsewhere", room())
    assert str(second) in str(caught.value)
    disk = replace(next(place for place in places if place.folder.path == second).folder, may_be_made=False)
    second.rmdir()
    away = Places([Place(place.shelf, disk if place.folder.path == second else place.folder) for place in places])
    with pytest.raises(StorageUnavailable, match="not there"):
        away.choose(manifest, str(second), room())
    assert away.offline() == [second]
    assert away.choose(manifest, None, room(first=0)).folder.path.name == "third"


def test_none_is_there(tmp_path: Path) -> None:
    """With the first one's name, and nothing is made."""
    gone = tmp_path / "gone"
    places = Places([Place(Shelf(gone, gone), ModelsFolder(gone, gone / "known", 0, may_be_made=False))])
    with pytest.raises(StorageUnavailable, match="mounted"):
        places.choose(job_manifest(LARGE), None, room())
    assert not gone.exists()
