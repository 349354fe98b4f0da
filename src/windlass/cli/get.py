"""`windlass get`: bring a model in and print where it stands."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from windlass.cli import exits, words
from windlass.cli.backend import Backend, backend
from windlass.cli.watch import follow
from windlass.errors import ServerUnreachable, StateFailure
from windlass.settings import Settings

Job = Mapping[str, Any]


def get(
    settings: Settings, console: Console, wish: tuple[str, str | None, str | None, str | None],
    *, as_json: bool, detach: bool,
) -> int:  # fmt: skip
    """Bring a model in; `wish` is its name, quantization, format and folder. The exit code."""
    with backend(settings) as behind, server_may_end(behind):
        job = behind.download(*wish)
        _announce(console, job)
        if detach and behind.elsewhere:
            _print(job, as_json, job["job_id"])
            return exits.DONE
        if detach:
            console.print("No server runs that could go on by itself, so this command stays. Start one: windlass serve")
        if job["status"] != "already_downloaded":
            job = follow_to_its_end(console, behind, job)
    return _finish(console, job, as_json)


@contextmanager
def server_may_end(behind: Backend) -> Iterator[None]:
    """Say what becomes of the jobs when the server ends in the midst of them. Raises StateFailure."""
    try:
        yield
    except ServerUnreachable as error:
        hint = "Its jobs are kept: start it again, or run the same command to go on here."
        raise StateFailure(f"The server at {behind.where} has ended.", hint=hint) from error


def _announce(console: Console, job: Job) -> None:
    if job["status"] == "already_downloaded":
        console.print(f"{job['model']} is here already, whole and verified.", markup=False, soft_wrap=True)
        return
    model = job["items"][-1]
    quantization = model.get("quantization", {}).get("name", "")
    kind = " ".join(text for text in (quantization, model["format"].upper()) if text)
    count = f"{len(job['files'])} files" if len(job["files"]) > 1 else "1 file"
    console.print(f"{model['display_name']}, {kind}: {words.size(job['total_size_bytes'])} in {count}", markup=False)
    if job.get("why"):
        console.print(job["why"], style="dim", markup=False, soft_wrap=not console.is_terminal)


def follow_to_its_end(console: Console, behind: Backend, job: Job) -> Job:
    """Show how far the job is until it is over; its last state. Who breaks off is told what becomes of it."""
    try:
        return follow(console, lambda: behind.job(job["job_id"]), wait=behind.rest)
    except KeyboardInterrupt:
        if behind.elsewhere:
            console.print(f"\nThe server goes on with {job['job_id']}. Stop it with: windlass cancel {job['job_id']}")
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
    console.print(f"error: {job['error_message']}", style="red", markup=False, soft_wrap=True)
    return exits.exit_code_of(job["error_code"])


def _print(job: Job, as_json: bool, text: str) -> None:
    sys.stdout.write((json.dumps(job) if as_json else text) + "\n")
