"""A runner and all that it works with: an invented network that holds files back, a store that tells of its changes."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a_network import Answers
from a_store import News, Noted
from sample import file_of, manifest_of
from windlass import runner as module
from windlass.folder import ModelsFolder
from windlass.jobs.states import State
from windlass.library.shelf import Shelf
from windlass.limits import Limits
from windlass.manifest import Manifest
from windlass.places import Place, Places
from windlass.presence import Presence
from windlass.pull import Means, partial_names
from windlass.runner import Runner, Workshop
from windlass.space import Reserve, Waiting
from windlass.transfer.ledger import Piece
from windlass.transfer.network import Receiver, Request
from windlass.transfer.partial import open_partial
from windlass.transfer.target import Tools

LARGE = 6  # the first of three models of which a part may be kept; small ones come in one go
CONTENTS = {f"model-{n}.gguf": b"GGUF" + bytes([n]) * (1000 if n < LARGE else 2**20) for n in range(LARGE + 3)}


def job_manifest(number: int) -> Manifest:
    path = f"model-{number}.gguf"
    return manifest_of(file_of(CONTENTS[path], path), id=f"owner/model-{number}")


def begin(shelf: Shelf, number: int, size: int) -> None:
    """Leave so many bytes of a large model on the disk, as a transfer does."""
    file, [name] = job_manifest(number).files[0], partial_names(job_manifest(number))
    partial = open_partial(shelf.private_dir / "partial", name, f"sha256:{file.digest.hex}", file.size)
    assert partial
    partial.record([Piece(0, size, "0" * 16)])
    partial.close()


class Network(Answers):
    """Files can be held back: their requests wait until the test lets them go."""

    def __init__(self, news: News) -> None:
        super().__init__(CONTENTS)
        self._news = news
        self._gates: dict[str, Future[None]] = {}
        self.waiting: set[str] = set()

    def hold(self, *numbers: int) -> None:
        self._gates |= {f"model-{number}.gguf": Future() for number in numbers}

    def let_go(self, *numbers: int) -> None:
        for number in numbers:
            self._gates.pop(f"model-{number}.gguf").set_result(None)

    def waits(self, *numbers: int) -> bool:
        return {f"model-{number}.gguf" for number in numbers} == self.waiting

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        name = request.url.rpartition("/")[2]
        gate = self._gates.get(name)
        if gate:
            self.waiting.add(name)
            self._news.tell()
            try:
                await asyncio.shield(asyncio.wrap_future(gate))
            finally:
                self.waiting.discard(name)
                self._news.tell()
        await super().__call__(request, receiver)


class Yard:
    """A runner and all that it works with, on one home."""

    def __init__(self, home: Path, max_jobs: int = 3) -> None:
        (home / "models").mkdir(parents=True, exist_ok=True)
        self.news = News()
        self.store = Noted(f"sqlite:///{home}/windlass.db", self.news)
        self.presence = Presence(home)
        self.shelf: Shelf = Shelf(home / "models", home / "lmstudio")
        self.network = Network(self.news)
        self.make_means: Callable[[Tools], Means] = lambda t: Means(self.shelf, t, "http://hub.test", time.time)
        # Through `self`: a test may put another shelf or other means there.
        workshop = Workshop(lambda _: self.shelf, lambda: self.network, lambda _, tools: self.make_means(tools))
        self.free = 10**9
        self.look: Callable[[Path], int] = lambda _: self.free
        folder = ModelsFolder(home / "models", home / "known", 1000, lambda path: self.look(path))  # noqa: PLW0108
        places = Places([Place(self.shelf, folder)])
        self.waiting = Waiting(self.store, places, Reserve(home / "reserve"), time.time)
        self.runner = Runner(self.store, self.presence, workshop, self.waiting, Limits(max_jobs, connections=2))

    def add(self, *numbers: int) -> list[str]:
        ids = [self.store.add(job_manifest(number)).id for number in numbers]
        self.runner.poke()
        return ids

    def limit(self, **limits: Any) -> None:
        self.runner.set_limits(replace(self.runner.limits, **limits))

    def states(self, *ids: str) -> list[State]:
        return [self.store.get(job_id).state for job_id in ids]

    def until(self, state: State, *ids: str) -> None:
        self.news.until(lambda: set(self.states(*ids)) == {state})

    def close(self) -> None:
        self.runner.close()
        self.presence.close()
        self.store.close()


def quick_yard(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """For a fixture: one with a quicker pulse than in life."""
    monkeypatch.setattr(module, "BEAT", 0.02)
    monkeypatch.setattr(module, "_IDLE", 0.02)
    yard = Yard(home)
    yield yard
    yard.close()
