"""`windlass get` and `windlass attach`: bring a model in, or watch a job that does, and print where it stands."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from windlass import words
from windlass.cli import exits
from windlass.cli.backend import Backend, backend
from windlass.cli.foot import Foot
from windlass.cli.watch import follow, is_live
from windlass.errors import InvalidModel, InvalidRequest, ServerUnreachable, StateFailure, WindlassError
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.library.facts import Found

Job = Mapping[str, Any]

_RUNS = {
    "gpu": "it fits the graphics card",
    "gpu+ram": "it fits graphics card and memory together",
    "ram": "it fits the memory",
    "nowhere": "it is more than the memory of this machine",
}


def get(
    settings: Settings, console: Console, wish: tuple[str, str | None, str | None, str | None],
    *, as_json: bool, detach: bool,
) -> int:  # fmt: skip
    """Bring a model in; `wish` is its name, quantization, format and folder. The exit code."""
    with whole_name_is_told(settings, wish[0]), backend(settings) as behind:
        return bring(behind, console, wish, as_json=as_json, detach=detach)


def bring(
    behind: Backend, console: Console, wish: tuple[str, str | None, str | None, str | None],
    *, as_json: bool = False, detach: bool = False,
) -> int:  # fmt: skip
    """The same, by whom the caller has."""
    with server_may_end(behind):
        with search_is_offered(wish[0]), _looking_up(console, wish[0]):
            job = behind.download(*wish)
        if job["status"] == "already_downloaded":
            console.print(f"{job['model']} is here already, whole and verified.", markup=False, soft_wrap=True)
            return _finish(console, job, as_json)
        _announce(console, job)
        if detach and behind.elsewhere:
            console.print(f"The server goes on with it. Watch: windlass attach {job['job_id']}")
            _print(job, as_json, job["job_id"])
            return exits.DONE
        if detach:
            console.print("No server runs that could go on by itself, so this command stays. Start one: windlass serve")
        return _watch(console, behind, job, as_json)


def attach(settings: Settings, console: Console, job_id: str | None, *, as_json: bool) -> int:
    """Watch a job to its end, be it begun by whomever; without an id the one that is on its way. The exit code.

    Where no server runs, and nobody else works on the job, this process does.

    Raises:
        JobNotFound: it is none.
        InvalidRequest: none was named, and there is not just one.
    """
    with backend(settings) as behind, server_may_end(behind):
        job = behind.take_up(job_id or _only(behind))
        if job["status"] == "downloading":
            _announce(console, job)
        return _watch(console, behind, job, as_json)


def _only(behind: Backend) -> str:
    """The id of the job that is on its way, if there is one and no other."""
    lists = behind.jobs()
    ids, paused = ([str(job["job_id"]) for job in lists[status]] for status in ("downloading", "paused"))
    if len(ids) == 1:
        return ids[0]
    if ids:
        found, hint = f"{len(ids)} jobs are on their way: {', '.join(ids)}.", "Name one: windlass attach JOB"
    elif paused:
        found = f"Nothing is on its way; paused: {', '.join(paused)}."
        hint = f"Go on with it: windlass resume {paused[0]}" if len(paused) == 1 else "Go on with: windlass resume JOB"
    else:
        found, hint = "Nothing is on its way.", "All that was: windlass ps --all"
    raise InvalidRequest(found, hint=hint)


@contextmanager
def _looking_up(console: Console, model: str) -> Iterator[None]:
    """A hub may take its time, and a terminal that says nothing looks as if it were stuck."""
    if not is_live(console):
        yield
        return
    foot = Foot(console)
    foot.show([Text(f"Looking up {model} …", "dim")])
    try:
        yield
    finally:
        foot.clear()


@contextmanager
def search_is_offered(model: str) -> Iterator[None]:
    """Who writes `qwen3` means a model, and does not know its whole name. Raises as what is within."""
    try:
        yield
    except InvalidModel as error:
        if "/" not in model:
            error.hint = f"To find its whole name: windlass search {quote(model)}. {error.hint or ''}"
        raise


@contextmanager
def whole_name_is_told(settings: Settings, model: str) -> Iterator[None]:
    """Who writes what `windlass ls` shows means what is here, which the hub knows by another name. Raises as within."""
    try:
        yield
    except InvalidModel as error:
        if "/" not in model and (found := _here(settings, model)):
            name = f"{found.id}@{found.quantization}" if found.quantization and found.format == "gguf" else found.id
            error.hint = f"On this disk it is {found.id}: windlass get {quote(name)}. {error.hint or ''}".rstrip()
        raise


def _here(settings: Settings, key: str) -> "Found | None":
    from windlass.service import Service

    with suppress(WindlassError), Service(settings) as service:
        return service.find_part(key).found
    return None


@contextmanager
def server_may_end(behind: Backend) -> Iterator[None]:
    """Say what becomes of the jobs when the server ends in the midst of them. Raises StateFailure."""
    try:
        yield
    except ServerUnreachable as error:
        hint = "Its jobs are kept: start it again, or run the same command to go on here."
        raise StateFailure(f"The server at {behind.where} has ended.", hint=hint) from error


def _announce(console: Console, job: Job) -> None:
    model = job["items"][-1]
    quantization = words.quantization(model.get("quantization", {}).get("name", ""))
    kind = " ".join(text for text in (quantization, model["format"].upper()) if text)
    facts = [f"{words.size(job['total_size_bytes'])} in {words.files(len(job['files']))}"]
    # The catalog's texts are here with the answer, and are nothing that anybody has fetched before.
    here = job["downloaded_bytes"] - sum(item["size_bytes"] for item in job["items"] if item["type"] == "model_yaml")
    facts += [f"{words.size(here)} of it is here"] if here > 0 else []
    facts += [_RUNS[job["fits_memory"]]] if job.get("fits_memory") in _RUNS else []
    console.print(f"{model['display_name']}, {kind}: {'; '.join(facts)}", markup=False, soft_wrap=_is_log(console))
    if job.get("why"):
        console.print(job["why"], style="dim", markup=False, soft_wrap=_is_log(console))


def _is_log(console: Console) -> bool:
    """Whether lines are left as long as they are: where nobody has a width."""
    return not console.is_terminal


def _watch(console: Console, behind: Backend, job: Job, as_json: bool) -> int:
    began, before = time.monotonic(), job["downloaded_bytes"]
    if job["status"] == "downloading":
        job = follow_to_its_end(console, behind, job)
    if job["status"] == "completed" and job["downloaded_bytes"] > before:
        console.print(_told(job["downloaded_bytes"] - before, time.monotonic() - began), markup=False)
    return _finish(console, job, as_json)


def _told(came: int, seconds: float) -> str:
    took = words.duration(seconds) if seconds >= 1 else "under a second"
    rate = f" ({words.speed(came / seconds)})" if seconds >= 1 else ""
    return f"{words.size(came)} in {took}{rate}; every file is what the hub has."


def follow_to_its_end(console: Console, behind: Backend, job: Job) -> Job:
    """Show how far the job is until it is over; its last state. Who breaks off is told what becomes of it."""
    job_id = job["job_id"]
    try:
        return follow(console, lambda: behind.job(job_id), wait=behind.rest)
    except KeyboardInterrupt:
        if behind.elsewhere:
            console.print(f"\nThe server goes on with {job_id}. Watch it again: windlass attach {job_id}")
            console.print(f"Stop it: windlass cancel {job_id}")
        else:
            console.print("\nStopped. What has come is kept; the same command goes on from there.")
        raise


def _finish(console: Console, job: Job, as_json: bool) -> int:
    if job["status"] in ("completed", "already_downloaded"):
        _print(job, as_json, job["path"])
        return exits.DONE
    if as_json:
        _print(job, as_json, "")
    if job["status"] == "paused" and "error_code" not in job:
        console.print(f"The job was paused. Go on with: windlass resume {job['job_id']}")
        return exits.FAILED
    console.print(f"error: {job['error_message']}", style="red", markup=False, soft_wrap=_is_log(console))
    if job["error_code"] != "cancelled":
        console.print(f"       Try again with: windlass resume {job['job_id']}", markup=False)
    return exits.exit_code_of(job["error_code"])


def _print(job: Job, as_json: bool, text: str) -> None:
    sys.stdout.write((json.dumps(job) if as_json else text) + "\n")
