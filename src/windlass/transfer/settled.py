"""Waiting for work on a thread that cannot be stopped half way."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def in_thread(threads: Executor, work: Callable[[*Args], T], *args: *Args) -> T:
    """What `work` answers, on a thread; see `settled`."""
    return await settled(asyncio.get_running_loop().run_in_executor(threads, work, *args))


async def settled(job: "asyncio.Future[T]") -> T:
    """The result of `job`; cancelled, do not leave before it is done: it works on a file that is closed behind us."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        while not job.done():  # whoever asks a second time to stop waits as well
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job])
        raise
