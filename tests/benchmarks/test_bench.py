"""The harness of `make bench`: that its figures mean what its page says."""

import hashlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks import content, memory, origin, process, report, scenarios, tools, trials
from benchmarks.origin import Origin, Traffic
from benchmarks.site import Network

ROOT = Path(__file__).parents[2]
MIB = content.MIB

needs_nginx = pytest.mark.skipif(not origin.is_installed(), reason="nginx is not installed")
needs_delay = pytest.mark.skipif(not origin.can_delay(), reason="nginx's lua module is not installed")


def run(words: Sequence[str], folder: Path, **more: str) -> process.Usage:
    return process.run(process.Command(words, more, folder))


def trial(tool: str, round_: int, wall: float, right: bool = True) -> trials.Trial:
    usage = process.Usage(wall, 1.0, 50 * MIB, 0 if right else 1, "" if right else "it broke")
    return trials.Trial("1", tool, round_, usage, Traffic(3, MIB), right, 0.5)


@needs_nginx
def test_a_quick_run_writes_the_whole_page(tmp_path: Path) -> None:
    """The command itself, small: goals, ratios, machine and tables in this order, and no run that failed."""
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "1t,6"]
    ended = subprocess.run(
        [*command, "--folder", tmp_path / "work", "--output", output], cwd=ROOT, stderr=subprocess.PIPE, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    page = output.read_text()
    assert (
        page.index("## Goals")
        < page.index("## Ratios")
        < page.index("## Machine")
        < page.index("## (1t)")
        < page.index("## (6)")
    )
    compared, killed = (
        next(line for line in page[page.index(section) :].splitlines() if line.startswith("| windlass get |"))
        for section in ("## (1t)", "### Killed")
    )
    assert "| yes |" in compared
    assert "| 0 | 1 of 1 |" in killed
    assert "Not counted" not in page
    assert "It was not filled before the runs: this was a quick run." in page
    assert list((tmp_path / "work").iterdir()) == []


def test_ratios_pair_the_runs_of_a_round() -> None:
    """A round in which either failed does not count, and one that a slow tool sat out neither."""
    runs = [trial("a", 0, 1.0), trial("b", 0, 2.0), trial("a", 1, 3.0), trial("b", 1, 2.0)]
    failed = [trial("a", 2, 1.0, right=False), trial("b", 2, 1.0), trial("a", 3, 1.0)]
    assert report.ratios([*runs, *failed], "a", "b") == [0.5, 1.5]
    assert report.ratios([*runs, *failed], "a", "b", "settled") == [1.5 / 2.5, 3.5 / 2.5]
    assert report.ratios([*runs, *failed], "a", "b", "cpu") == [1.0, 1.0]


def test_the_page_says_what_failed_and_what_was_skipped() -> None:
    """A failed run is no figure: it is named with its last words."""
    results = report.Results("today", {"memory": "1 GiB"}, {"curl": "8"}, 1, skipped=["aria2c is missing."])
    scenario = next(one for one in scenarios.races(64) if one.key == "1")
    results.scenarios, results.sizes = [scenario], {"1": 32 * MIB}
    for run_ in (trial("windlass get", 0, 1.0), trial("curl -o", 0, 2.0), trial("hf download", 0, 9.0, right=False)):
        results.add(run_)
    page = report.render(results)
    assert "| (1) wall time, against `curl -o` | at most 1.0 | 0.50 | yes |" in page
    assert "| (1t) wall time, against `curl -o` | at most 1.0 | – | not measured |" in page
    assert "**0.50** (1 round)" in page
    assert "| windlass get | yes | 1.00 | 32.00 | 50 | 0.50 | 3 | 1 |" in page
    assert "- Not counted: hf download, round 1, ended 1: `it broke`" in page
    assert "- aria2c is missing." in page


@pytest.mark.parametrize(
    ("wall", "said"), [(2.0, "1.00 | yes"), (2.01, "1.00 | no, 0.5% over"), (3.0, "1.50 | no, 50.0% over")]
)
def test_a_goal_that_was_missed_says_by_how_much(wall: float, said: str) -> None:
    """Reached is at most the bound, and one that was missed by a hair is missed."""
    results = report.Results("today", {}, {}, 1, trials=[trial("windlass get", 0, wall), trial("curl -o", 0, 2.0)])
    assert f"| (1) wall time, against `curl -o` | at most 1.0 | {said} |" in report.render(results)


def filler(folder: Path, *free: int) -> memory.Memory:
    """Of a machine with 100 MiB, which has so many free, one after the other, and the last for ever."""
    said = [count * MIB for count in free]
    return memory.Memory(folder, 100 * MIB, lambda: said.pop(0) if len(said) > 1 else said[0], in_vain=64 * MIB)


def test_memory_is_filled_until_little_is_free(tmp_path: Path) -> None:
    """Each time it reads on where the last has ended, round a file that takes no room on the disk."""
    filling = filler(tmp_path, 900, 800, 700, 10, 20, 20, 900, 890, 1200, 880, 870, 860, 10)
    filling.fill()
    (big,) = tmp_path.iterdir()
    assert (big.stat().st_size, big.stat().st_blocks) == (125 * MIB, 0)
    assert filling.at == 48 * MIB
    filling.fill()
    assert filling.at == 16 * MIB  # 64, 80, 96, 112, the end, and 16
    assert filling.left == [20 * MIB, 10 * MIB]


def test_memory_that_does_not_get_full_ends_the_reading(tmp_path: Path) -> None:
    """A container may not use all that its machine has: that is noticed when much was read in vain, and said."""
    filling = filler(tmp_path, 900, 800, 850)
    filling.fill()
    assert filling.at == 32 * MIB  # 16; 64 more in large blocks; 64 more, round the file's end, page by page
    page = report.render(report.Results("today", {}, {}, 1, filling))
    assert "Then 850 to 850 MiB were free." in page


def test_what_is_served_is_read_after_that(tmp_path: Path) -> None:
    """All of it, in whatever folder: the cache may have given it up for the other file."""
    served = tmp_path / "served" / "deep"
    served.mkdir(parents=True)
    (served / "file").write_bytes(bytes(3 * MIB))
    filling, before = filler(tmp_path / "memory", 10), bytes_read()
    filling.fill(tmp_path / "served")
    assert 3 * MIB <= bytes_read() - before < 4 * MIB


def bytes_read() -> int:
    """By read calls of this process (proc(5), `rchar`)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_what_filling_is_worth_is_measured(tmp_path: Path) -> None:
    """In as much free memory as there is, and after fills; nothing but the large file stays on the disk."""
    filling = filler(tmp_path / "memory", 30, 25, 15, 4, 10)
    filling.measure(tmp_path, size=10 * MIB, pause=0.01)
    cost = filling.cost
    assert cost
    assert (cost.found, len(cost.free), len(cost.filled)) == (30 * MIB, 1, 3)
    assert all(0 < seconds < 5 for seconds in (*cost.filled, *cost.free))
    assert [path.name for path in tmp_path.iterdir()] == ["memory"]


@pytest.mark.parametrize(
    ("free", "said"),
    [
        ((4.0, 5.0, 9.0), "in memory filled so, and **5.00 (4.00–9.00) s** in memory that was free at the beginning"),
        ((), "in memory filled so; not enough of it was free at the beginning to compare with (3.0 GiB)."),
    ],
)
def test_the_page_says_what_filling_is_worth(tmp_path: Path, free: tuple[float, ...], said: str) -> None:
    """As it was measured, and against nothing where there was nothing to compare with."""
    filling = filler(tmp_path, 10)
    filling.cost = memory.Cost(2 * content.GIB, 3 * content.GIB, free, (1.0, 1.5, 2.0))
    page = " ".join(report.render(report.Results("today", {}, {}, 1, filling)).split())
    assert f"Writing 2 GiB took **1.50 (1.00–2.00) s** {said}" in page


def test_memory_is_left_alone_where_the_system_says_nothing_of_it(tmp_path: Path) -> None:
    """As outside Linux; and the real one is read as it is written."""
    assert memory.memory_of_this_machine(tmp_path, tmp_path / "none") is None
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       1024000 kB\nMemFree:          99999 kB\n")
    found = memory.memory_of_this_machine(tmp_path / "memory", meminfo)
    assert found
    found.fill()
    assert found.left == [99999 * 1024]


def test_a_command_is_measured_with_its_children(tmp_path: Path) -> None:
    """CPU and memory of what a shell starts count as the command's."""
    code = "import time; b = bytearray(80_000_000); e = time.process_time() + 0.2\nwhile time.process_time() < e: pass"
    usage = run(["sh", "-c", '"$@" && echo well done', "sh", sys.executable, "-c", code], tmp_path)
    assert (usage.code, usage.said) == (0, "well done")
    assert usage.cpu >= 0.2
    assert 80_000_000 <= usage.peak < 200_000_000


def test_a_small_command_does_not_count_the_harness(tmp_path: Path) -> None:
    """What this process holds is not what its child holds, as `ru_maxrss` would have it."""
    ballast = bytearray(100_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert run(["sleep", "0.1"], tmp_path, PATH="/usr/bin:/bin").peak < 20_000_000


def test_a_command_is_killed_when_it_has_written_enough(tmp_path: Path) -> None:
    """By what it and its children have handed to write calls, and all of them at once."""
    code = "import time\nwith open('f', 'wb', 0) as f:\n for _ in range(100): f.write(bytes(10_000)); time.sleep(0.01)"
    command = process.Command(["sh", "-c", '"$@" && true', "sh", sys.executable, "-c", code], {}, tmp_path)
    usage = process.run(command, lambda pid: process.written_by(pid) >= 200_000)
    assert usage.code == -9
    assert 200_000 <= (tmp_path / "f").stat().st_size < 1_000_000


def test_models_are_what_the_hub_says_of_them(tmp_path: Path) -> None:
    """As many files as were asked for, with the sizes and hashes that the listing states; the same every time."""
    model = content.mlx(tmp_path, "A-MLX-4bit", 30)
    assert model == content.mlx(tmp_path / "again", "A-MLX-4bit", 30)
    assert len(model.files) == 30
    assert sum(file.large for file in model.files) == 20
    for file in model.files:
        body = (tmp_path / model.name / file.path).read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        assert (file.size, file.digest) == (len(body), hashlib.sha256(body).hexdigest() if file.large else blob)
        if file.large:
            length = int.from_bytes(body[:8], "little")
            header = json.loads(body[8 : 8 + length])
            assert header[file.path.removesuffix(".safetensors")]["data_offsets"][1] == len(body) - 8 - length


def test_a_flip_changes_one_byte_and_no_time(tmp_path: Path) -> None:
    """As when a disk errs; nothing is flipped where no file reaches so far."""
    path = tmp_path / "sub" / "file"
    path.parent.mkdir()
    path.write_bytes(bytes(100))
    before = path.stat().st_mtime_ns
    assert trials.flip_a_byte(tmp_path, 50)
    assert path.read_bytes() == bytes(50) + b"\x01" + bytes(49)
    assert path.stat().st_mtime_ns == before
    assert not trials.flip_a_byte(tmp_path, 100)


def test_a_file_is_delivered_under_its_name_only(tmp_path: Path) -> None:
    """With the right size, or the right hash where that is asked."""
    model = content.gguf(tmp_path / "hub", "A-GGUF", 1000)
    errand = tools.Errand(model, "http://hub", tmp_path / "errand")
    (tmp_path / "errand" / "deep").mkdir(parents=True)
    place = tmp_path / "errand" / "deep" / model.files[0].path
    assert not errand.delivered()
    place.write_bytes(bytes(1000))
    assert errand.delivered()
    assert not errand.delivered(by_hash=True)
    place.write_bytes((tmp_path / "hub" / model.name / place.name).read_bytes())
    assert errand.delivered(by_hash=True)


def test_a_missing_tool_is_named() -> None:
    """So that the page can say which column is not there, and why."""
    tool = tools.Tool("other", ("no-such-program", "sh"), False, lambda _: [])
    assert tool.missing() == ["no-such-program"]


@needs_nginx
def test_the_rate_is_each_connections(tmp_path: Path) -> None:
    """Asking for short ranges one after the other gets no more than asking once."""
    model = content.gguf(tmp_path / "content", "A-GGUF", 2 * MIB)
    with closing(Origin(tmp_path, model, Network(rate=4 * MIB))) as hub, hub.serving():
        redirect = ask(http.client.HTTPConnection(urlsplit(hub.url).netloc), tools.Errand(model, hub.url, tmp_path))
        begun = time.perf_counter()
        with closing(http.client.HTTPConnection(urlsplit(redirect).netloc)) as cdn:
            for at in range(0, 2 * MIB, MIB // 2):
                cdn.request("GET", urlsplit(redirect).path, headers={"Range": f"bytes={at}-{at + MIB // 2 - 1}"})
                assert len(cdn.getresponse().read()) == MIB // 2
        assert time.perf_counter() - begun >= 0.3  # of 0.5: the first bytes and the last wait for nobody
    assert hub.traffic() == Traffic(answers=5, file_bytes=2 * MIB)


@needs_nginx
@needs_delay
def test_the_delay_is_each_answers(tmp_path: Path) -> None:
    """Also a redirect waits, and says what the Hub's says."""
    model = content.gguf(tmp_path / "content", "A-GGUF", 1000)
    with closing(Origin(tmp_path, model, Network(delay=0.1))) as hub, hub.serving():
        begun = time.perf_counter()
        location = ask(http.client.HTTPConnection(urlsplit(hub.url).netloc), tools.Errand(model, hub.url, tmp_path))
        assert time.perf_counter() - begun >= 0.1
        assert location.startswith("http://127.0.0.1:")


def ask(connection: http.client.HTTPConnection, errand: tools.Errand) -> str:
    """Where the hub redirects the first file to."""
    file = errand.repository.files[0]
    with closing(connection):
        connection.request("GET", urlsplit(errand.url(file)).path)
        answer = connection.getresponse()
        answer.read()
    assert answer.status == 302
    assert answer.headers["X-Linked-ETag"] == f'"{file.sha256}"'
    assert answer.headers["X-Linked-Size"] == str(file.size)
    assert answer.headers["X-Repo-Commit"] == content.COMMIT
    return answer.headers["Location"]
