"""Pulls as tests have them: over an invented network, with nothing to wait for, and what they leave."""

import asyncio
from concurrent.futures import Executor

from a_network import Answers
from windlass.library.shelf import Shelf
from windlass.manifest import Manifest
from windlass.pull import Means, Progress, progress_of, pull
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Tools

ENDPOINT = "http://hub.test"


def means_of(shelf: Shelf, threads: Executor, network: Answers) -> Means:
    tools = Tools(network, threads, lambda: 0.0, lambda: 0.0, lambda: 4, persistence=Persistence(failures=1, seconds=0))
    return Means(shelf, tools, ENDPOINT, lambda: 1_760_000_000.0, lambda: {"Authorization": "Bearer hf_x"})


def bring(manifest: Manifest, means: Means) -> Progress:
    progress = progress_of(manifest, means.shelf)
    asyncio.run(pull(manifest, means, progress))
    return progress


def seen(shelf: Shelf) -> dict[str, bytes]:
    """Every file that others see, by its name."""
    found = [path for path in shelf.models_dir.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in found if ".windlass" not in path.parts}


def left_over(shelf: Shelf) -> list[str]:
    return sorted(path.name for path in (shelf.private_dir / "partial").glob("*"))
