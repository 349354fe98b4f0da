"""A fetch from an invented server, brought to its end in virtual time; what several files of tests begin with."""

import hashlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import HealthCheck, settings

from transfer.invented import (
    Server,
    target_of,
    tools,
)
from transfer.virtual_time import run
from windlass.transfer.fetch import fetch
from windlass.transfer.gate import Gate
from windlass.transfer.ledger import Piece
from windlass.transfer.meter import Meter
from windlass.transfer.partial import open_partial
from windlass.transfer.small import fetch_small
from windlass.transfer.target import Staged, Target, Tools

CONTENT = bytes((n * 7 + n // 64) % 251 for n in range(1500))

often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


Way = Callable[[Target, Path, Tools, Meter], Coroutine[Any, Any, Staged]]


async def whole(target: Target, folder: Path, using: Tools, meter: Meter) -> Staged:
    """The way of a small file, at a gate of its own."""
    return await fetch_small(target, folder, using, meter, Gate(4))


both_ways = pytest.mark.parametrize("way", [fetch, whole], ids=["large", "small"])


def bring(
    server: Server, folder: Path, target: Target | None = None, using: Tools | None = None, way: Way = fetch
) -> tuple[Staged, Meter]:
    """Fetch to the end in virtual time."""
    target = target or target_of(server.content)
    meter = Meter(target.size)
    return run(way(target, folder, using or tools(server), meter)), meter


def assert_right(staged: Staged, content: bytes) -> None:
    """The bytes and every digest of the seal."""
    assert staged.path.read_bytes() == content
    assert staged.seal.sha256 == hashlib.sha256(content).hexdigest()
    chunks = tuple(xxhash.xxh3_64_hexdigest(content[at : at + 64]) for at in range(0, len(content), 64))
    assert staged.seal.chunks == chunks


def keep(folder: Path, target: Target, *ends: int) -> None:
    """A partial that has the bytes up to each of `ends`, as pieces."""
    partial = open_partial(folder, target.partial_name, target.identity, target.size)
    assert partial
    start = 0
    for end in ends:
        partial.write(start, CONTENT[start:end])
        partial.record([Piece(start, end - start, xxhash.xxh3_64_hexdigest(CONTENT[start:end]))])
        start = end
    partial.close()
