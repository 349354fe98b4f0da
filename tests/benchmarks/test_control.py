"""The harness of `make bench`, where it asks a server: that its figures mean what its page says."""

import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import control, load, origin, process, report, scenarios, shelves
from benchmarks.content import Repository
from benchmarks.control import Reading
from benchmarks.line import Answer, Line, ServerFailure, get, post
from benchmarks.many_models import write_models
from benchmarks.record import write_record
from benchmarks.server import ROOT, Server, answers_per_second, paced
from benchmarks.trials import Field
from windlass.jobs.states import State
from windlass.jobs.store import Store
from windlass.library.shelf import Shelf

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

needs_nginx = pytest.mark.skipif(not origin.is_installed(), reason="nginx is not installed")


def reading(row: str, round_: int, **values: float) -> Reading:
    named = {"p99": control.P99, "rate": control.RATE}
    table = control.RATES if "rate" in values else control.STATUSES
    return Reading("8", round_, table, row, {named[name]: value for name, value in values.items()})


@contextmanager
def saying(*pieces: bytes) -> Iterator[str]:
    """A server that sends these to whoever has asked, one after the other, and closes; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    with Server(
        process.Command([sys.executable, "-m", "benchmarks.bare"], {"PYTHONPATH": str(ROOT)}, folder)
    ) as server:
        yield server


TABLES = {
    "8": (control.STARTS, control.PAGES, control.RATES, control.STATUSES, control.ORDERS),
    "9": (shelves.COMMANDS, shelves.ANSWERS),
}


@needs_nginx
@pytest.mark.parametrize("key", TABLES)
def test_a_quick_run_fills_every_table(tmp_path: Path, key: str) -> None:
    """The command itself, small: every goal is measured, whether it is reached or not, and nothing failed."""
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", key]
    ended = subprocess.run(
        [*command, "--folder", tmp_path / "work", "--output", output], cwd=ROOT, stderr=subprocess.PIPE, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    page = output.read_text()
    goals = [line for line in page.splitlines() if line.startswith(f"| ({key})")]
    assert len(goals) == len([bound for bound in report.BOUNDS if bound.scenario == key])
    assert not [line for line in goals if "not measured" in line]
    assert "Not counted" not in page
    for table in TABLES[key]:
        assert f"### {table}\n" in page
    assert list((tmp_path / "work").iterdir()) == []


def test_the_page_tells_a_row_over_all_rounds() -> None:
    """Median, least and most; a column that a row does not have stays empty; what failed is named, and no figure."""
    results = report.Results("today", {}, {}, 3, scenarios=[scenarios.service(64)], sizes={"8": 1})
    for number, value in enumerate((9.0, 12.0, 11.0)):
        results.add(reading(control.BUSY, number, p99=value))
    results.add(Reading("8", 0, control.STATUSES, control.IDLE, {control.P50: 1.04}))
    results.add(Reading("8", 2, control.STATUSES, "busy", said="it broke"))
    page = report.render(results)
    assert "|  | p99, ms | p50, ms | rounds |" in page
    assert f"| {control.BUSY} | 11.0 (9.0–12.0) |  | 3 |" in page
    assert f"| {control.IDLE} |  | 1.0 | 1 |" in page
    assert "| (8) p99 of a status while 8 files transfer, ms | at most 10 | 11.0 | no, 10.0% over |" in page
    assert f"- Not counted: {control.STATUSES}, busy, round 3: `it broke`" in page


@pytest.mark.parametrize(("rate", "said"), [(1000.0, "1,000 | yes"), (800.0, "800 | no, 20.0% under")])
def test_of_some_things_more_is_better(rate: float, said: str) -> None:
    """Reached is at least the bound, then."""
    results = report.Results("today", {}, {}, 1, readings=[reading(control.SERVE, 0, rate=rate)])
    assert f"| (8) statuses answered in a second | at least 1,000 | {said} |" in report.render(results)


def test_a_record_is_that_of_a_server_that_is_done(tmp_path: Path) -> None:
    """As many jobs as were asked for, most of them completed, and none that a server would begin with."""
    write_record(tmp_path / "new" / "windlass.db", 100)
    with Store(f"sqlite:///{tmp_path / 'new' / 'windlass.db'}", time.time) as store:
        jobs = store.jobs()
        counts = Counter(job.state for job in jobs)
        assert counts == {State.COMPLETED: 90, State.CANCELLED: 4, State.FAILED: 4, State.PAUSED: 2}
        assert max(len(job.manifest.files) for job in jobs) > 5
        assert [edge for _, edge, _ in store.history(jobs[0].id)][:2] == ["add", "start"]


def test_many_models_are_listed_as_what_they_were_written_as(tmp_path: Path) -> None:
    """All of them, half as brought by Windlass and verified; nothing is odd."""
    write_models(tmp_path / "models", 20, 30, random.Random(1))
    shelf = Shelf(tmp_path / "models", tmp_path)
    models = shelf.models()
    assert shelf.oddities() == []
    assert Counter(model.found.format for model in models) == {"gguf": 16, "mlx": 4}
    assert Counter(model.verified for model in models) == {True: 10, False: 10}
    assert {len(model.files) for model in models} == {1, 2, 5}
    assert all(model.tool_use for model in models)


def test_a_list_that_fails_is_named(tmp_path: Path) -> None:
    """With what the command said last; the other lists are measured all the same."""
    scenario = scenarios.lists(64)
    broken = replace(scenario, settings={**scenario.settings, "WINDLASS_MAX_JOBS": "many"})
    hub = SimpleNamespace(url="http://127.0.0.1:9", ca=None)
    field = Field(hub, Repository("o/r", ()), tmp_path / "errand", lambda: None)  # type: ignore[arg-type]
    readings = list(shelves.watch(64, broken, field, 1, lambda line: None))
    assert len(readings) == 4
    assert all("WINDLASS_MAX_JOBS" in reading.said for reading in readings)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_in_pieces_is_one() -> None:
    """However it comes: cut within its head, or within its body."""
    for at in (5, 30, len(OK) - 1):
        with saying(OK[:at], OK[at:]) as url, Line(url) as line:
            assert line.ask(get("/")) == Answer(200, b"{}")


@pytest.mark.parametrize(
    ("sent", "said"),
    [(b"", "closed"), (OK[:-1], "closed"), (OK.replace(b"200 OK", b"404 Not Found"), "HTTP 404: {}")],
)
def test_what_is_no_good_answer_is_a_failure(sent: bytes, said: str) -> None:
    """A connection that ends early, and a status that is not 200."""
    with saying(sent) as url, Line(url) as line, pytest.raises(ServerFailure, match=said):
        line.ask(post("/", {"some": "thing"})).content()


def test_a_late_answer_counts_against_those_after_it() -> None:
    """They were due while it held them up; once it has been made good, each counts from its own time."""

    class Slow(Line):
        def __init__(self) -> None:
            self.naps = iter((0.05, 0.0))

        def ask(self, request: bytes) -> Answer:
            time.sleep(next(self.naps))
            return Answer(200, request)

    first, second = (wait for wait, _ in paced(Slow(), [b"1", b"2"], per_second=100))
    assert first >= 0.05
    assert second >= 0.04


def test_a_server_is_asked_as_often_as_it_answers(tmp_path: Path) -> None:
    """From a process of its own; the bare app starts, answers, and ends."""
    with bare(tmp_path) as server:
        assert server.milliseconds(get("/whatever")) > 0
        assert answers_per_second(server.url, ["/a", "/b"], 0.2) > 0
    assert server.seconds > 0


def test_a_rate_of_refusals_is_none() -> None:
    """An answer that is not 200 ends the count with what it said; so does a server that is gone."""
    with saying(OK.replace(b"200 OK", b"503 No")) as url, pytest.raises(ServerFailure, match="HTTP 503"):
        answers_per_second(url, ["/"], 5.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
    assert load.main([f"http://127.0.0.1:{port}", "5", "/"]) == 1


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """With its own last words."""
    words = ["sh", "-c", "echo no such luck >&2"]
    with pytest.raises(ServerFailure, match="no such luck"):
        Server(process.Command(words, {"PATH": "/usr/bin:/bin"}, tmp_path))


def test_percentiles_are_values_that_occurred() -> None:
    """Of a hundred the second slowest, of few the slowest; of none there is nothing to tell."""
    with pytest.raises(ServerFailure, match="before anything"):
        control.told_of([])
    told = control.told_of([number / 1000 for number in range(1, 101)])
    assert [round(told[column], 3) for column in (control.P50, control.P99, control.MOST)] == [50.5, 99.0, 100.0]
    assert control.told_of(list(repeat(0.002, 3)))[control.P99] == 2.0
