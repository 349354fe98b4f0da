"""How a pull publishes: in groups, each file claimed, and what others, refusals and crashes in between do to it."""

import asyncio
import errno
import fcntl
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TypeVar

import pytest

import pull_cut_off
from a_network import Answers
from pulling import bring, left_over, means_of, seen
from sample import file_of, manifest_of
from windlass.errors import InsufficientStorage, StorageUnavailable
from windlass.library.arrivals import Arrival
from windlass.library.shelf import Shelf, State
from windlass.manifest import Manifest
from windlass.pull import Means, discard_partials, partial_names, progress_of, pull
from windlass.transfer.partial import HELD

FILES = {f"part-{number:03}.bin": b"content %03d" % number for number in range(150)}
T = TypeVar("T")
MOST = 64  # files of one group, where 512 descriptors may be open


class Noting(Shelf):
    """A shelf that notes how many files come at once, whether they are claimed, and what is here at the end."""

    def __init__(self, models_dir: Path) -> None:
        super().__init__(models_dir, models_dir, lambda: 1_760_000_000.0)
        self.groups: list[int] = []
        self.claimed: set[bool] = set()
        self.missing_at_end: list[int] = []

    def publish(self, arrivals: Sequence[Arrival]) -> None:
        self.groups.append(len(arrivals))
        self.claimed |= {is_locked(arrival.partial) for arrival in arrivals}
        super().publish(arrivals)

    def finish(self, manifest: Manifest, *more: Any) -> None:
        self.missing_at_end.append(len(self.missing(manifest)))
        super().finish(manifest, *more)


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def allowed() -> Iterator[Callable[[int], None]]:
    """Sets how many descriptors this process may have open; at the end it is as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda number: resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def shelf(tmp_path: Path) -> Noting:
    return Noting(tmp_path)


@pytest.fixture
def network() -> Answers:
    return Answers(FILES)


@pytest.fixture
def means(shelf: Noting, network: Answers) -> Iterator[Means]:
    with ThreadPoolExecutor(2) as threads:
        yield means_of(shelf, threads, network)


def some(number: int) -> Manifest:
    """The first files, in the order that is not that of their partials."""
    files = [file_of(content, path) for path, content in list(FILES.items())[:number]]
    return manifest_of(*sorted(files, key=lambda file: max(partial_names(manifest_of(file))), reverse=True))


def network_of(means: Means) -> Answers:
    assert isinstance(means.tools.network, Answers)
    return means.tools.network


def asked(network: Answers) -> list[str]:
    return [url.rpartition("/")[2] for url in network.asked]


def before_publishing(means: Means, act: Callable[[], object]) -> Means:
    """Have something happen when all has been fetched: that is when the clock is asked for the receipts' time."""
    todo = iter([act])

    def clock() -> float:
        for work in todo:
            work()
        return 1_760_000_000.0

    return replace(means, clock=clock)


@pytest.mark.parametrize(("descriptors", "groups"), [(8 * MOST, [MOST, MOST, 150 - 2 * MOST]), (4096, [150])])
def test_many_files_are_published_in_groups(
    means: Means, shelf: Noting, allowed: Callable[[int], None], descriptors: int, groups: list[int]
) -> None:
    """As many at once as descriptors may be spent on it, each claimed; the model's receipt when all are there."""
    allowed(descriptors)
    bring(some(150), means)
    assert seen(shelf) == FILES
    assert left_over(shelf) == []
    assert shelf.groups == groups
    assert shelf.claimed == {True}
    assert shelf.missing_at_end == [0]


def test_who_has_a_file_is_not_waited_for_with_others_in_hand(means: Means, shelf: Noting) -> None:
    """He may fetch it anew for an hour: what was claimed is let go of, the job can be paused, and goes on after him."""
    manifest = some(5)
    folder = shelf.private_dir / "partial"
    first, second, held, *_ = (folder / f"{name}.part" for name in sorted(partial_names(manifest)))
    progress = progress_of(manifest, shelf)

    def is_waiting() -> bool:
        return any(meter.note == HELD for meter in progress.files.values())

    with ThreadPoolExecutor(1) as another:

        def hold() -> None:
            file = held.open("rb+")
            fcntl.flock(file, fcntl.LOCK_EX)
            seen_meanwhile.append(another.submit(look_and_release, file))

        def look_and_release(file: IO[bytes]) -> None:
            until = time.monotonic() + 20
            with file:
                while not is_waiting() or is_locked(first) or is_locked(second):
                    assert time.monotonic() < until

        seen_meanwhile: list[Future[None]] = []
        asyncio.run(pull(manifest, before_publishing(means, hold), progress))
    assert [answer.result() for answer in seen_meanwhile] == [None]
    assert len(seen(shelf)) == 5


def test_a_file_that_is_there_twice(means: Means, shelf: Noting) -> None:
    """Named twice, at two commits with the same content, it is one partial, which is claimed once."""
    manifest = some(3)
    twice = replace(manifest.files[0], commit="d" * 40)
    bring(replace(manifest, files=(*manifest.files, twice)), means)
    assert len(seen(shelf)) == 3


def test_a_partial_that_vanishes_is_fetched_again(means: Means, shelf: Noting, network: Answers) -> None:
    """One that was verified and is neither here nor on the shelf: it alone, and then all are published."""
    manifest = some(5)
    lost = manifest.files[3]
    discard = lambda: discard_partials(partial_names(manifest_of(lost)), shelf)  # noqa: E731
    bring(manifest, before_publishing(means, discard))
    assert len(seen(shelf)) == 5
    assert sorted(asked(network)) == sorted([*(file.path for file in manifest.files), lost.path])


@pytest.mark.parametrize("size", [40, 2_000_000], ids=["small", "large"])
def test_a_partial_that_was_written_into_since_it_was_sealed(
    means: Means, shelf: Noting, network: Answers, size: int
) -> None:
    """While a sister was still on its way, say: it is looked at again, mended, and only then published."""
    content = bytes(n % 251 for n in range(size))
    network.contents = {**network.contents, "changed.bin": content}
    file = file_of(content, "changed.bin")
    [name] = partial_names(manifest_of(file))

    def spoil() -> None:
        path = shelf.private_dir / "partial" / f"{name}.part"
        with path.open("r+b") as partial:
            partial.seek(7)
            partial.write(b"?")
        os.utime(path, ns=(0, 1))

    bring(manifest_of(*some(2).files, file), before_publishing(means, spoil))
    assert seen(shelf)["changed.bin"] == content
    assert left_over(shelf) == []


def test_a_partial_that_vanishes_each_time(means: Means, shelf: Noting, network: Answers) -> None:
    """Something tidies up behind us: an error that says so, after a bounded number of tries."""
    manifest = some(2)

    def clock() -> float:
        discard_partials(partial_names(manifest_of(manifest.files[0])), shelf)
        return 1_760_000_000.0

    with pytest.raises(StorageUnavailable, match="vanish"):
        bring(manifest, replace(means, clock=clock))
    assert 2 < len(asked(network)) < 50


def test_what_another_job_has_published_is_left_alone(means: Means, shelf: Noting, network: Answers) -> None:
    """One of five is on the shelf when its turn comes: the other four are published, and nothing is fetched again."""
    manifest = some(5)
    taken = manifest.files[2]

    def publish_it() -> None:
        shelf.path_of(taken).parent.mkdir(parents=True)
        shelf.path_of(taken).write_bytes(FILES[taken.path])
        assert shelf.adopt(taken)
        discard_partials(partial_names(manifest_of(taken)), shelf)

    bring(manifest, before_publishing(means, publish_it))
    assert shelf.groups == [4]
    assert len(asked(network)) == len(seen(shelf)) == 5
    receipt = shelf.receipts.read(taken.shelf_path)
    assert receipt
    assert receipt.adopted


@pytest.mark.parametrize("moment", [0, 70, 149])
def test_a_full_disk_half_way_costs_nothing_twice(
    means: Means, shelf: Noting, monkeypatch: pytest.MonkeyPatch, allowed: Callable[[int], None], moment: int
) -> None:
    """The disk takes no more names: those given stay, with nothing left beside; the others are published later."""
    allowed(8 * MOST)
    network = network_of(means)
    final, replaced, names = shelf.path_of(some(1).files[0]).parent, os.replace, iter(range(moment))

    def refuse(source: Any, target: Any) -> None:
        if Path(target).parent == final and next(names, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        replaced(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(InsufficientStorage):
            bring(some(150), means)
    assert len(seen(shelf)) == moment
    assert len({name.partition(".")[0] for name in left_over(shelf)}) == 150 - moment
    assert shelf.missing_at_end == []
    network.asked.clear()
    bring(some(150), means)
    assert network.asked == []
    assert seen(shelf) == FILES
    assert left_over(shelf) == []


def test_a_look_at_many_files_is_one_errand(means: Means) -> None:
    """To find out that all files are here, and to note the model again, take one turn on a thread each."""
    bring(some(150), means)
    errands = []

    class Counting(ThreadPoolExecutor):
        def submit(self, work: Callable[..., T], /, *args: Any, **more: Any) -> Future[T]:
            errands.append(work)
            return super().submit(work, *args, **more)

    async def again() -> None:
        asyncio.get_running_loop().set_default_executor(Counting(1))
        await pull(some(150), means, progress_of(some(150), means.shelf))

    asyncio.run(again())
    assert len(errands) == 2


def test_a_crash_at_any_step_of_publishing(tmp_path: Path) -> None:
    """What has its name then is whole; the next pull fetches nothing that has one, and ends with the whole model."""
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, pull_cut_off.__file__, tmp_path], env=os.environ | {"PYTHONPATH": path}, check=True)
    folders = sorted((found for found in tmp_path.iterdir() if found.is_dir()), key=lambda found: int(found.name))
    found = [after_crash(Shelf(folder, folder)) for folder in folders]
    assert found == sorted(found)
    assert {(0, False), (1, False), (2, False), (3, False), (3, True)} == set(found)


def after_crash(shelf: Shelf) -> tuple[int, bool]:
    """How many names had been given, and whether the model had its receipt; then the pull goes on."""
    here = seen(shelf)
    finished = any(shelf.receipts.models_folder.glob("*.json"))
    assert here.items() <= pull_cut_off.FILES.items()
    assert not finished or not shelf.missing(pull_cut_off.MANIFEST)
    network = Answers(pull_cut_off.FILES)
    with ThreadPoolExecutor(1) as threads:
        bring(pull_cut_off.MANIFEST, means_of(shelf, threads, network))
    assert here.keys().isdisjoint(asked(network))
    assert seen(shelf) == pull_cut_off.FILES
    assert all(shelf.state_of(file) is State.PRESENT for file in pull_cut_off.MANIFEST.files)
    return len(here), finished
