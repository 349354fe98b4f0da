"""What a transfer is asked for, what it works with, and what it gives back."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from windlass.transfer.digests import Algorithm
from windlass.transfer.gate import Gate
from windlass.transfer.network import Network
from windlass.transfer.peace import Peace
from windlass.transfer.retry import Persistence
from windlass.transfer.seal import Seal
from windlass.transfer.throttle import Lane, Throttle

MOST_SMALL = 32  # small files under way at once, of all jobs: some 20 MB


@dataclass(frozen=True, slots=True)
class Target:
    """One file to bring in: where from, how large, and what it must hash to.

    `name` is the file's place, unique among files; `headers` (secret) go to the address's own origin only.
    """

    name: str
    url: str
    size: int
    algorithm: Algorithm
    digest: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> str:
        """What the content is, as the ledger names it."""
        return f"{self.algorithm}:{self.digest}"

    @property
    def partial_name(self) -> str:
        """The partial's name: the same content for the same place is one partial, whoever asks for it."""
        return sha256(f"{self.name}\0{self.identity}\0{self.size}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every fetch works with. Network, clocks and chance are handed in, so that a test's are its own.

    Attributes:
        network: performs requests.
        threads: where hashing and flushing go.
        one_thread: makes the thread that writes a file: two that write to the same one wait for each other in the
            kernel, and spin meanwhile.
        chance: uniform in [0, 1).
        wall_clock: Unix time.
        connections: the most connections that one file may use, asked for anew each time.
        small: bounds the small files that are under way in the whole process; each is in memory until it is whole.
        peace: which sources want to be left alone for a while; shared by all who may ask the same ones.
        lane: the job's place among those who share the limits.
        persistence: when to give up.
    """

    network: Network
    threads: Executor
    chance: Callable[[], float]
    wall_clock: Callable[[], float]
    connections: Callable[[], int]
    small: Gate = field(default_factory=lambda: Gate(MOST_SMALL))
    peace: Peace = field(default_factory=Peace)
    lane: Lane = field(default_factory=lambda: Throttle().lane())
    persistence: Persistence = field(default_factory=Persistence)
    one_thread: Callable[[], Executor] = lambda: ThreadPoolExecutor(1, thread_name_prefix="windlass-write")


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole, verified file that waits for its final name."""

    path: Path
    seal: Seal


class Overtaken(Exception):
    """Another writer had the same partial, and it is gone now: most likely published."""
