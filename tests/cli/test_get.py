"""`windlass get` without a server: this process does the work; the path on stdout, the rest on stderr."""

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from standin import ALWAYS, Hub, faults
from windlass.cli import get as module
from windlass.cli import watch
from windlass.cli.backend import backend
from windlass.cli.get import attach, get
from windlass.cli.local import Local
from windlass.errors import InvalidRequest, JobNotFound, ModelNotFound, QuantizationNotFound
from windlass.settings import Settings, load

Capture = pytest.CaptureFixture[str]
REPO = "unsloth/Qwen3-8B-GGUF"
FILES = {"Qwen3-8B-Q4_K_M.gguf": b"GGUF" + b"4" * 50_000, "Qwen3-8B-Q8_0.gguf": b"GGUF" + b"8" * 90_000}


@pytest.fixture(autouse=True)
def quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL", 0.0)
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def settings(hub: Hub, tmp_path: Path) -> Settings:
    hub.add(REPO, FILES)
    environ = {
        "WINDLASS_LMSTUDIO_HOME": str(tmp_path / "lmstudio"),
        "WINDLASS_HF_ENDPOINT": hub.url,
        "WINDLASS_CATALOG_URL": hub.url,
        "WINDLASS_MIN_FREE": "0",
        "WINDLASS_URL": "http://127.0.0.1:9",
    }
    return load(environ=environ, user_home=tmp_path)


def run(settings: Settings, quantization: str | None = None, **flags: bool) -> tuple[int, str]:
    """The exit code, and what a person saw."""
    seen = io.StringIO()
    options = {"as_json": False, "detach": False, **flags}
    return get(settings, Console(file=seen, width=200), (REPO, quantization, None, None), **options), seen.getvalue()


def test_it_ends_with_the_path_alone_on_stdout(settings: Settings, capsys: Capture) -> None:
    """A script can hand it on; what was chosen, and how it went, is on the console."""
    code, seen = run(settings)
    path = Path(capsys.readouterr().out.removesuffix("\n"))
    assert code == 0
    assert path == settings.models_dir / REPO / "Qwen3-8B-Q4_K_M.gguf"
    assert path.read_bytes() == FILES[path.name]
    assert "Qwen3 8B, Q4_K_M GGUF: 50.0 kB in 1 file" in seen
    assert "completed" in seen


def test_a_second_time_there_is_nothing_to_do(settings: Settings, capsys: Capture, hub: Hub) -> None:
    """The same path at once, and no byte is fetched."""
    run(settings)
    first, asked = capsys.readouterr().out, len(hub.asked("cdn"))
    code, seen = run(settings)
    assert (code, capsys.readouterr().out, len(hub.asked("cdn"))) == (0, first, asked)
    assert "here already" in seen


def test_json_is_the_job_with_its_files(settings: Settings, capsys: Capture) -> None:
    """One document, whether it came now or was there."""
    for status in ("completed", "already_downloaded"):
        assert run(settings, as_json=True)[0] == 0
        job = json.loads(capsys.readouterr().out)
        assert job["status"] == status
        assert job["downloaded_bytes"] == job["total_size_bytes"] == 50_004
        assert [file["path"] for file in job["files"]] == [f"{REPO}/Qwen3-8B-Q4_K_M.gguf"]


def test_a_failed_job_says_why_and_with_which_code(settings: Settings, capsys: Capture, hub: Hub) -> None:
    """The reason on the console, nothing on stdout; with --json the job."""
    hub.misbehave("cdn", faults.corrupt(100), times=ALWAYS)
    code, seen = run(settings)
    assert (code, capsys.readouterr().out) == (1, "")
    assert "error: " in seen
    assert "twice" in seen
    assert run(settings, as_json=True)[0] == 1
    assert json.loads(capsys.readouterr().out)["error_code"] == "checksum_mismatch"


def test_without_a_server_detach_stays(settings: Settings, capsys: Capture) -> None:
    """It says that nobody could go on, and brings the model in itself."""
    code, seen = run(settings, detach=True)
    assert code == 0
    assert "No server runs" in seen
    assert capsys.readouterr().out.endswith(".gguf\n")


def test_what_does_not_exist_is_an_error(settings: Settings) -> None:
    """For `main` to show."""
    with pytest.raises(QuantizationNotFound):
        run(settings, "Q2_K")


def test_an_interrupted_job_goes_on_with_the_next_command(
    settings: Settings, capsys: Capture, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while bytes come: the job waits in the queue, and the same command brings it to its end."""
    hub.misbehave("cdn", faults.stall(after=20_000), times=ALWAYS)

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "follow", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(settings)
    hub.behave()
    with Local(settings) as local:
        [job] = local.jobs()["downloading"]
        assert job["phase"] == "queued"
    assert run(settings)[0] == 0
    assert json.loads(json.dumps(job))["job_id"]
    with Local(settings) as local:
        assert [done["job_id"] for done in local.jobs()["completed"]] == [job["job_id"]]
    assert capsys.readouterr().out.count("\n") == 1


def attached(settings: Settings, job_id: str | None = None, **flags: bool) -> tuple[int, str]:
    """The exit code of `attach`, and what a person saw."""
    seen = io.StringIO()
    return attach(settings, Console(file=seen, width=200), job_id, **{"as_json": False, **flags}), seen.getvalue()


def test_where_nobody_works_on_a_job_attach_does(settings: Settings, capsys: Capture) -> None:
    """Without its id, for it is the only one; it ends as `get` does, and an ended job is told again."""
    with Local(settings) as local:
        job_id = local.service.download(REPO)[0].job.id
    code, seen = attached(settings)
    path = capsys.readouterr().out
    assert (code, path) == (0, f"{settings.models_dir / REPO / 'Qwen3-8B-Q4_K_M.gguf'}\n")
    assert "Qwen3 8B, Q4_K_M GGUF: 50.0 kB in 1 file" in seen
    assert attached(settings, job_id)[0] == 0
    assert capsys.readouterr().out == path
    assert attached(settings, job_id, as_json=True)[0] == 0
    assert json.loads(capsys.readouterr().out)["job_id"] == job_id


def test_a_job_that_stands_still_is_not_waited_for(settings: Settings) -> None:
    """Paused or cancelled: that is said, with what lets it go on."""
    with Local(settings) as local:
        job_id = local.service.download(REPO)[0].job.id
        local.act(job_id, "pause")
    code, seen = attached(settings, job_id)
    assert (code, f"windlass resume {job_id}" in seen) == (1, True)
    with Local(settings) as local:
        local.act(job_id, "cancel")
    code, seen = attached(settings, job_id)
    assert (code, "cancelled" in seen, "resume" in seen) == (1, True, False)


def test_which_job_must_be_clear(settings: Settings) -> None:
    """None on its way, two on their way, or one that nobody knows."""
    with pytest.raises(InvalidRequest, match="Nothing is on its way"):
        attached(settings)
    with pytest.raises(JobNotFound):
        attached(settings, "job_0123456789")
    with Local(settings) as local:
        for quantization in ("Q4_K_M", "Q8_0"):
            local.service.download(REPO, quantization)
    with pytest.raises(InvalidRequest, match="2 jobs are on their way"):
        attached(settings)


def test_who_attaches_to_nothing_is_told_what_is_paused(settings: Settings) -> None:
    """It is what they look for, and how it goes on."""
    with Local(settings) as local:
        job_id = local.service.download(REPO)[0].job.id
        local.act(job_id, "pause")
    with pytest.raises(InvalidRequest) as caught:
        attached(settings)
    assert str(caught.value) == f"Nothing is on its way; paused: {job_id}. Go on with it: windlass resume {job_id}"


def test_what_is_here_and_whether_it_runs_is_told_before(settings: Settings, answers: Any) -> None:
    """Bytes that need not come again, and where in memory the model fits; the catalog's text is not worth a word."""
    told = {"gpu": "fits the graphics card", "nowhere": "more than the memory", "unknown": ""}
    for place, words in told.items():
        job = {**JOB, "downloaded_bytes": 40, "fits_memory": place}
        answers(job)
        line = run(settings, detach=True)[1].splitlines()[0]
        assert line.startswith("Qwen3 8B, GGUF: 100 B in 2 files; 40 B of it is here")
        assert words in line
    yaml = {"type": "model_yaml", "size_bytes": 900}
    answers({**JOB, "total_size_bytes": 10**6, "downloaded_bytes": 900, "items": [yaml, *JOB["items"]]})
    assert "is here" not in run(settings, detach=True)[1]


def test_a_terminal_is_told_that_something_happens(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub may take its time. The line is gone when there is more to say, and when there is only an error."""
    monkeypatch.delenv("CI", raising=False)
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    assert get(settings, console, (REPO, None, None, None), as_json=False, detach=False) == 0
    assert out.getvalue().startswith(f"Looking up {REPO} …\n\x1b[1A\r\x1b[JQwen3 8B, Q4_K_M GGUF")
    out.truncate(0)
    with pytest.raises(ModelNotFound):
        get(settings, console, ("nobody/nothing", None, None, None), as_json=False, detach=False)
    assert out.getvalue().endswith("…\n\x1b[1A\r\x1b[J")


def test_at_the_end_it_is_told_how_it_went(settings: Settings) -> None:
    """Bytes and time, and that they are right; the speed of a moment says nothing."""
    seen = run(settings)[1]
    assert "50.0 kB in under a second; every file is what the hub has." in seen
    assert module._told(3_000_000_000, 60.0) == "3.00 GB in 1m 00s (50.0 MB/s); every file is what the hub has."


def test_jobs_can_be_acted_on_without_a_server(settings: Settings) -> None:
    """Pause, resume, cancel; one that is not known is an error."""
    with Local(settings) as local:
        with pytest.raises(ModelNotFound):
            local.download("nobody/nothing")
        with pytest.raises(JobNotFound):
            local.act("job_x", "pause")
    with Local(settings) as local:
        service = local.service
        job_id = service.download(REPO)[0].job.id
        statuses = [local.act(job_id, action)["status"] for action in ("pause", "resume", "cancel")]
        assert statuses == ["paused", "downloading", "failed"]
        assert local.job(job_id)["error_code"] == "cancelled"


def test_with_nobody_there_this_process_does_the_work(settings: Settings) -> None:
    """No server at the address, none on this state."""
    with backend(settings) as behind:
        assert isinstance(behind, Local)
        assert not behind.elsewhere


def test_the_end_of_a_job_is_known_at_once(settings: Settings) -> None:
    """Nobody asks again and again: a pull that ends ends the waiting, after the store knows of it."""
    with Local(settings) as local:
        job = local.download(REPO)
        began = time.monotonic()
        local.rest(60.0)
        assert local.job(job["job_id"])["status"] == "completed"
        assert time.monotonic() - began < 30
        local.rest(0.0)


# With a server that is told of, but is not there: what `get` does with one


class Elsewhere:
    """A server that answers these states, one a question."""

    elsewhere = True

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self._jobs = list(jobs)

    def download(self, *wish: str | None) -> dict[str, Any]:
        return self._jobs.pop(0)

    def job(self, job_id: str) -> dict[str, Any]:
        return self._jobs.pop(0)

    def rest(self, seconds: float) -> None:
        """The next answer is there."""


JOB: dict[str, Any] = {
    "job_id": "job_493c7c9ded",
    "model": REPO,
    "status": "downloading",
    "phase": "queued",
    "total_size_bytes": 100,
    "downloaded_bytes": 0,
    "items": [{"type": "model", "display_name": "Qwen3 8B", "format": "gguf"}],
    "files": [{}, {}],
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    def answer(*jobs: dict[str, Any]) -> None:
        @contextmanager
        def elsewhere(_: Settings) -> Iterator[Elsewhere]:
            yield Elsewhere(*jobs)

        monkeypatch.setattr(module, "backend", elsewhere)

    return answer


def test_detach_prints_the_jobs_id(settings: Settings, answers: Any, capsys: Capture) -> None:
    """And leaves the rest to the server."""
    answers(JOB)
    code, seen = run(settings, detach=True)
    assert (code, capsys.readouterr().out) == (0, "job_493c7c9ded\n")
    assert "Qwen3 8B, GGUF: 100 B in 2 files" in seen


def test_a_job_that_is_paused_elsewhere_has_not_come(settings: Settings, answers: Any, capsys: Capture) -> None:
    """The command ends and says how it goes on."""
    answers(JOB, {**JOB, "status": "paused"})
    code, seen = run(settings)
    assert (code, capsys.readouterr().out) == (1, "")
    assert "windlass resume job_493c7c9ded" in seen


def test_a_failure_elsewhere_has_its_exit_code(settings: Settings, answers: Any) -> None:
    """As if it had happened here."""
    failed = {**JOB, "status": "failed", "error_code": "hub_unreachable", "error_message": "Nobody is there."}
    answers(JOB, failed)
    code, seen = run(settings)
    assert code == 6
    assert "error: Nobody is there." in seen


def test_ctrl_c_leaves_the_server_at_work(
    settings: Settings, answers: Any, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """And says how to stop it."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    answers(JOB)
    monkeypatch.setattr(module, "follow", interrupted)
    seen = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        get(settings, Console(file=seen, width=200), (REPO, None, None, None), as_json=False, detach=False)
    assert "windlass cancel job_493c7c9ded" in seen.getvalue()
    assert capsys.readouterr().out == ""
