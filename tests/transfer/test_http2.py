"""HTTP/2 with a server that nobody here wrote: what shares a connection, what does not, and what breaks with it."""

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from standin import Hub
from transfer.fetching import CONTENT, MIB, Fetcher
from transfer.web_server import WebServer, is_installed, serving
from windlass.transfer.meter import Meter
from windlass.transfer.network import Patience
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Target

pytestmark = pytest.mark.skipif(not is_installed(), reason="nginx is not installed")

MANY = {f"{n % 7}/part-{n}.json": hashlib.shake_256(b"%d" % n).digest(500 + 37 * n) for n in range(200)}
LARGE = {"large.safetensors": CONTENT * 14}


@dataclass
class Job:
    """Files that a server has, and one who fetches them."""

    server: WebServer
    fetcher: Fetcher
    files: Mapping[str, bytes]
    meters: list[Meter] = field(default_factory=list)

    def bring(self, meanwhile: Callable[[], object] | None = None, when: int = 0) -> None:
        """Fetch all, and do something when so many are there; they must be right."""
        targets = [self._target(path, content) for path, content in self.files.items()]
        self.meters = [Meter(target.size) for target in targets]

        async def bring() -> None:
            async with asyncio.timeout(30):
                task = asyncio.create_task(self.fetcher._run(list(zip(targets, self.meters, strict=True))))
                while meanwhile and sum(meter.kept == meter.size for meter in self.meters) < when:
                    await asyncio.sleep(0.001)
                if meanwhile:
                    assert not task.done()
                    meanwhile()
                staged = await task
            assert [one.path.read_bytes() for one in staged] == list(self.files.values())

        asyncio.run(bring())

    def _target(self, path: str, content: bytes) -> Target:
        return Target(path, f"{self.server.url}/{path}", len(content), "sha256", hashlib.sha256(content).hexdigest())

    @property
    def retries(self) -> int:
        return sum(meter.retries for meter in self.meters)


@contextmanager
def job(files: Mapping[str, bytes], hub: Hub, more: str = "") -> Iterator[Job]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), files, more) as server:
        fetcher = Fetcher(hub, Path(folder) / "partial", ca_file=str(server.ca_file))
        fetcher.patience = Patience(connect=1.0, head=0.5, stall=0.5, floor=100)
        fetcher.persistence = Persistence(failures=5, seconds=0.1)
        yield Job(server, fetcher, files)


def test_many_small_files_come_over_one_connection(hub: Hub) -> None:
    """Two hundred of them, sixteen at a time, and not one more connection than that one."""
    with job(MANY, hub) as fetching:
        fetching.bring()
        assert fetching.server.cable.connections == 1
        assert {seen.protocol for seen in fetching.server.seen} == {"HTTP/2.0"}
        assert len(fetching.server.seen) == 200
        assert fetching.retries == 0


def test_segments_of_a_large_file_have_connections_of_their_own(hub: Hub) -> None:
    """HTTP/1.1 for each of them, also while small files share another: its one window is not for them.

    Where libcurl has met a server over HTTP/1.1 first, the small files that begin then have a connection each, sixteen
    of them; those that follow share.
    """
    with job({**LARGE, **MANY}, hub) as fetching:
        fetching.bring()
        of_large = [seen for seen in fetching.server.seen if "large" in seen.path]
        of_small = [seen for seen in fetching.server.seen if "large" not in seen.path]
        assert {seen.protocol for seen in of_large} == {"HTTP/1.1"}
        # A connection of the large one's that is kept and idle may bring small files as well, and does it no worse.
        assert {seen.protocol for seen in of_small} >= {"HTTP/2.0"}
        assert {seen.status for seen in of_large} == {"206"}
        assert 2 <= len({seen.connection for seen in of_large}) <= fetching.fetcher.connections
        assert fetching.server.cable.connections <= 16 + fetching.fetcher.connections


def test_a_server_that_says_goodbye_is_asked_over_another_connection(hub: Hub) -> None:
    """GOAWAY after every 25 requests (RFC 9113 §6.8): what it did not answer is asked again, nothing fails."""
    with job(MANY, hub, "keepalive_requests 25;") as fetching:
        fetching.bring()
        assert 200 / 25 <= fetching.server.cable.connections <= 40
        assert {seen.protocol for seen in fetching.server.seen} == {"HTTP/2.0"}


def test_streams_that_are_reset_are_asked_for_again(hub: Hub) -> None:
    """RST_STREAM in place of every tenth answer: those files alone are tried again."""
    with job(MANY, hub, 'if ($connection_requests ~ "5$") { return 444; }') as fetching:
        fetching.bring()
        assert fetching.retries >= 15
        assert fetching.server.cable.connections <= 1 + fetching.retries


def test_a_connection_that_breaks_breaks_no_file(hub: Hub) -> None:
    """With sixteen streams on it: each is asked for again."""
    with job(MANY, hub) as fetching:
        fetching.bring(fetching.server.cable.cut, when=60)
        assert fetching.retries <= 40  # libcurl itself asks again where nothing of an answer had come
        assert 2 <= fetching.server.cable.connections <= 2 + 16


def test_a_connection_that_is_dead_is_left(hub: Hub) -> None:
    """As after a sleep, open and silent: found out once, and nothing is asked over it any more."""
    with job(MANY, hub) as fetching:
        fetching.bring(fetching.server.cable.go_dead, when=60)
        assert 1 <= fetching.retries <= 40


def test_bodies_that_stall_with_their_connection_are_left(hub: Hub) -> None:
    """In the middle of files that take a while: what had come of them stays."""
    files = {f"{n}.bin": CONTENT[n : n + 400_000] for n in range(32)}
    with job(files, hub) as fetching:
        fetching.fetcher.limit = 8 * MIB
        fetching.bring(fetching.server.cable.go_dead, when=4)
        assert 1 <= fetching.retries <= 40
