"""`windlass ps --watch`: the jobs for as long as somebody looks."""

import io
import json
from typing import Any, cast

import pytest
from rich.console import Console

from windlass.cli.backend import Backend
from windlass.cli.patience import SAID
from windlass.cli.ps import EVERY, jobs_of, watch_jobs
from windlass.errors import ServerUnreachable

Capture = pytest.CaptureFixture[str]
Jobs = list[dict[str, Any]]


def job(job_id: str, done: int = 0, phase: str = "transferring") -> dict[str, Any]:
    return {
        "job_id": job_id,
        "status": "downloading",
        "phase": phase,
        "downloaded_bytes": done,
        "total_size_bytes": 100,
        "items": [{"id": "qwen/qwen3-8b"}],
    }


def watched(*looks: Jobs, as_json: bool) -> None:
    """Show these, one after the other, and then press Ctrl-C."""
    states = iter(looks)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == len(looks):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_jobs(lambda: next(states), as_json=as_json, wait=wait)
    assert waits == [EVERY] * len(looks)


def test_a_pipe_gets_a_table_when_something_has_happened(capsys: Capture) -> None:
    """A job that came, went or is at something else; that bytes have come is no news there."""
    watched([job("a")], [job("a", 50)], [job("a", 100, "verifying")], [], [], as_json=False)
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["JOB", "a", "JOB", "a"]
    assert err.count("Nothing is on its way.") == 1


def test_json_is_a_line_for_each_change(capsys: Capture) -> None:
    """The whole list each time, bytes among it; the same list twice is said once."""
    looks = [[job("a")], [job("a", 50)], [job("a", 50)], []]
    watched(*looks, as_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [looks[0], looks[1], looks[3]]


def test_a_terminal_shows_them_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """One table that is drawn over the one before; when nothing is on its way, that."""
    monkeypatch.delenv("CI", raising=False)
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True, color_system=None)
    looks = iter([[job("a", 10)], [job("a", 50), job("b")], []])

    def wait(_: float) -> None:
        frames.append(out.getvalue())
        out.seek(0)
        out.truncate()
        if len(frames) == 3:
            raise KeyboardInterrupt

    frames: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        watch_jobs(lambda: next(looks), as_json=False, wait=wait, console=console)
    first, second, third = frames
    assert [line.split()[0] for line in first.splitlines()] == ["JOB", "a"]
    assert second.startswith("\x1b[2A\r\x1b[J")
    assert [line.split()[0] for line in second.rpartition("\x1b[J")[2].splitlines()] == ["JOB", "a", "b"]
    assert third == "\x1b[3A\r\x1b[JNothing is on its way.\n"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_server_that_is_started_anew_is_waited_for(capsys: Capture, as_json: bool) -> None:
    """Said aside, so that what reads the list is not disturbed; the list goes on when it is back."""
    answers: list[Jobs | Exception] = [[job("a")], *3 * [ServerUnreachable("No server answers.")], [job("b")]]

    def ask() -> Jobs:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(_: float) -> None:
        if not answers:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_jobs(ask, as_json=as_json, wait=wait)
    out, err = capsys.readouterr()
    assert ("a" in out, "b" in out, SAID in out) == (True, True, False)
    assert err == f"{SAID}\n"


def test_what_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is cut off in silence looks like all of them."""
    monkeypatch.delenv("CI", raising=False)
    out = io.StringIO()
    console = Console(file=out, width=100, height=6, force_terminal=True, color_system=None)

    def look(count: int) -> list[str]:
        def wait(_: float) -> None:
            raise KeyboardInterrupt

        out.seek(0)
        out.truncate()
        with pytest.raises(KeyboardInterrupt):
            watch_jobs(lambda: [job(str(number)) for number in range(count)], as_json=False, wait=wait, console=console)
        return [line.partition("  ")[0].strip() for line in out.getvalue().splitlines()]

    assert look(4) == ["JOB", "0", "1", "2", "3"]
    assert look(9) == ["JOB", "0", "1", "2", "… and 6 more"]


def test_they_come_in_the_order_in_which_they_run() -> None:
    """What runs, the urgent of the queue, then the oldest of it, and below them what waits for a person."""

    def one(job_id: str, status: str = "downloading", phase: str = "queued", priority: int = 0) -> dict[str, Any]:
        return {"job_id": job_id, "status": status, "phase": phase, "priority": priority}

    lists = {
        "downloading": [
            one("newest"), one("urgent", priority=5), one("older"), one("runs", phase="transferring"), one("oldest"),
        ],
        "paused": [one("paused", "paused")],
        "completed": [one("completed", "completed")],
        "failed": [one("failed", "failed")],
    }  # fmt: skip

    class Lists:
        def jobs(self) -> dict[str, Jobs]:
            return lists

    found = [one["job_id"] for one in jobs_of(cast("Backend", Lists()), everything=True)]
    assert found == ["runs", "urgent", "oldest", "older", "newest", "paused", "failed", "completed"]


def test_what_is_over_is_not_on_its_way() -> None:
    """Neither completed nor cancelled; a failed one is, for it wants to be looked at."""
    jobs = [
        {"job_id": "runs", "status": "downloading"},
        {"job_id": "failed", "status": "failed", "error_code": "checksum_mismatch"},
        {"job_id": "cancelled", "status": "failed", "error_code": "cancelled"},
        {"job_id": "completed", "status": "completed"},
    ]

    class Lists:
        def jobs(self) -> dict[str, Jobs]:
            return {
                status: [one for one in jobs if one["status"] == status]
                for status in ("downloading", "failed", "completed")
            }

    behind = cast("Backend", Lists())
    assert [one["job_id"] for one in jobs_of(behind, everything=False)] == ["runs", "failed"]
    assert len(jobs_of(behind, everything=True)) == 4
