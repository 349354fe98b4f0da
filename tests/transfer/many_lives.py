"""Processes that fetch files and are meant to be killed, one after the other: `python many_lives.py`.

For each order (a file's name on a line of the input) one begins, a copy of this process, in a few milliseconds, and
its number is printed; after a second line, how it ended (`os.waitstatus_to_exitcode`). Until then its number is no
other's. Everything is small in them, so that a file of a megabyte has all that one of many gigabytes has.
"""

import asyncio
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import certifi

from windlass.transfer import batch, buffers, digests, fetch, partial, run, segments, small, writing
from windlass.transfer.meter import Meter
from windlass.transfer.network import Patience
from windlass.transfer.target import Target, Tools
from windlass.transfer.wire import Wire

KIB = 1024
CONNECTIONS = 3
TICK = 0.02
SMALL = 8 * KIB


def make_small() -> None:
    """A chunk is 64 KiB here, and all else in proportion."""
    patches: list[tuple[Any, str, float]] = [
        *((module, "CHUNK", 64 * KIB) for module in (segments, run, digests, small, batch)),
        *((module, "SMALL", SMALL) for module in (partial, batch)),
        (segments, "LONGEST", 512 * KIB),
        (segments, "SHORTEST_SPLIT", 16 * KIB),
        (fetch, "TICK", TICK),
        (fetch, "_PROGRESS", 4 * KIB),
        (fetch, "_SYNC_EVERY", 256 * KIB),
        (writing, "BATCH", 32 * KIB),
        (buffers, "_SIZE", 32 * KIB),
        (run, "LEAST", 16 * KIB),
    ]
    for module, name, value in patches:
        assert hasattr(module, name)
        setattr(module, name, value)


async def bring(order: dict[str, Any]) -> None:
    """Fetch all of the order."""
    targets = [Target(**target) for target in order["targets"]]
    wire = Wire(certifi.where(), lambda _: None, Patience())
    with ThreadPoolExecutor(2) as threads:
        tools = Tools(
            network=wire,
            threads=threads,
            chance=random.random,
            wall_clock=time.time,
            connections=lambda: CONNECTIONS,
        )
        staged = await batch.fetch_all(
            [(target, Meter(target.size)) for target in targets], Path(order["folder"]), tools
        )
        assert all(staged)
    wire.close()


def live(order: str) -> int:
    """Begin a process that does this order, say its number, and answer how it ended."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(bring(json.loads(Path(order).read_text())))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    make_small()
    while line := sys.stdin.readline():
        print(live(line.strip()), flush=True)
