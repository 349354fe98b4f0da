"""The server while it works: how soon it starts and answers, with many jobs on record and with 8 that transfer."""

import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.content import MIB
from benchmarks.line import PATIENCE, Answer, Line, ServerFailure, get, post
from benchmarks.process import Command
from benchmarks.record import write_record
from benchmarks.scenarios import JOBS, QUANTIZATIONS, SERVICE, Scenario
from benchmarks.server import ROOT, Server, answers_per_second, paced
from benchmarks.tools import WINDLASS_SERVE
from benchmarks.trials import Field

STARTS = "From the start of the process until it listens"
PAGES = "A page of the list of jobs"
STATUSES = "The status of a job, asked for 50 times a second"
RATES = "The status of a job, asked for as often as it is answered, over 4 connections"
ORDERS = "What one of 8 jobs is told while they transfer"

FIRST, P50, P99, MOST = "first, ms", "p50, ms", "p99, ms", "most, ms"
SECONDS, ANSWERS, SPEED, RATE, RATIO = "s", "answers", "MiB/s", "answers per second", "of the bare app's"

NO_DATABASE, NO_JOBS, MANY_JOBS = "no database yet", "no jobs", "many jobs"
NEWEST, MIDDLE, OLDEST, LARGE = "the newest 100", "100 from the middle", "the oldest 100", "the newest 1000"
IDLE, BUSY, BARE_BESIDE = "while nothing transfers", "while 8 files transfer", "a bare app at the same time"
PACED, BARE_PACED = "while 8 files come at 1 Gbit/s", "a bare app at that time"
SERVE, BARE = "windlass serve", "a bare app"
PAUSE, RESUME, CANCEL = "pause", "resume", "cancel"

_PER_SECOND = 50
_LINES = 4
_LOOKS = 20  # at each page
_LINE_RATE = "125M"  # bytes per second, as WINDLASS_LIMIT_RATE has them: a line of 1 Gbit/s
_TOLD = 3  # jobs of a round that are paused, resumed and cancelled

Values = Mapping[str, float]
Found = Iterator[tuple[str, Values]]  # rows of a table, each with its values by column


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked: jobs on record, and the seconds for which one thing is looked at, at most."""

    jobs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a table as it was in one round: its values by column. `said` is why there are none."""

    scenario: str
    round: int
    table: str
    row: str
    values: Values = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """What the server holds itself to: a value is at most this, or at least, where more is better."""

    title: str
    table: str
    row: str
    column: str
    bound: float
    more_is_better: bool = False
    scenario: str = SERVICE


GOALS = (
    *(Bound(f"p99 of a status {row}, ms", STATUSES, row, P99, 10) for row in (BUSY, PACED)),
    *(Bound(f"a page of jobs, {row}, the slowest look, ms", PAGES, row, MOST, 50) for row in (NEWEST, MIDDLE, OLDEST)),
    Bound("statuses answered in a second", RATES, SERVE, RATE, 1000, more_is_better=True),
    *(Bound(f"start, with {row}, s", STARTS, row, SECONDS, 1) for row in (NO_JOBS, MANY_JOBS)),
    *(
        Bound(f"{row} while 8 files transfer, the slowest, ms", ORDERS, row, MOST, 1000)
        for row in (PAUSE, RESUME, CANCEL)
    ),
)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a round takes place, and with what; `record` is a database with many jobs."""

    scenario: Scenario
    field: Field
    load: Load
    record: Path

    @contextmanager
    def home(self) -> Iterator[Command]:
        """What starts a server, in a folder that is new."""
        with self.field.errand(self.scenario) as errand:
            yield WINDLASS_SERVE.command(errand, **self.scenario.settings)

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """A server with many jobs on record."""
        with self.home() as command:
            self.put_on_record(command)
            with Server(command) as server:
                yield server

    @contextmanager
    def bare(self) -> Iterator[Server]:
        """What to compare with."""
        folder = self.record.with_name("bare")
        folder.mkdir(exist_ok=True)
        with Server(Command([sys.executable, "-m", "benchmarks.bare"], {"PYTHONPATH": str(ROOT)}, folder)) as server:
            yield server

    def put_on_record(self, command: Command) -> None:
        """Give a server that is to start the many jobs."""
        home = Path(command.environment["WINDLASS_HOME"])
        home.mkdir(exist_ok=True)
        shutil.copy(self.record, home / "windlass.db")


def load(shrink: int) -> Load:
    """Divided by `shrink`, but not to nothing."""
    return Load(JOBS // shrink, max(10.0 / shrink, 0.5))


def watch(load: Load, scenario: Scenario, field: Field, rounds: int, say: Callable[[str], None]) -> Iterator[Reading]:
    """Look at one thing after the other, then at all of them again."""
    record = field.folder.with_name("record") / "windlass.db"
    say(f"  Writing {load.jobs:,} jobs into a database")
    write_record(record, load.jobs)
    for number in range(rounds):
        for reading in _round(Stand(scenario, field, load, record), number):
            figures = ", ".join(f"{column} {value:.2f}" for column, value in reading.values.items())
            say(f"  {reading.row:28} {figures or 'FAILED: ' + reading.said}")
            yield reading
    shutil.rmtree(record.parent)


def _round(stand: Stand, number: int) -> Iterator[Reading]:
    for table, look in _PARTS:
        try:
            for row, values in look(stand):
                yield Reading(stand.scenario.key, number, table, row, values)
        except ServerFailure as failure:
            yield Reading(stand.scenario.key, number, table, look.__name__.strip("_"), said=str(failure))


def _starts(stand: Stand) -> Found:
    """Three times in one folder: each finds what the one before has left. The first answer is that of a short list."""
    with stand.home() as command:
        for row in (NO_DATABASE, NO_JOBS, MANY_JOBS):
            if row == MANY_JOBS:
                stand.put_on_record(command)
            with Server(command) as server:
                yield row, {SECONDS: server.seconds, FIRST: server.milliseconds(get(_list(limit=1)))}


def _pages(stand: Stand) -> Found:
    """What a server has answered once comes sooner for that, so the first look at each page is told apart."""
    pages = {
        NEWEST: _list(limit=100),
        MIDDLE: _list(limit=100, cursor=stand.load.jobs // 2),
        OLDEST: _list(limit=100, cursor=101),
        LARGE: _list(limit=1000),
    }
    with stand.serving() as server:
        server.milliseconds(get(_list(limit=1)))  # what only the first answer of all takes is in another table
        for row, path in pages.items():
            looks = [server.milliseconds(get(path)) for _ in range(_LOOKS)]
            yield row, {FIRST: looks[0], P50: median(looks), MOST: max(looks)}


def _idle(stand: Stand) -> Found:
    with stand.serving() as server:
        waits = paced(server.line, cycle(map(get, _on_record(server))), _PER_SECOND)
        yield IDLE, told_of([wait for wait, _ in islice(waits, round(_PER_SECOND * stand.load.seconds / 2))])


def _rates(stand: Stand) -> Found:
    """One server after the other, for they would share the processor."""
    with stand.serving() as server:
        paths = _on_record(server)[:_LINES]
        served = answers_per_second(server.url, paths, stand.load.seconds / 2)
    with stand.bare() as bare:
        least = answers_per_second(bare.url, paths, stand.load.seconds / 2)
    yield SERVE, {RATE: served, RATIO: served / least}
    yield BARE, {RATE: least, RATIO: 1.0}


def _busy(stand: Stand) -> Found:
    """As fast as nginx gives and the disk takes it, which leaves no core idle; then as fast as a good line would be."""
    limited = {**stand.scenario.settings, "WINDLASS_LIMIT_RATE": _LINE_RATE}
    at_line_rate = replace(stand, scenario=replace(stand.scenario, settings=limited))
    yield from zip((BUSY, BARE_BESIDE), _beside_a_bare_app(stand), strict=True)
    yield from zip((PACED, BARE_PACED), _beside_a_bare_app(at_line_rate), strict=True)


def _beside_a_bare_app(stand: Stand) -> tuple[Values, Values]:
    """Its answers tell how long anybody waits for the processor meanwhile."""
    over = threading.Event()
    with stand.bare() as bare, _transferring(stand) as (server, jobs), ThreadPoolExecutor(1) as beside:
        least = beside.submit(_waits, bare.line, ["/"], lambda _: over.is_set())
        try:
            served = _while_they_transfer(server, jobs, stand.load.seconds)
        finally:
            over.set()
    return served, told_of(least.result())


def _while_they_transfer(server: Server, jobs: Sequence[str], seconds: float) -> Values:
    """Until the first file is here, or time is up."""
    before, begun = _brought(server, jobs), time.perf_counter()

    def is_over(answer: Answer) -> bool:
        return answer.content()["phase"] != "transferring" or time.perf_counter() > begun + seconds

    waits = _waits(server.line, [_status(job) for job in jobs], is_over)
    speed = (_brought(server, jobs) - before) / MIB / (time.perf_counter() - begun)
    return {**told_of(waits), SPEED: speed}


def _orders(stand: Stand) -> Found:
    taken: dict[str, list[float]] = {PAUSE: [], RESUME: [], CANCEL: []}
    with _transferring(stand) as (server, jobs):
        for job in jobs[:_TOLD]:
            for order, times in taken.items():
                if order == CANCEL:
                    _wait_until_it_transfers(server, job)
                times.append(server.milliseconds(post(f"/api/windlass/v1/jobs/{job}/{order}", {})))
        for order, times in taken.items():
            yield order, {P50: median(times), MOST: max(times)}


_PARTS: tuple[tuple[str, Callable[[Stand], Found]], ...] = (
    (STARTS, _starts),
    (PAGES, _pages),
    (RATES, _rates),
    (STATUSES, _idle),
    (STATUSES, _busy),
    (ORDERS, _orders),
)


@contextmanager
def _transferring(stand: Stand) -> Iterator[tuple[Server, list[str]]]:
    """A server, and 8 jobs of which each has got something."""
    origin, model = stand.field.origin, stand.field.repository.name
    with origin.serving(), stand.serving() as server:
        asked = [{"model": f"{origin.url}/{model}", "quantization": label} for label in QUANTIZATIONS]
        jobs = [server.line.ask(post("/api/v1/models/download", body)).content()["job_id"] for body in asked]
        for job in jobs:
            _wait_until_it_transfers(server, job)
        yield server, jobs


def _wait_until_it_transfers(server: Server, job: str) -> None:
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        status = server.line.ask(get(_status(job))).content()
        if status["phase"] == "transferring" and status["downloaded_bytes"]:
            return
        if status["status"] != "downloading":
            break
        time.sleep(0.01)
    raise ServerFailure(f"a job does not transfer, but is {status}")


def _waits(line: Line, paths: Sequence[str], is_over: Callable[[Answer], bool]) -> list[float]:
    """Seconds for each answer, asked for in turn until it is over."""
    waits = []
    for wait, answer in paced(line, cycle(map(get, paths)), _PER_SECOND):
        if is_over(answer):
            break
        waits.append(wait)
    return waits


def _brought(server: Server, jobs: Iterable[str]) -> int:
    return sum(server.line.ask(get(_status(job))).content()["downloaded_bytes"] for job in jobs)


def _on_record(server: Server) -> list[str]:
    """Where some jobs are asked for that were there before."""
    page = server.line.ask(get(_list(limit=8))).content()
    return [_status(job["job_id"]) for job in page["jobs"]]


def _list(**query: int) -> str:
    return "/api/windlass/v1/jobs?" + "&".join(f"{name}={value}" for name, value in query.items())


def _status(job: str) -> str:
    return f"/api/v1/models/download/status/{job}"


def told_of(waits: Sequence[float]) -> Values:
    """The 99th percentile is a value that occurred: the least that 99 of 100 do not exceed."""
    if not waits:
        raise ServerFailure("it was over before anything could be asked")
    ms = sorted(wait * 1000 for wait in waits)
    return {P50: median(ms), P99: ms[math.ceil(0.99 * len(ms)) - 1], MOST: ms[-1], ANSWERS: len(ms)}
