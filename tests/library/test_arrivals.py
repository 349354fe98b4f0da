"""Many files published in one go: in which order, and what a crash or a refusal at any step leaves."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from library import cut_off
from library.shelving import arrival, bring, file_of
from mortal import lose_what_was_not_synced
from windlass.errors import ChecksumMismatch, InsufficientStorage, StorageUnavailable, WindlassError
from windlass.library.arrivals import Arrival
from windlass.library.shelf import Shelf, State
from windlass.manifest import ManifestFile

NAMES = [f"{folder}part-{number}.bin" for folder in ("", "sub/") for number in range(5)]
FILES = [file_of(name.encode(), name) for name in NAMES]


class Call(NamedTuple):
    """What was asked of the operating system: which call, and of which path."""

    name: str
    path: Path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The calls that make something durable or give it a name, in their order; a rename by where it leads."""
    seen: list[Call] = []

    def note(name: str, path_of: Callable[..., Any]) -> None:
        call = getattr(os, name)

        def noted(*args: Any, **more: Any) -> Any:
            answer = call(*args, **more)
            seen.append(Call(name, Path(path_of(*args))))
            return answer

        monkeypatch.setattr(os, name, noted)

    note("fsync", lambda handle: Path(f"/proc/self/fd/{handle}").readlink())
    note("replace", lambda source, target: target)
    note("utime", lambda path: path)
    return seen


def waiting(shelf: Shelf) -> list[Arrival]:
    return [arrival(shelf, file, file.path.encode()) for file in FILES]


def states(shelf: Shelf) -> list[State]:
    return [shelf.state_of(file) for file in FILES]


def test_every_step_is_on_the_disk_before_the_next(shelf: Shelf, calls: list[Call]) -> None:
    """Contents, receipts and the receipts' names are synced before the first final name; the final names after it."""
    arrivals = waiting(shelf)
    shelf.publish(arrivals)
    named = [path for name, path in calls if name == "replace"]
    receipts = {shelf.receipts.path(file.shelf_path) for file in FILES}
    finals = {shelf.path_of(file) for file in FILES}
    assert set(named) == receipts | finals
    first_name = min(calls.index(Call("replace", path)) for path in finals)
    last_receipt = max(calls.index(Call("replace", path)) for path in receipts)
    before = {path for name, path in calls[last_receipt:first_name] if name == "fsync"}
    assert {each.partial for each in arrivals} | receipts | {path.parent for path in receipts} <= before
    last_time = max(calls.index(Call("utime", path)) for path in finals)
    assert {path for _, path in calls[last_time + 1 :]} == {path.parent for path in finals}
    assert set(states(shelf)) == {State.PRESENT}


def test_each_folder_is_synced_once(shelf: Shelf, calls: list[Call]) -> None:
    """However many files it gets: two folders of receipts and two of files, and nothing else but each file itself."""
    shelf.publish(waiting(shelf))
    for file in FILES:
        shelf.path_of(file).unlink()
    arrivals = waiting(shelf)
    calls.clear()
    shelf.publish(arrivals)
    folders = [path for name, path in calls if name == "fsync" and path.is_dir()]
    assert len(folders) == len(set(folders)) == 4
    assert len([call for call in calls if call.name == "fsync"]) == 4 + 2 * len(FILES)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 1, 2, 3 and so on, in each of which a publish has died one step later; the last lived to the end."""
    root = tmp_path_factory.mktemp("cut")
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, cut_off.__file__, root], env=os.environ | {"PYTHONPATH": path}, check=True)
    return root


def test_a_power_cut_at_any_step_leaves_nothing_wrong(cut: Path) -> None:
    """Under each name stands the old file or the new, whole, and no receipt speaks for another file than its own."""
    folders = sorted((path for path in cut.iterdir() if path.is_dir()), key=lambda path: int(path.name))
    assert len(folders) > 30
    new = []
    for folder in folders:
        lose_what_was_not_synced(folder, {int(line) for line in folder.with_suffix(".old").read_text().split()})
        shelf = cut_off.shelf_in(folder)
        new.append(sum(is_new_and_sound(shelf, name) for name in cut_off.NAMES))
    assert new == sorted(new)
    assert (new[0], new[-1]) == (0, len(cut_off.NAMES))
    assert set(new) == set(range(len(cut_off.NAMES) + 1))  # it died between any two of them


def is_new_and_sound(shelf: Shelf, name: str) -> bool:
    file = cut_off.file_named(name)
    path, receipt = shelf.path_of(file), shelf.receipts.read(file.shelf_path)
    present = shelf.state_of(file) is State.PRESENT
    content = path.read_bytes() if path.exists() else None
    if content != cut_off.new_content(name):
        assert content == (cut_off.old_content(name) if name in cut_off.REPLACED else None)
        assert not present
        return False
    assert receipt
    assert receipt.digest == file.digest
    return True


def blocked(shelf: Shelf, file: ManifestFile) -> None:
    shelf.path_of(file).mkdir(parents=True)


def shorter(shelf: Shelf, file: ManifestFile) -> None:
    file_path = shelf.private_dir / "partial"
    for path in file_path.iterdir():
        if path.read_bytes() == file.path.encode():
            path.write_bytes(b"x")


@pytest.mark.parametrize(("obstacle", "error"), [(blocked, StorageUnavailable), (shorter, ChecksumMismatch)])
def test_what_stands_in_the_way_is_seen_before_anything_is_written(
    shelf: Shelf, obstacle: Callable[[Shelf, ManifestFile], None], error: type[WindlassError]
) -> None:
    """One of ten cannot be published: no receipt is written and no name given."""
    arrivals = waiting(shelf)
    obstacle(shelf, FILES[7])
    with pytest.raises(error):
        shelf.publish(arrivals)
    assert all(each.partial.exists() for each in arrivals)
    assert [path for path in shelf.receipts.files_folder.rglob("*") if path.is_file()] == []
    assert set(states(shelf)) <= {State.ABSENT, State.OTHER}


@pytest.mark.parametrize(
    ("call", "moment"),
    [("replace", moment) for moment in range(1, 21, 3)]  # ten receipts and ten names
    + [("utime", moment) for moment in range(1, 11, 3)]
    + [("fsync", moment) for moment in range(1, 32, 3)],  # seven new folders, ten files and receipts, folders again
)
def test_a_refusal_half_way_can_be_made_good(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, call: str, moment: int
) -> None:
    """What has its name is whole then, the rest waits as it was, and a second try brings it to its end."""
    arrivals = waiting(shelf)
    before = {each.partial: each.partial.stat().st_mtime_ns for each in arrivals}
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse(getattr(os, call), moment))
        with pytest.raises(InsufficientStorage, match="is full"):
            shelf.publish(arrivals)
    left = [each for each in arrivals if each.partial.exists()]
    assert all(each.partial.stat().st_mtime_ns == before[each.partial] for each in left)
    assert all(shelf.path_of(each.file).exists() == (each not in left) for each in arrivals)
    assert not list(shelf.receipts.files_folder.rglob("*.part"))
    shelf.publish(left)
    # A file that got its name and not its time is known again by its content.
    assert all(shelf.state_of(file) is State.PRESENT or shelf.adopt(file) for file in FILES)


def refuse(call: Callable[..., Any], moment: int) -> Callable[..., Any]:
    left = iter(range(moment - 1, -1, -1))

    def refused(*args: Any, **more: Any) -> Any:
        if next(left, None) == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(*args, **more)

    return refused


def test_a_refusal_names_the_file_that_met_it(shelf: Shelf) -> None:
    """Of ten files, the one whose name the disk does not take."""
    long = file_of(b"x", f"{'x' * 300}.bin")
    arrivals = [*waiting(shelf), arrival(shelf, long, b"x")]
    with pytest.raises(StorageUnavailable, match=r"File name too long, while putting .*x{300}.bin in place"):
        shelf.publish(arrivals)


def test_nothing_to_publish(shelf: Shelf) -> None:
    """Is soon done."""
    shelf.publish([])
    assert list(shelf.models_dir.iterdir()) == []


def test_the_new_receipt_never_speaks_for_the_old_file(shelf: Shelf) -> None:
    """Of the same size and the same time as the file that it replaces, a file gets another time."""
    old, new = file_of(b"abc"), file_of(b"xyz")
    arrivals = [arrival(shelf, old, b"abc")]
    os.utime(arrivals[0].partial, ns=(1_760_000_001_000_000_000,) * 2)
    shelf.publish(arrivals)
    arrivals = [arrival(shelf, new, b"xyz")]
    os.utime(arrivals[0].partial, ns=(1_760_000_001_999_999_999,) * 2)
    before = shelf.receipts.read(old.shelf_path)
    shelf.publish(arrivals)
    after = shelf.receipts.read(new.shelf_path)
    assert before
    assert after
    assert before.mtime_ns - after.mtime_ns == 2_000_000_000
    assert shelf.state_of(new) is State.PRESENT
    assert bring(shelf, new, b"xyz").mtime_ns > before.mtime_ns
