"""Small files: each is fetched whole into memory, checked there, and written once.

There is no ledger and no seal: one that stands there whole is hashed again, which takes a moment. So a kill costs the
few that were under way, and 1,500 of them cost one file each, and not four.
"""

import asyncio
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from windlass.errors import ChecksumMismatch
from windlass.transfer import partial as partials
from windlass.transfer.digests import digest_of, mismatch
from windlass.transfer.gate import Gate
from windlass.transfer.meter import Meter
from windlass.transfer.network import Head
from windlass.transfer.reply import Accept, Asked
from windlass.transfer.run import Allowance, Enough, Unwelcome
from windlass.transfer.seal import Seal
from windlass.transfer.segments import CHUNK
from windlass.transfer.settled import in_thread
from windlass.transfer.source import Source, Trouble
from windlass.transfer.target import Overtaken, Staged, Target, Tools


async def fetch_small(target: Target, folder: Path, tools: Tools, meter: Meter, gate: Gate) -> Staged:
    """Bring `target` in, as a verified file in `folder`; raises as `fetch`. `gate` is told when there are too many."""
    place = _Place(folder / f"{target.partial_name}.part", target)
    try:
        seal = await _begin(place, tools, meter)
        if seal is None:
            seal = await _bring_in(place, tools, meter, gate)
    except ChecksumMismatch:
        await in_thread(tools.threads, partials.discard, folder, target.partial_name)
        raise
    finally:
        place.close()
    meter.kept = meter.checked = target.size
    return Staged(place.path, seal)


async def _begin(place: "_Place", tools: Tools, meter: Meter) -> Seal | None:
    """Take the place, once no other writer has it; the seal of what stands there, if that is the file already."""
    while not await in_thread(tools.threads, place.open):
        meter.note = partials.HELD
        await asyncio.sleep(partials.LOOK_AGAIN)
        if not partials.exists(place.path.parent, place.path.stem):
            raise Overtaken
    seal: Seal | None = await in_thread(tools.threads, place.look)
    return seal


async def _bring_in(place: "_Place", tools: Tools, meter: Meter, gate: Gate) -> Seal:
    """The right content, kept; a second try if the first is wrong."""
    target = place.target
    for _ in range(2):
        content = await _receive(target, tools, meter, gate)
        digest, seal = await in_thread(tools.threads, place.keep, content)
        if seal:
            return seal
        meter.was_wrong(target.size, "the file did not hash to what the listing says")
    raise mismatch(target.name, digest, target.digest)


async def _receive(target: Target, tools: Tools, meter: Meter, gate: Gate) -> bytes:
    """All bytes, over as many exchanges as it takes."""
    source = Source(target, tools)
    intake = Intake(source, target, tools, meter)
    while intake.missing:
        trouble = await _exchange(source, intake, meter)
        if trouble is None:
            continue
        meter.failed(trouble.kind, trouble.reason)
        if trouble.limited:
            gate.narrow()
        await source.endure(trouble)
    return intake.content


async def _exchange(source: Source, intake: "Intake", meter: Meter) -> Trouble | None:
    await source.peace()
    meter.connections += 1
    try:
        return await source.ask(intake)
    finally:
        meter.connections -= 1
        intake.allowance.close()


class Intake:
    """The `Receiver` of a file that is kept in memory; what came before a cut stays."""

    shared = True

    def __init__(self, source: Source, target: Target, tools: Tools, meter: Meter) -> None:
        self.allowance = Allowance(tools.lane)
        self.content = b""
        self._source = source
        self._target = target
        self._meter = meter
        self._asked = self.ask(redirected=False)

    @property
    def missing(self) -> int:
        """Bytes still to come."""
        return self._target.size - len(self.content)

    def ask(self, *, redirected: bool) -> Asked:
        """What to ask for now: all that is missing."""
        self._asked = Asked(len(self.content), self._target.size - 1, self._target.size, redirected)
        return self._asked

    def head(self, head: Head) -> None:
        """Let the reply in, or raise `Unwelcome`."""
        verdict = self._source.judge(head, self._asked, alone=True)
        if not isinstance(verdict, Accept):
            raise Unwelcome(verdict, head)
        self.content = self.content[: verdict.first]

    def body(self, data: bytes) -> "asyncio.Future[Any] | None":
        """Take a piece of the body; see `Receiver`."""
        held_back = self.allowance.wait()
        if held_back:
            return held_back
        self.allowance.take(len(data))
        self._meter.came(len(data), self._source.host)
        too_many = len(data) > self.missing
        self.content += data[: self.missing]
        if too_many:
            raise Enough
        return None

    def complete(self) -> bool:
        """The reply has ended: whether all has come that was asked for."""
        return not self.missing


@dataclass(slots=True)
class _Place:
    """Where a small file is kept until it is published, locked for this writer while it is open. For threads."""

    path: Path
    target: Target
    fd: int = -1

    def open(self) -> bool:
        """Whether it is ours now; if not, another writer has it."""
        self.fd = partials.open_locked(self.path)
        return self.fd >= 0

    def look(self) -> Seal | None:
        """The seal of what stands there, if that is the whole file: written by a process that was then killed."""
        if os.fstat(self.fd).st_size != self.target.size:
            return None
        with partials.disk_errors(self.path):
            content = os.pread(self.fd, self.target.size, 0)
        return self._seal(content) if digest_of(content, self.target.algorithm) == self.target.digest else None

    def keep(self, content: bytes) -> tuple[str, Seal | None]:
        """Write the file, if the content is right; answers what it hashes to, and its seal. Raises StorageFailure."""
        digest = digest_of(content, self.target.algorithm)
        if digest != self.target.digest:
            return digest, None
        with partials.disk_errors(self.path):
            os.ftruncate(self.fd, 0)
            if os.pwrite(self.fd, content, 0) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if os.fstat(self.fd).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the partial file was removed")
        return digest, self._seal(content)

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self.fd >= 0:
            os.close(self.fd)

    def _seal(self, content: bytes) -> Seal:
        sha256 = self.target.digest if self.target.algorithm == "sha256" else digest_of(content, "sha256")
        chunks = (xxhash.xxh3_64_hexdigest(content[at : at + CHUNK]) for at in range(0, len(content), CHUNK))
        stat = os.fstat(self.fd)
        return Seal(sha256, self.target.digest, tuple(chunks), stat.st_size, stat.st_mtime_ns)
