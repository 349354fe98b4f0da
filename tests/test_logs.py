"""What a process says on stderr: lines for people, objects for programs, and no secrets in either."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from windlass.logs import Form, keep_a_log, speak_plainly

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("windlass")
    before = root.handlers, root.level, own.level
    yield
    root.handlers, root.level, own.level = before


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("windlass.jobs.store")


def fail(log: logging.Logger) -> None:
    try:
        int(f"no {SECRET} here")
    except ValueError:
        log.exception("It broke.")


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_programs_get_an_object_a_line(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """When, how grave, who, what, and all that was put beside it."""
    keep_a_log("json")
    log.info("Job %s: %s", "job_1", "start", extra={"job": "job_1", "edge": "start", "error_code": None})
    log.warning("line\nbreak")
    first, second = lines(capsys)
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "windlass.jobs.store",
        "message": "Job job_1: start",
        "job": "job_1",
        "edge": "start",
        "error_code": None,
    }
    assert (second["level"], second["message"]) == ("warning", "line\nbreak")


def test_what_cannot_be_json_is_told_all_the_same(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """A log line must not fail the work that it tells of."""
    keep_a_log("json")
    log.info("x", extra={"odd": {1, 2}, "path": object})
    [line] = lines(capsys)
    assert line["odd"] == "{1, 2}"


def test_people_get_a_line(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """With the time; how grave it is only where it is."""
    keep_a_log("text")
    log.info("Job %s: start", "job_1", extra={"job": "job_1"})
    log.error("It broke.")
    first, second = capsys.readouterr().err.splitlines()
    assert first.partition(" ")[2] == "Job job_1: start"
    assert second.partition(" ")[2] == "error: It broke."


def test_commands_say_only_what_went_wrong(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Their own words are the answer; a log would be in the way."""
    speak_plainly()
    log.info("Job job_1: start")
    log.error("It broke.")
    assert capsys.readouterr().err == "It broke.\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_told(log: logging.Logger, capsys: pytest.CaptureFixture[str], form: Form) -> None:
    """In what is said, in what stands beside it, and in where an error came from."""
    keep_a_log(form)
    log.info("Bearer %s", SECRET, extra={"url": f"https://hub/?token={SECRET}"})
    fail(log)
    said = capsys.readouterr().err
    assert SECRET not in said
    assert "ValueError" in said
    speak_plainly()
    fail(log)
    assert SECRET not in capsys.readouterr().err


def test_other_peoples_chatter_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries warn and fail, they do not tell their day."""
    keep_a_log("text")
    logging.getLogger("httpx2").info("GET https://hub/")
    logging.getLogger("uvicorn.error").error("It broke.")
    assert len(capsys.readouterr().err.splitlines()) == 1
