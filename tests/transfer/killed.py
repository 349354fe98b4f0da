"""A process that fetches files and is meant to be killed: `python killed.py ORDER`, a JSON file of what to fetch."""

import asyncio
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import certifi

from windlass.transfer.batch import fetch_all
from windlass.transfer.meter import Meter
from windlass.transfer.network import Patience
from windlass.transfer.target import Target, Tools
from windlass.transfer.wire import Wire


async def bring(order: dict[str, Any]) -> None:
    """Fetch all of the order, and print where each file is."""
    targets = [Target(**target) for target in order["targets"]]
    wire = Wire(certifi.where(), lambda _: None, Patience())
    with ThreadPoolExecutor(2) as threads:
        tools = Tools(
            network=wire,
            threads=threads,
            chance=random.random,
            wall_clock=time.time,
            connections=lambda: 3,
        )
        whole = [(target, Meter(target.size)) for target in targets]
        for staged in await fetch_all(whole, Path(order["folder"]), tools):
            assert staged
            print(staged.path)
    wire.close()


if __name__ == "__main__":
    asyncio.run(bring(json.loads(Path(sys.argv[1]).read_text())))
