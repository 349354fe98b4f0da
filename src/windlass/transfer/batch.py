"""Bring several files in: large ones two at a time, so that ends and starts overlap; small ones many at a time."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from windlass.transfer.fetch import fetch, first_error
from windlass.transfer.gate import Gate
from windlass.transfer.meter import Meter
from windlass.transfer.partial import SMALL
from windlass.transfer.segments import CHUNK
from windlass.transfer.settled import in_thread
from windlass.transfer.small import fetch_small
from windlass.transfer.target import Overtaken, Staged, Target, Tools

_LARGE_AT_ONCE = 2
_SMALL_FOR_EACH = 4  # small files at once, for each connection that a large one may use: they are all latency


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
    large, small = Gate(_LARGE_AT_ONCE), Gate(_SMALL_FOR_EACH * tools.connections())
    # What two large files have together is no more than one would: each connection holds 1 MiB of memory.
    sharing = replace(tools, connections=lambda: max(1, tools.connections() // max(1, large.inside)))

    async def fetch_in_turn(target: Target, meter: Meter) -> Staged | None:
        gate = large if target.size > CHUNK else small
        async with gate, tools.small if target.size <= SMALL else nullcontext():
            while await in_thread(tools.threads, wanted, target):
                with suppress(Overtaken):
                    if target.size <= SMALL:
                        return await fetch_small(target, folder, tools, meter, gate)
                    return await fetch(target, folder, sharing, meter)
        meter.kept = meter.checked = target.size
        return None

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch_in_turn(target, meter)) for target, meter in targets]
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None
    return [task.result() for task in tasks]
