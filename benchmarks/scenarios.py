"""What is fetched over which network, by which tools: the numbers that a reader of the results needs to know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks import content, tools
from benchmarks.content import GIB, MIB, Repository
from benchmarks.site import Network
from benchmarks.tools import Tool

Build = Callable[[Path], Repository]
Measure = Literal["wall", "settled", "cpu"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row of runs. `key` chooses it on the command line.

    Attributes:
        build: writes what is fetched below a folder.
        tools: in the order in which they take turns; the first is the one that is compared.
        once: names of tools so slow here that they run in the first round only.
        settings: more of the environment, for Windlass.
        remark: what a reader must know to read the figures right.
    """

    key: str
    title: str
    network: Network
    build: Build
    tools: tuple[Tool, ...]
    once: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What Windlass holds itself to: at most `bound` times what another tool takes."""

    scenario: str
    other: Tool
    measure: Measure
    bound: float


GOALS = (
    Goal("1", tools.CURL, "wall", 1.0),
    Goal("1t", tools.CURL, "wall", 1.0),
    Goal("1", tools.CURL_SHA256SUM, "cpu", 1.0),
    Goal("1t", tools.CURL_SHA256SUM, "cpu", 1.0),
    Goal("2", tools.ARIA2C, "wall", 1.0),
    Goal("4", tools.HF, "wall", 0.5),
)

_ALL = (
    tools.WINDLASS,
    tools.CURL,
    tools.CURL_SHA256SUM,
    tools.ARIA2C,
    tools.ARIA2C_CHECKED,
    tools.HF,
)
QUANTIZATIONS = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
JOBS = 10_000
SERVICE = "8"
FEW_MODELS, MANY_MODELS = 200, 2_000
LISTS = "9"

_RATE = 20_000_000
_STEADY_RATE = 50_000_000


def races(shrink: int) -> list[Scenario]:
    """Who is faster, and at what price. Sizes are divided by `shrink`."""
    return [_unlimited(shrink), _over_tls(shrink), _limited(shrink), _delayed(shrink), _many(shrink), _shards(shrink)]


def start() -> Scenario:
    """What a command takes when there is next to nothing to transfer."""
    return Scenario(
        "0",
        "Next to nothing to fetch: a model of 1 byte, and `--help`",
        Network(),
        lambda root: content.gguf(root, "Speck-GGUF", 1),
        (tools.WINDLASS, tools.CURL, tools.HF, tools.WINDLASS_HELP, tools.HF_HELP, tools.PYTHON),
        remark="For `windlass get` this is everything but the transfer. `python -c pass` is the floor of both Pythons.",
    )


def resume(shrink: int) -> Scenario:
    """What SIGKILL costs."""
    return Scenario(
        "6",
        f"SIGKILL at half of {_size(512 * MIB // shrink)}, then the same command again",
        Network(rate=_STEADY_RATE),
        lambda root: content.gguf(root, "Resume-GGUF", 512 * MIB // shrink),
        (
            tools.WINDLASS,
            tools.CURL,
            tools.CURL_CONTINUE,
            tools.ARIA2C_CONTINUE,
            tools.ARIA2C_CONTINUE_CHECKED,
            tools.HF,
        ),
        remark=(
            f"Each connection gets {_STEADY_RATE // 10**6} MB/s, so that little is on its way in the kernel at the "
            "kill. Half is when the process has handed half of the file's size to write calls. Bytes are those of "
            "files that nginx sent; what a connection that is given up had still in its buffers counts as sent."
        ),
    )


def damage(shrink: int) -> Scenario:
    """What one flipped byte costs, in a finished file and in a half one."""
    return Scenario(
        "7",
        f"One byte of {_size(256 * MIB // shrink)} flipped on disk, then the same command again",
        Network(rate=_STEADY_RATE),
        lambda root: content.gguf(root, "Damage-GGUF", 256 * MIB // shrink),
        (
            tools.WINDLASS,
            tools.CURL,
            tools.CURL_CONTINUE,
            tools.CURL_CONTINUE_SHA256SUM,
            tools.ARIA2C_CONTINUE,
            tools.ARIA2C_CONTINUE_CHECKED,
            tools.HF,
        ),
        remark=(
            "The file keeps its size and its time of change, as when a disk errs. `windlass verify --repair`, which "
            "is to look at finished models and mend them by chunk, does not exist yet and was not measured."
        ),
    )


def service(shrink: int) -> Scenario:
    """What a server answers meanwhile. Small files come slowly, so that there is a while to ask in."""
    count, size, rate = len(QUANTIZATIONS), 512 * MIB // shrink, 0 if shrink == 1 else MIB
    return Scenario(
        SERVICE,
        f"The server while it works: {JOBS // shrink:,} jobs on record, {count} files of {_size(size)} at once",
        Network(rate=rate),
        lambda root: content.quantized(root, "Service-GGUF", size, QUANTIZATIONS),
        (tools.WINDLASS_SERVE,),
        settings={"WINDLASS_PORT": "0", "WINDLASS_MAX_JOBS": str(count)},
        remark=(
            f"Each file is a job of its own, {'no limit' if not rate else '1 MiB/s per connection'}. The jobs on "
            "record were written by the store's own code; nine in ten are completed, none is to run. What asks is "
            "Python on connections that stay open, one request at a time on each; like nginx it shares the processor "
            "with the server. An answer that is late counts against the requests that it held up. The bare app gives "
            "one and the same answer, as long as a status, from the same uvicorn in a process of its own: its "
            "answers are what the machine itself makes one wait. `most` is the slowest answer of a round."
        ),
    )


def lists(shrink: int) -> Scenario:
    """What a list of models takes. Nothing is fetched."""
    few, many = FEW_MODELS // shrink, MANY_MODELS // shrink
    return Scenario(
        LISTS,
        f"Lists of {few:,} and of {many:,} models",
        Network(),
        lambda root: content.gguf(root, "Speck-GGUF", 1),
        (tools.WINDLASS_SERVE, tools.WINDLASS_LS),
        settings={"WINDLASS_PORT": "0"},
        remark=(
            f"`few models` are {few:,}, `many models` {many:,}. Half of each were brought by Windlass, and have "
            "receipts; the others were put there. Three in five are a GGUF, one is a GGUF in two shards, one an MLX "
            "model of five files. The few have vocabularies of a real size (152,000 texts and as many merges, 6 MB a "
            "file), the many of 100 texts: 2,000 real ones would fill the disk, and a list that is asked for again "
            "opens none of them. `None of them read yet` is a new process where nothing is written down of any model; "
            "the files are at hand in memory, from a run before it."
        ),
    )


def _unlimited(shrink: int) -> Scenario:
    size = 2 * GIB // shrink
    return Scenario(
        "1",
        f"{_size(size)}, no limit, plain HTTP",
        Network(),
        lambda root: content.gguf(root, "Large-GGUF", size),
        _ALL,
    )


def _over_tls(shrink: int) -> Scenario:
    size = 2 * GIB // shrink
    return Scenario(
        "1t",
        f"{_size(size)}, no limit, TLS (HTTP/1.1)",
        Network(tls=True),
        lambda root: content.gguf(root, "Large-GGUF", size),
        _ALL,
    )


def _limited(shrink: int) -> Scenario:
    size = GIB // shrink
    return Scenario(
        "2",
        f"{_size(size)}, {_RATE // 10**6} MB/s per connection",
        Network(rate=_RATE),
        lambda root: content.gguf(root, "Limited-GGUF", size),
        _ALL,
        once=frozenset({tools.CURL.name, tools.CURL_SHA256SUM.name, tools.HF.name}),
        settings={"WINDLASS_CONNECTIONS": "16"},
        remark=(
            "Windlass may use 16 connections here, as aria2c does; its default is 8. What uses one connection is "
            "bound by it and runs once. The rate is that of the TCP connection (SO_MAX_PACING_RATE)."
        ),
    )


def _delayed(shrink: int) -> Scenario:
    size = 256 * MIB // shrink
    return Scenario(
        "3",
        f"{_size(size)}, 100 ms before each answer",
        Network(delay=0.1),
        lambda root: content.gguf(root, "Delayed-GGUF", size),
        _ALL,
        remark="The delay is nginx's, once for each answer (hub and CDN alike), not for each packet.",
    )


def _many(shrink: int) -> Scenario:
    count = max(1_500 // shrink, 9)
    return Scenario(
        "4",
        f"{count} files of 1 to 200 KB (MLX), 20 ms before each answer",
        Network(delay=0.02),
        lambda root: content.mlx(root, "Many-MLX-4bit", count),
        _ALL,
        remark=(
            "Two thirds are LFS files behind a redirect to the CDN, a third git files behind one to the hub itself. "
            "The delay is nginx's, once for each answer. curl and aria2c are handed the list of addresses; `windlass` "
            "and `hf` ask for it. curl runs `--parallel` with its default of 50 at a time, aria2c 16 at a time."
        ),
    )


def _shards(shrink: int) -> Scenario:
    size = 256 * MIB // shrink
    return Scenario(
        "5",
        f"8 shards of {_size(size)} at once, no limit",
        Network(),
        lambda root: content.gguf(root, "Shards-GGUF", size, shards=8),
        _ALL,
    )


def _size(size: int) -> str:
    return f"{size // GIB} GiB" if size >= GIB and size % GIB == 0 else f"{size // MIB} MiB"
