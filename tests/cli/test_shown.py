"""What commands print: tables, JSON, the settings, errors; data on stdout and the rest on stderr."""

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from windlass.cli import backend, tables
from windlass.cli import main as command
from windlass.cli.config import show_settings
from windlass.errors import JobNotFound, ModelNotFound, ServerFailure
from windlass.settings import load

Capture = pytest.CaptureFixture[str]

MODEL = {
    "key": "qwen/qwen3-8b",
    "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
    "format": "gguf",
    "params_string": "8B",
    "size_bytes": 5_030_000_000,
}
BARE = {"key": "x" * 200, "quantization": None, "format": None, "params_string": None, "size_bytes": 5}
JOB = {
    "job_id": "job_493c7c9ded",
    "status": "downloading",
    "phase": "queued",
    "downloaded_bytes": 25,
    "total_size_bytes": 100,
    "items": [{"id": "qwen/qwen3-8b", "quantization": {"name": "Q4_K_M"}}],
}
RUNS = {**JOB, "phase": "transferring", "bytes_per_second": 2_000_000.0, "items": [{"id": "a/b"}]}
DONE = {**JOB, "status": "completed"}
FAILED = {**JOB, "status": "failed", "error_code": "hub_unreachable"}


def test_models_are_a_table(capsys: Capture) -> None:
    """One line a model, nothing cut off in a pipe, and no value shown as None."""
    tables.show_models([MODEL, BARE], as_json=False)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "QUANT", "FORMAT", "PARAMS", "SIZE"]
    assert first.split() == ["qwen/qwen3-8b", "Q4_K_M", "gguf", "8B", "5.03", "GB"]
    assert second.split() == ["x" * 200, "5", "B"]


def test_jobs_are_a_table(capsys: Capture) -> None:
    """A job that downloads says its phase, speed and time left; one that failed says why."""
    tables.show_jobs([JOB, RUNS, DONE, FAILED], as_json=False)
    _, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["job_493c7c9ded", "qwen/qwen3-8b@Q4_K_M", "queued", "25", "%", "100", "B"]
    assert rows[1] == ["job_493c7c9ded", "a/b", "transferring", "25", "%", "100", "B", "2.00", "MB/s", "0s"]
    assert [rows[2][2], rows[3][2]] == ["completed", "hub_unreachable"]


def test_a_quantization_is_spelt_as_in_the_other_lists(capsys: Capture) -> None:
    """`4bit`, as the hub, `plan` and `-q` have it; only LM Studio's jobs say `4BIT`."""
    tables.show_jobs([{**JOB, "items": [{"id": "a/b", "quantization": {"name": "4BIT"}}]}], as_json=False)
    assert "a/b@4bit" in capsys.readouterr().out


def test_json_is_the_same_data(capsys: Capture) -> None:
    """One document on stdout, also where there is nothing."""
    tables.show_models([MODEL], as_json=True)
    assert json.loads(capsys.readouterr().out) == [MODEL]
    tables.show_jobs([JOB, DONE], as_json=True)
    assert json.loads(capsys.readouterr().out) == [JOB, DONE]
    tables.show_jobs([], as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_an_empty_table_is_said_on_stderr(capsys: Capture) -> None:
    """So that a script that counts lines counts none."""
    tables.show_models([], as_json=False)
    tables.show_jobs([], as_json=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert "No models yet" in err
    assert "Nothing is on its way" in err


def test_in_a_pipe_a_command_is_not_parted(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are as long as they are where nobody has a width: what is parted in two cannot be copied."""
    monkeypatch.setenv("COLUMNS", "40")
    tables.show_tokens([], as_json=False)
    tables.console(stderr=True).print("long " * 50)
    assert [len(line) for line in capsys.readouterr().err.splitlines()] == [81, 250]


def test_a_job_of_no_bytes_is_shown(capsys: Capture) -> None:
    """Nothing is divided by nothing."""
    tables.show_jobs([{**JOB, "status": "paused", "total_size_bytes": 0}], as_json=False)
    assert "paused" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [True, False])
def test_settings_say_where_they_come_from_and_no_secret(capsys: Capture, tmp_path: Path, as_json: bool) -> None:
    """A token is `set`; the password in a database's address is left out."""
    environ = {
        "HF_TOKEN": "hf_S3CR3T",
        "WINDLASS_DATABASE_URL": "postgresql://me:S3CR3T@db.test/windlass",
        "WINDLASS_PORT": "99",
    }
    settings = load(environ=environ, user_home=tmp_path)
    show_settings(settings, as_json=as_json)
    out = capsys.readouterr().out
    assert "S3CR3T" not in out
    assert "@db.test/windlass" in out
    assert "@db.test/windlass" in out
    if as_json:
        rows = json.loads(out)
        assert rows["port"] == {"value": 99, "from": "WINDLASS_PORT"}
        assert rows["hf_token"] == {"value": "set", "from": "HF_TOKEN"}
        assert rows["api_token"] == {"value": None, "from": "default"}
        assert rows["max_jobs"] == {"value": 3, "from": "default"}
    else:
        assert re.search(r"^port +99  \(WINDLASS_PORT\)$", out, re.MULTILINE)
        assert re.search(r"^api_token +-  \(default\)$", out, re.MULTILINE)


# The command as a whole


def test_what_was_forgotten_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """As each of the other verbs for jobs says what it has done."""

    @contextmanager
    def behind(_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(forget=lambda job_id: None)

    monkeypatch.setattr(backend, "backend", behind)
    assert run(monkeypatch, "forget", "job_493c7c9ded") == 0
    assert capsys.readouterr().out == "job_493c7c9ded forgotten\n"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["windlass", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    return int(caught.value.code or 0)


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, and no server."""
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINDLASS_LMSTUDIO_HOME", str(tmp_path / "lmstudio"))
    monkeypatch.setenv("WINDLASS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WINDLASS_MODELS_DIR", raising=False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelNotFound("Nobody knows it.", hint="Look at its spelling."), 3),
        (JobNotFound("job_0"), 3),
        (ServerFailure("Download job with id 'job_0' not found", status=404, remote_code="job_not_found"), 3),
        (ServerFailure("No room.", status=507, remote_code="insufficient_storage"), 5),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_two_lines_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: BaseException, code: int
) -> None:
    """On stderr, never a traceback; stdout stays empty."""

    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(command, "app", fail)
    if isinstance(error, BrokenPipeError):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert run(monkeypatch) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    if isinstance(error, ModelNotFound):
        assert err == "error: Nobody knows it.\n       Look at its spelling.\n"
    if "job_0" in str(error):
        assert (
            err == "error: Download job with id 'job_0' not found\n       All jobs that are known: windlass ps --all\n"
        )


FULL = "error: cannot write to stdout: No space left on device\n"
CLOSED = "error: cannot write to stdout: Bad file descriptor\n"


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"], ["--help"], ["--version"]], ids=" ".join)
def test_a_stdout_that_takes_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], buffering: int
) -> None:
    """A script must not take for data what was lost, be it at the first word or at the end, with buffers or without."""
    with Path("/dev/full").open("wb", buffering) as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, "utf-8", write_through=not buffering))
        assert run(monkeypatch, *arguments) == 1
        assert capsys.readouterr().err == FULL
        sys.stdout.flush()  # as the interpreter does at its end: that is no second failure


def test_a_closed_stdout_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """`>&-` leaves none at all."""
    monkeypatch.setattr(sys, "stdout", None)
    assert run(monkeypatch, "config") == 1
    assert capsys.readouterr().err == CLOSED


@pytest.mark.parametrize("arguments", [["config"], ["--help"], ["completion", "bash"]], ids=" ".join)
def test_a_reader_that_has_gone_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str]
) -> None:
    """Nor does it matter how much was written by then: `| head -1` ends every command alike, and in silence."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(gone, "utf-8"))
        assert run(monkeypatch, *arguments) == 0
        assert capsys.readouterr().err == ""


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends it needs it."""

    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(command, "app", fail)
    monkeypatch.setattr(sys, "argv", ["windlass"])
    with pytest.raises(ZeroDivisionError):
        command.main()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["get", "--help"], 0),
        (["ls"], 0),
        (["ls", "--json"], 0),
        (["ps"], 0),
        (["config"], 0),
        (["nonsense"], 2),
        (["get"], 2),
        (["get", "--gguf", "--mlx", "a/b"], 2),
        (["serve", "--port", "many"], 2),
        (["serve", "--port", "70000"], 2),
        (["get", "not a model"], 2),
        (["path", "qwen/qwen3-8b"], 3),
        (["cancel", "job_0000000000"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_without_a_server_end_as_the_contract_says(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], code: int
) -> None:
    """And what is wrong with a command is told on stderr."""
    assert run(monkeypatch, *arguments) == code
    out, err = capsys.readouterr()
    if code:
        assert out == ""
        assert err
    if arguments == ["ls", "--json"]:
        assert json.loads(out) == []


def test_commands_that_only_look_make_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No database, no folder."""
    for arguments in (["ls"], ["config"], ["path", "a/b"], ["check"], ["check", "--fix"]):
        run(monkeypatch, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:S3/CR3T@db.test/windlass",
        "postgresql://bob:S3CR3T@S3CR3T@db.test/windlass",
        "postgresql://db.test/windlass?user=a&password=S3CR3T",
    ],
)
def test_no_password_of_a_database_is_shown(capsys: Capture, tmp_path: Path, url: str) -> None:
    """However it is written, and though it may not be written so."""
    show_settings(load(environ={"WINDLASS_DATABASE_URL": url}, user_home=tmp_path), as_json=False)
    out = capsys.readouterr().out
    assert "CR3T" not in out
    assert "db.test/windlass" in out
