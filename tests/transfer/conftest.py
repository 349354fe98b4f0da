"""What several tests of the transfer need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from standin import Hub
from transfer.fetching import CONTENT, PATH, REPO, SMALL_CONTENT, Fetcher
from windlass.transfer import digests, fetch, partial, run, segments, small


@pytest.fixture(scope="module")
def small_chunks() -> Iterator[None]:
    """Chunks of 64 bytes in place of 16 MiB, so that a file of a few hundred has all that one of gigabytes has."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (segments, run, digests, small):
            patch.setattr(module, "CHUNK", 64)
        patch.setattr(segments, "LONGEST", 1024)
        patch.setattr(segments, "SHORTEST_SPLIT", 16)
        patch.setattr(fetch, "_PROGRESS", 32)
        patch.setattr(partial, "SMALL", 0)
        patch.setattr(fetch, "_SYNC_EVERY", 256)
        yield


@pytest.fixture
def fetcher(hub: Hub, tmp_path: Path) -> Fetcher:
    """A hub with one file of three MiB, and one who fetches it."""
    hub.add(REPO, {PATH: CONTENT})
    return Fetcher(hub, tmp_path / "partial")


@pytest.fixture(params=[CONTENT, SMALL_CONTENT], ids=["large", "small"])
def either(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> Fetcher:
    """A hub with one file, and one who fetches it: once by segments with a ledger, and once whole."""
    hub.add(REPO, {PATH: request.param})
    return Fetcher(hub, tmp_path / "partial")
