"""The verbs for jobs: listed, watched, paused, resumed, cancelled, forgotten."""

import json
import sys
from typing import Annotated

import typer

from windlass.cli.completion import job_ids
from windlass.cli.options import Json, console, settings

JobId = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's id, as `windlass ps` shows it.", autocompletion=job_ids)
]


def ps(
    everything: Annotated[bool, typer.Option("-a", "--all", help="Completed and cancelled jobs too.")] = False,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep showing them, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """List the jobs that are on their way, and those that failed on it.

    Example: windlass ps --watch
    """
    from windlass.cli.backend import backend
    from windlass.cli.ps import jobs_of, watch_jobs
    from windlass.cli.tables import show_jobs

    with backend(settings()) as behind:
        if watch:
            watch_jobs(lambda: jobs_of(behind, everything=everything), as_json=as_json, wait=behind.rest)
        show_jobs(jobs_of(behind, everything=everything), as_json=as_json)


def attach(
    job_id: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="The job's id; without, the one on its way.", autocompletion=job_ids),
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch a job to its end, and print where the model stands. Ctrl-C leaves the job as it is.

    Example: windlass attach job_493c7c9ded
    """
    from windlass.cli.get import attach as run

    raise typer.Exit(run(settings(), console(), job_id, as_json=as_json))


def pause(job_id: JobId, as_json: Json = False) -> None:
    """Stop a job where it is.

    Example: windlass pause job_493c7c9ded
    """
    _act(job_id, "pause", as_json=as_json)


def resume(job_id: JobId, as_json: Json = False) -> None:
    """Let a paused or failed job go on.

    Example: windlass resume job_493c7c9ded
    """
    _act(job_id, "resume", as_json=as_json)


def cancel(job_id: JobId, as_json: Json = False) -> None:
    """End a job for good and remove what it had brought so far.

    Example: windlass cancel job_493c7c9ded
    """
    _act(job_id, "cancel", as_json=as_json)


def forget(job_id: JobId) -> None:
    """Take a job that is over off the list. The model stays.

    Example: windlass forget job_493c7c9ded
    """
    from windlass.cli.backend import backend

    with backend(settings()) as behind:
        behind.forget(job_id)
    sys.stdout.write(f"{job_id} forgotten\n")


def _act(job_id: str, action: str, *, as_json: bool) -> None:
    from windlass import words
    from windlass.cli.backend import backend

    with backend(settings()) as behind:
        job = behind.act(job_id, action)
        if action == "resume" and not behind.elsewhere:
            sys.stderr.write(
                f"No server runs, so the job waits. Do it here: windlass attach {job_id}; or have one: windlass serve\n"
            )
    done, total = words.size(job["downloaded_bytes"]), words.size(job["total_size_bytes"])
    line = f"{job_id} {job.get('error_code') or job['status']} {done} of {total}"
    sys.stdout.write((json.dumps(job) if as_json else line) + "\n")


VERBS = {"ps": ps, "attach": attach, "pause": pause, "resume": resume, "cancel": cancel, "forget": forget}
