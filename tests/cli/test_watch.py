"""The bar: what it shows on a terminal, wide and narrow, and what elsewhere."""

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from windlass.cli.bars import Rates
from windlass.cli.patience import AGAIN, LONGEST, SAID
from windlass.cli.watch import POLL, follow
from windlass.errors import ServerUnreachable

Job = dict[str, Any]

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(autouse=True)
def nobodys_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal is one also where these tests run on a build server."""
    monkeypatch.delenv("CI", raising=False)


def job(**changes: Any) -> Job:
    """A job half way."""
    return {
        "model": "unsloth/Qwen3-8B-GGUF",
        "status": "downloading",
        "phase": "transferring",
        "total_size_bytes": 2_280_000_000,
        "downloaded_bytes": 1_140_000_000,
        "bytes_per_second": 107_000_000.0,
        "files": [file(1)],
        **changes,
    }


def file(number: int, done: int = 500, size: int = 1000) -> dict[str, Any]:
    return {"path": f"unsloth/Qwen3-8B-GGUF/shard-{number}.gguf", "size_bytes": size, "downloaded_bytes": done}


DONE = job(status="completed", phase="done", downloaded_bytes=2_280_000_000)


def at_once(_: float) -> None:
    """No waiting between two looks."""


def shown(*jobs: Job, width: int = 120, terminal: bool = True) -> list[str]:
    """The lines that are left on the screen after these states; `…` frames before them are not looked at."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=30, force_terminal=terminal, highlight=False, color_system=None)
    states = iter(jobs)
    last = follow(console, lambda: next(states), until=lambda job: job is jobs[-1], wait=at_once)
    assert last is jobs[-1]
    return [line.rstrip() for line in ANSI.sub("", out.getvalue()).replace("\r", "\n").split("\n") if line.strip()]


def test_a_wide_terminal_shows_all() -> None:
    """Name, bar, sizes, speed and time left on one line."""
    [*_, line] = shown(job())
    assert line.startswith("unsloth/Qwen3-8B-GGUF")
    for part in ("1.14 GB / 2.28 GB", "107 MB/s", "11s left", "━"):
        assert part in line


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """A line that wraps would be drawn again and again, one below the other."""
    long = job(model="owner/" + "a-very-long-name-" * 8, files=[file(1), file(2)])
    lines = shown(long, long, width=width)
    assert lines
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (40, [" 50 %", "107 MB/s", "11s left"]),
        (50, ["1.14 GB / 2.28 GB", "107 MB/s", "11s left"]),
        (70, ["unslo", "1.14 GB / 2.28 GB", "107 MB/s", "11s left"]),
        (90, ["unslo", "━", "1.14 GB / 2.28 GB", "107 MB/s", "11s left"]),
    ],
)
def test_what_matters_most_stays_longest(width: int, parts: list[str]) -> None:
    """The bar goes first, then the name, then the bytes; how far it is, how fast and how long are always there."""
    [*_, line] = shown(job(), width=width)
    assert all(part in line for part in parts)
    assert ("━" in line, "unslo" in line) == (width >= 90, width >= 70)


def test_without_names_there_are_no_files() -> None:
    """A row of numbers alone would say nothing of which file it is."""
    assert len(shown(job(files=[file(1), file(2)]), width=50)) == 1


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_where_nothing_can_be_drawn_anew_lines_are_printed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A build server keeps every frame in its log, and a dumb terminal shows the signs that move the cursor."""
    monkeypatch.setenv(name, value)
    assert shown(job()) == ["unsloth/Qwen3-8B-GGUF: 1.14 GB of 2.28 GB  107 MB/s  11s left"]


def test_each_file_has_its_own_speed() -> None:
    """As seen over the last seconds."""
    now = [0.0]
    sizes = [(0, 0), (10, 30), (20, 60), (40, 90), (60, 120)]
    states = [job(files=[file(1, a * 10**6, 10**9), file(2, b * 10**6, 10**9)]) for a, b in sizes]

    def wait(_: float) -> None:
        now[0] += 1.0

    out = io.StringIO()
    console = Console(file=out, width=120, height=30, force_terminal=True, color_system=None)
    looks = iter(states)
    follow(console, lambda: next(looks), until=lambda state: state is states[-1], wait=wait, clock=lambda: now[0])
    *_, one, two = out.getvalue().splitlines()
    assert "16.7 MB/s  56s left" in one  # from 10 to 60 MB in three seconds
    assert "30.0 MB/s  29s left" in two


def test_a_speed_is_of_the_last_seconds_also_after_a_gap() -> None:
    """A machine that has slept, or a file that was not shown for a while: what was before says nothing."""
    now = [0.0]
    rates = Rates(lambda: now[0])
    told = []
    for at, done in ((0.0, 0), (1.0, 100), (600.0, 100), (601.0, 200)):
        now[0] = at
        told.append(rates.of("a", done))
    assert told == [0.0, 100.0, 0.0, 100.0]


def test_wide_signs_count_twice() -> None:
    """A name in Chinese takes two columns a sign: the line keeps its width, and the time left stays on it."""
    [*_, line] = shown(job(model="千问/" + "千问大模型" * 12 + "-GGUF"), width=80)
    assert cell_len(line) <= 80
    assert line.endswith("11s left")


def test_a_file_says_what_holds_it_up() -> None:
    """Its note, as the engine has it; and that its bytes are here and being looked at."""
    waits = {**file(1, 0, 100), "connections": 1, "note": "the hub limits us: 12 s"}
    *_, one, two = shown(job(files=[waits, {**file(2, 100, 100), "verified_bytes": 40}]))
    assert one.endswith("the hub limits us: 12 s")
    assert two.endswith("verifying")


def test_a_long_name_is_cut_in_the_middle() -> None:
    """Both ends tell most: the owner, and the quantization."""
    [*_, line] = shown(job(model="unsloth/" + "x" * 90 + "-Q4_K_M"))
    assert re.search(r"^unsloth/x+…x+-Q4_K_M", line)


def test_files_under_way_have_bars_of_their_own() -> None:
    """Those that are neither whole nor untouched, at most six; a single file has none beside the job's."""
    assert not any("shard" in line for line in shown(job()))
    under_way = [file(number) for number in range(1, 9)]
    many = [file(90, done=0), file(91, done=1000), *under_way]
    lines = shown(job(files=many))
    assert set(re.findall(r"shard-(\d+)", "\n".join(lines))) == {"1", "2", "3", "4", "5", "6"}


def test_a_file_with_a_connection_is_under_way() -> None:
    """Before its first byte has come."""
    assert any("shard-9" in line for line in shown(job(files=[file(1), {**file(9, done=0), "connections": 1}])))


def test_files_that_are_done_leave_the_screen() -> None:
    """At the end only the job's own line is left."""
    lines = shown(job(files=[file(1), file(2)]), {**DONE, "files": [file(1, done=1000), file(2, done=1000)]})
    assert "completed" in lines[-1]
    assert not any("shard" in line for line in lines[-1:])


@pytest.mark.parametrize(
    ("changes", "tail"),
    [
        ({"phase": "queued"}, "queued"),
        ({"phase": "verifying"}, "verifying"),
        ({"bytes_per_second": 0.0}, "transferring"),
        ({"status": "paused"}, "paused"),
        ({"status": "failed"}, "failed"),
        ({"status": "completed"}, "completed"),
    ],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_where_nothing_moves_the_phase_or_the_end_is_told(changes: Job, tail: str, terminal: bool) -> None:
    """A bar that stands still must say why."""
    line = shown(job(**changes), terminal=terminal)[-1]
    assert line.endswith(tail)
    assert "left" not in line


def test_it_follows_to_the_end() -> None:
    """As long as the job is `downloading`; the last state is the answer."""
    seen: list[Job] = []
    states = iter([job(phase="queued"), job(), job(phase="verifying"), DONE, job()])

    def ask() -> Job:
        seen.append(next(states))
        return seen[-1]

    assert follow(Console(file=io.StringIO()), ask, wait=at_once) is DONE
    assert len(seen) == 4


@pytest.mark.parametrize(("takes", "longest"), [(0.0, POLL), (0.001, POLL), (0.03, 0.6), (1.0, 2.0)])
def test_asking_takes_little_of_the_time(takes: float, longest: float) -> None:
    """Often at first, for a small model is soon here; less often where an answer is dear; never less than that."""
    now, waits = [0.0], list[float]()
    states = iter([job()] * 30 + [DONE])

    def ask() -> Job:
        now[0] += takes
        return next(states)

    follow(Console(file=io.StringIO()), ask, wait=waits.append, clock=lambda: now[0])
    assert len(waits) == 30
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(longest)
    assert waits[0] == pytest.approx(max(0.03, takes * 20)) or takes == 1.0


def test_elsewhere_than_on_a_terminal_lines_are_few() -> None:
    """One when something has changed, or a while has passed; no control characters, nothing cut off."""
    now = [0.0]
    states = [job(phase="queued"), *[job(downloaded_bytes=n * 10**6) for n in range(100)], DONE]

    def lines_of(tick: float) -> list[str]:
        now[0] = 0.0
        out = io.StringIO()
        queue = iter(states)

        def ask() -> Job:
            now[0] += tick
            return next(queue)

        follow(Console(file=out, width=30), ask, wait=at_once, clock=lambda: now[0])
        assert "\x1b" not in out.getvalue()
        return out.getvalue().splitlines()

    quick = lines_of(0.01)
    assert quick == [
        "unsloth/Qwen3-8B-GGUF: 1.14 GB of 2.28 GB  queued",
        "unsloth/Qwen3-8B-GGUF: 0 B of 2.28 GB  107 MB/s  21s left",
        "unsloth/Qwen3-8B-GGUF: 2.28 GB of 2.28 GB  completed",
    ]
    assert len(lines_of(1.0)) == 3 + 99 // 15


def test_markup_in_a_name_is_only_text() -> None:
    """Names come from a hub: brackets are no colours, in neither way of showing."""
    for terminal in (True, False):
        assert "[red]x[/red]" in shown(job(model="[red]x[/red]"), terminal=terminal)[-1]


def test_files_that_have_no_room_are_counted() -> None:
    """Of 50 six are shown; those that are here are not among the others."""
    files = [file(1, 1000), *(file(number) for number in range(2, 12)), *(file(number, 0) for number in range(12, 51))]
    assert shown(job(files=files))[-1] == "  … and 43 more files"
    assert "more" not in shown(job(files=files[:6]))[-1]


class Away:
    """A server that is away from one second to another; to wait for it is to have its clock go on."""

    def __init__(self, begins: float, ends: float) -> None:
        self.now = 0.0
        self._away = begins, ends

    def ask(self) -> Job:
        if self._away[0] <= self.now < self._away[1]:
            raise ServerUnreachable("No server answers.")
        return DONE if self.now >= self._away[1] else job()

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def follow(self, console: Console) -> Any:
        return follow(console, self.ask, wait=self.wait, clock=lambda: self.now)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_server_that_is_started_anew_is_waited_for(terminal: bool) -> None:
    """It is said once, on a line that stays, and then the watching goes on; nothing of the bar before is left."""
    out = io.StringIO()
    console = Console(file=out, width=120, height=30, force_terminal=terminal, color_system=None)
    assert Away(1.0, LONGEST - 1).follow(console) is DONE
    assert out.getvalue().count(SAID) == 1
    assert out.getvalue().rpartition(SAID)[2].count("2.28 GB / 2.28 GB" if terminal else "completed") == 1
    if terminal:
        assert out.getvalue().rpartition(SAID)[0].endswith("\x1b[1A\r\x1b[J")


def test_a_server_that_stays_away_is_waited_for_no_longer() -> None:
    """Half a minute; then it is the failure that it was."""
    away = Away(1.0, 10_000.0)
    with pytest.raises(ServerUnreachable):
        away.follow(Console(file=io.StringIO()))
    assert 1.0 + LONGEST <= away.now <= 1.0 + LONGEST + 2 * AGAIN + POLL
