"""Fetching from the stand-in hub over real sockets, with little patience."""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import certifi

from standin import Hub
from windlass.transfer.batch import fetch_all
from windlass.transfer.meter import Meter
from windlass.transfer.network import Network, Patience
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged, Target, Tools
from windlass.transfer.throttle import Throttle
from windlass.transfer.wire import Wire

REPO, PATH = "owner/repo", "model-Q4_K_M.gguf"
MIB = 1 << 20
CONTENT = hashlib.shake_256(b"weights").digest(3 * MIB + 17)
SMALL_CONTENT = CONTENT[: 300 * 1024 + 17]
BIG = CONTENT * 12  # three chunks, so that several connections have work
SHORT = Patience(connect=0.5, head=0.5, stall=0.4, floor=100)


@dataclass
class Fetcher:
    """Fetches files of the hub's one repository to the end, in a loop and with a wire of its own."""

    hub: Hub
    folder: Path
    patience: Patience = SHORT
    persistence: Persistence = field(default_factory=lambda: Persistence(failures=3, seconds=0.1, longest_wait=5.0))
    connections: int = 4
    ca_file: str = field(default_factory=certifi.where)
    limit: int | None = None
    token: str = ""
    meters: list[Meter] = field(default_factory=list)

    def target(self, path: str = PATH) -> Target:
        """As the listing gives it."""
        repository = self.hub.repositories[REPO]
        commit = repository.refs["main"]
        file = repository.file(path)
        url = f"{self.hub.url}/{REPO}/resolve/{commit}/{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if file.lfs:
            return Target(f"{REPO}/{path}", url, file.size, "sha256", file.listed_sha256 or file.sha256, headers)
        return Target(f"{REPO}/{path}", url, file.size, "git-sha1", file.oid, headers)

    @property
    def content(self) -> bytes:
        """Of the hub's one file."""
        body = self.hub.repositories[REPO].file(PATH).content
        return body.read(0, body.size)

    def bring(self, *paths: str) -> list[Staged]:
        """All of them, in one batch."""
        return self.run([self.target(path) for path in paths or (PATH,)])

    def run(self, targets: Sequence[Target]) -> list[Staged]:
        self.meters = [Meter(target.size) for target in targets]
        return asyncio.run(self._run(list(zip(targets, self.meters, strict=True))))

    async def _run(self, targets: list[tuple[Target, Meter]]) -> list[Staged]:
        wire = Wire(self.ca_file, lambda _: None, self.patience)
        try:
            with ThreadPoolExecutor(2) as threads:
                staged = await fetch_all(targets, self.folder, self._tools(wire, threads))
                return [whole for whole in staged if whole]
        finally:
            wire.close()

    def _tools(self, network: Network, threads: ThreadPoolExecutor) -> Tools:
        return Tools(
            network=network,
            threads=threads,
            chance=lambda: 0.05,  # little jitter: a test need not wait
            wall_clock=lambda: 1_700_000_000.0,
            connections=lambda: self.connections,
            lane=Throttle(self.limit).lane(),
            persistence=self.persistence,
        )


def assert_right(fetcher: Fetcher, content: bytes | None = None) -> Staged:
    """Fetched, and byte for byte what the hub has (or, if it was changed behind our back, `content`)."""
    content = fetcher.content if content is None else content
    staged = fetcher.bring()[0]
    assert staged.path.read_bytes() == content
    assert staged.seal.sha256 == hashlib.sha256(content).hexdigest()
    return staged
