"""Sources that seem to go on and get nowhere: each is given up, after a bounded number of requests and of hours."""

import asyncio
from pathlib import Path

import pytest

from transfer.bringing import Way, both_ways, bring
from transfer.invented import Server, cut, target_of, tools
from transfer.virtual_time import run
from windlass.errors import SourceFailure
from windlass.transfer import fetch
from windlass.transfer.meter import Meter
from windlass.transfer.network import Cause, Cut, Receiver, Request
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Tools

pytestmark = pytest.mark.usefixtures("small_chunks")

PATIENT = Persistence()  # as in life
DAY = 86_400.0
CONTENT = bytes(n % 251 for n in range(900))


def fail(server: Server, folder: Path, using: Tools, way: Way = fetch.fetch) -> None:
    """It is given up within a day."""
    target = target_of(server.content)
    with pytest.raises(SourceFailure):
        run(way(target, folder, using, Meter(target.size)), within=DAY)


@both_ways
def test_a_source_that_breaks_off_at_the_same_byte_each_time(tmp_path: Path, way: Way) -> None:
    """Without ranges, and after minutes: no machine sleeps so regularly. It brings nothing new, and that counts."""
    server = Server(CONTENT, ranges=False, redirects=False, rate=1.0, script=[cut(400)] * 1000)
    fail(server, tmp_path, tools(server, persistence=PATIENT), way)
    assert len(server.requests) <= 12


@pytest.mark.parametrize("connections", [1, 4, 8, 16])
def test_a_byte_now_and_then(tmp_path: Path, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On each of many connections, cut as stalled each time: so few bytes do not make the others well."""
    monkeypatch.setattr(fetch, "_PROGRESS", 64 * 1024)
    content = bytes(n % 251 for n in range(100_000))
    server = Server(content, rate=0.05, script=[cut(1, Cause.STALLED)] * 100_000)
    fail(server, tmp_path, tools(server, connections=connections, persistence=PATIENT))
    assert len(server.requests) < 400


class OneAtATime(Server):
    """Brings ten bytes a second on one connection, and breaks off each other one at once."""

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        if self.open:
            raise Cut(Cause.BROKEN, "one is enough")
        await super().__call__(request, receiver)


def test_a_slow_line_is_not_given_up_for_one_bad_connection(tmp_path: Path) -> None:
    """As long as what is kept grows, though the good connection's reply does not end for minutes."""
    server = OneAtATime(CONTENT, redirects=False, rate=10.0, block=4)
    staged, _ = bring(server, tmp_path, using=tools(server, connections=2))
    assert staged.path.read_bytes() == CONTENT


def test_one_long_sleep_is_forgiven(tmp_path: Path) -> None:
    """What dies in it is no failure of the source's, even where it may fail but twice."""

    class Asleep(Server):
        async def __call__(self, request: Request, receiver: Receiver) -> None:
            if len(self.requests) == 2:
                asyncio.get_running_loop().leap(1000.0)  # type: ignore[attr-defined]
            await super().__call__(request, receiver)

    server = Asleep(CONTENT, redirects=False, script=[cut(0), cut(0), cut(0), cut(0)])
    using = tools(server, connections=1, persistence=Persistence(failures=3, seconds=0.0))
    staged, _ = bring(server, tmp_path, using=using)
    assert staged.path.read_bytes() == CONTENT
