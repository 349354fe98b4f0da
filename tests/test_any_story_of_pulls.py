"""Pulls that begin, stop, die and go wrong in any order: all that is published is right, and nothing else is.

The stories are those of `transfer/test_any_story.py`, told of whole models on a shelf.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from pulling import ENDPOINT
from sample import COMMIT, REPO, file_of, manifest_of
from transfer.conftest import small_chunks
from transfer.invented import Server
from transfer.many import Many
from transfer.test_any_story import ALL, CONTENTS, NUMBER, Story, _flip, small_files
from transfer.virtual_time import Inline, Later, VirtualLoop
from windlass.library import digests, receipts
from windlass.library.shelf import Shelf, State
from windlass.manifest import Manifest
from windlass.pull import Means, progress_of, pull

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

__all__ = ["small_chunks", "small_files"]

pytestmark = pytest.mark.usefixtures("small_chunks", "small_files", "chunks_of_the_library")

NAMES = [f"part-{number}.gguf" for number in ALL]
FILES = [file_of(content, name) for content, name in zip(CONTENTS, NAMES, strict=True)]


@pytest.fixture(scope="module")
def chunks_of_the_library() -> Iterator[None]:
    """As small as those of the transfer."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (digests, receipts):
            patch.setattr(module, "CHUNK_SIZE", 64)
        yield


class Loop(VirtualLoop):
    """One whose own threads are none either: `asyncio.to_thread` works in virtual time."""

    pool: Executor = Inline()

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        return super().run_in_executor(executor or self.pool, func, *args)


def model_of(which: list[int]) -> Manifest:
    return manifest_of(*(FILES[number] for number in which), id=f"owner/{'-'.join(map(str, which))}")


class StoryOfPulls(Story):
    """See the module."""

    loop_factory = Loop

    @initialize(connections=st.integers(1, 4), threads=st.sampled_from([Inline, Later]), spoilt=NUMBER)
    def begin(self, connections: int, threads: type[Inline] | type[Later], spoilt: int) -> None:
        """Somebody has put a file of the right size and wrong bytes there already."""
        self._begin(connections, threads)
        path = self.shelf.path_of(FILES[spoilt])
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\xaa" * len(CONTENTS[spoilt]))
        self.damaged = {path.name}

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.folder, self.root / "lmstudio", lambda: 1_760_000_000.0)

    @property
    def partials(self) -> Path:
        return self.shelf.private_dir / "partial"

    def _server(self) -> Many:
        many = Many([])
        addresses = (f"{ENDPOINT}/{REPO}/resolve/{COMMIT}/{name}" for name in NAMES)
        many.servers = {url: Server(content, redirects=False) for url, content in zip(addresses, CONTENTS, strict=True)}
        return many

    async def _ask(self, which: list[int], rate: int | None) -> None:
        using = replace(self.using, lane=self.throttle.lane(rate))
        means = Means(self.shelf, using, ENDPOINT, lambda: 1_760_000_000.0)
        manifest = model_of(which)
        work = pull(manifest, means, progress_of(manifest, self.shelf))
        self.jobs.append((which, asyncio.create_task(work)))

    @precondition(lambda self: not self.jobs)
    @rule(number=NUMBER, at=st.integers(0, 100))
    def spoil_what_is_published(self, number: int, at: int) -> None:
        """Somebody writes into a finished file."""
        path = self.shelf.path_of(FILES[number])
        if path.exists() and path.stat().st_size:
            before = path.stat().st_mtime_ns
            _flip(path, at)
            os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))
            self.damaged.add(path.name)

    def _look_at_result(self, which: list[int], result: Any) -> None:
        """What a pull has brought is here, and right, whatever was there before."""
        assert result is None
        for number in which:
            path = self.shelf.path_of(FILES[number])
            assert path.read_bytes() == CONTENTS[number]
            assert self.shelf.state_of(FILES[number]) is State.PRESENT
            self.damaged.discard(path.name)

    @invariant()
    def what_is_published_is_right(self) -> None:
        """At every moment, and nothing else is to be seen; what somebody has spoilt is not called whole."""
        if not hasattr(self, "damaged"):
            return
        for path in self.folder.rglob("*"):
            if path.is_file() and ".windlass" not in path.relative_to(self.folder).parts:
                number = NAMES.index(path.name)
                right = path.read_bytes() == CONTENTS[number]
                assert right or (path.name in self.damaged and self.shelf.state_of(FILES[number]) is not State.PRESENT)

    def _look_at_the_end(self) -> None:
        self.what_is_published_is_right()
        assert self.shelf.missing(model_of(ALL)) == ()
        assert not [*self.partials.glob("*")]


TestStoryOfPulls = StoryOfPulls.TestCase
TestStoryOfPulls.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
