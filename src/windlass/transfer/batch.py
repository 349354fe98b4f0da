"""Bring several files in: large ones two at a time, so that ends and starts overlap; small ones many at a time."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from windlass.transfer.fetch import Overtaken, fetch, first_error
from windlass.transfer.meter import Meter
from windlass.transfer.segments import CHUNK
from windlass.transfer.target import Staged, Target, Tools

_LARGE_AT_ONCE = 2
_SMALL_AT_ONCE = 16  # a small file is all latency; more than this gained little and looks like an attack


async def fetch_all(
    targets: Sequence[tuple[Target, Meter]],
    folder: Path,
    tools: Tools,
    wanted: Callable[[Target], bool] = lambda _: True,
) -> list[Staged | None]:
    """Bring all `targets` in, each with its meter; answers them in the same order.

    Args:
        targets: what to fetch.
        folder: where partials live.
        tools: what a fetch works with.
        wanted: asked when a file's turn comes: another job may have brought it in by then. If so, its answer is None.

    Raises:
        WindlassError: as `fetch`; the first that fails ends the others, and what has come is kept.
    """
    large, small = asyncio.Semaphore(_LARGE_AT_ONCE), asyncio.Semaphore(_SMALL_AT_ONCE)

    async def fetch_in_turn(target: Target, meter: Meter) -> Staged | None:
        async with large if target.size > CHUNK else small:
            while wanted(target):
                with suppress(Overtaken):
                    return await fetch(target, folder, tools, meter)
        meter.kept = meter.checked = target.size
        return None

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch_in_turn(target, meter)) for target, meter in targets]
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None
    return [task.result() for task in tasks]
