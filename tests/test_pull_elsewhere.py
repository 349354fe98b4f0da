"""What is elsewhere on this machine comes in without a byte from the hub, or leaves no trace."""

import asyncio
import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from a_network import Answers
from pulling import bring, left_over, means_of, seen
from sample import file_of, manifest_of
from windlass.library import cloning
from windlass.library.elsewhere import SMALLEST, Elsewhere
from windlass.library.shelf import Shelf
from windlass.pull import Means, progress_of, pull
from windlass.transfer.partial import SMALL

CONTENT = b"GGUF" + os.urandom(SMALLEST)
FILE = file_of(CONTENT)
MANIFEST = manifest_of(FILE)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The same content in another program's folder."""
    path = tmp_path / "theirs" / "some.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def means(tmp_path: Path, theirs: Path) -> Iterator[Means]:
    (tmp_path / "models").mkdir()
    shelf = Shelf(tmp_path / "models", tmp_path / "lmstudio", lambda: 1_760_000_000.0)
    with ThreadPoolExecutor(2) as threads:
        means = means_of(shelf, threads, Answers({FILE.path: CONTENT}))
        yield replace(means, elsewhere=Elsewhere(folders=[theirs.parent]))


def asked(means: Means) -> int:
    """How often the hub was asked."""
    assert isinstance(means.tools.network, Answers)
    return len(means.tools.network.asked)


def test_a_disk_that_knows_no_second_names(means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    """As exFAT, FAT and many shares: what is elsewhere is copied, and comes in all the same."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    progress = bring(MANIFEST, means)
    assert "taken from" in progress.files[FILE.shelf_path].note
    assert seen(means.shelf) == {FILE.path: CONTENT}
    assert (asked(means), left_over(means.shelf)) == (0, [])


def test_a_cancelled_pull_stops_copying(means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 40 GB takes minutes to copy: whoever stops the job does not wait for that, and nothing stays behind."""
    copy_block, blocks = os.copy_file_range, []
    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    monkeypatch.setattr(cloning, "_BLOCK", 1000)

    async def cancelled() -> None:
        task = asyncio.create_task(pull(MANIFEST, replace(means, hard_links=False), progress_of(MANIFEST, means.shelf)))
        loop = asyncio.get_running_loop()

        def copy(*arguments: int) -> int:
            blocks.append(arguments)
            loop.call_soon_threadsafe(task.cancel)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()  # the loop has its turns meanwhile
            return copy_block(*arguments)

        monkeypatch.setattr(os, "copy_file_range", copy)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert len(blocks) < 10
    assert (seen(means.shelf), asked(means), left_over(means.shelf)) == ({}, 0, [])


@pytest.mark.parametrize("at", ["elsewhere", "in its place", "both"])
def test_what_was_hashed_and_is_not_the_file_does_not_count(means: Means, theirs: Path, at: str) -> None:
    """When bytes begin to come, none of them is verified yet."""
    place = means.shelf.path_of(FILE)
    place.parent.mkdir(parents=True)
    theirs.unlink()
    for path in [theirs] * (at != "in its place") + [place] * (at != "elsewhere"):
        path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    progress = progress_of(MANIFEST, means.shelf)
    meter = progress.files[FILE.shelf_path]
    verified: list[int] = []
    network = Answers({FILE.path: CONTENT}, watch=lambda request: verified.append(meter.checked))
    asyncio.run(pull(MANIFEST, replace(means, tools=replace(means.tools, network=network)), progress))
    assert verified[0] == 0
    assert meter.checked == FILE.size
    assert seen(means.shelf) == {FILE.path: CONTENT}


@pytest.mark.parametrize("size", [1, SMALL - 1, SMALL])
def test_what_is_written_in_one_go_never_has_two_names(means: Means, theirs: Path, size: int) -> None:
    """A small file is written into whatever its partial is, unasked whether that is another program's file too."""
    content = CONTENT[:size]
    theirs.write_bytes(content)
    file = file_of(content)
    assert list(means.elsewhere.find(file)) == []
    bring(manifest_of(file), replace(means, tools=replace(means.tools, network=Answers({file.path: content}))))
    assert means.shelf.path_of(file).stat().st_nlink == theirs.stat().st_nlink == 1
