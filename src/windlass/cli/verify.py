"""`windlass verify`: what is on this disk is hashed again, and mended where that is wished."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli import collector, exits
from windlass.cli.local import Local
from windlass.cli.watch import follow
from windlass.errors import WindlassError
from windlass.keeping import Checkup, checkup_body
from windlass.library.checking import Verdict
from windlass.settings import Settings

_STEP = 1_000_000_000  # bytes between signs of life, where there is no terminal to show them on


def verify(
    settings: Settings, console: Console, which: tuple[str | None, str | None], *, repair: bool, as_json: bool
) -> int:
    """Check the model of that name and quantization, or all; the exit code.

    What cannot be mended does not stop the others, and gives the code where all that fails does so alike. Of a file
    that another program has put there nobody knows what it should be: that is said, and is a failure of a model that
    was named, but not of all.

    By this process, also where a server runs: it is this disk that is looked at, and here one can see how far it is.
    """
    collector.carry_on()
    bodies, failures = [], set()
    with Local(settings) as local:
        for checkup in _checked(local, console, which):
            body = checkup_body(checkup)
            _say(console, checkup)
            passed_over = which[0] is None and _is_unknown(checkup)
            if repair and not (checkup.whole or passed_over):
                body |= _mended(local, console, checkup)
            bodies.append(body)
            if not (_is_good(body) or passed_over):
                failures.add(exits.exit_code_of(body.get("error_code") or body.get("job", {}).get("error_code")))
    if as_json:
        sys.stdout.write(json.dumps(bodies) + "\n")
    else:
        sys.stdout.write("".join(f"{body['key']}\n" for body in bodies if _is_good(body)))
    return exits.shared(failures)


def _is_good(body: dict[str, Any]) -> bool:
    return bool(body["whole"] or body.get("job", {}).get("status") == "completed")


def _is_unknown(checkup: Checkup) -> bool:
    """Whether nothing is wrong with it that anybody knows of."""
    return all(file.verdict in {Verdict.WHOLE, Verdict.UNKNOWN} for file in checkup.files)


def _checked(local: Local, console: Console, which: tuple[str | None, str | None]) -> Iterator[Checkup]:
    name, quantization = which
    service = local.service
    if name is not None:
        yield service.keeping.verify(service.find_part(name, quantization), on_check=teller(console))
        return
    yield from service.keeping.verify_all(on_check=teller(console))


def _mended(local: Local, console: Console, checkup: Checkup) -> dict[str, Any]:
    """The job that has fetched what is damaged, at its end; or why there is none."""
    try:
        job_id = local.repair(checkup)["job_id"]
        job = follow(console, lambda: local.job(job_id), wait=local.rest)
    except WindlassError as error:
        exits.say_failure(console, checkup.model.key, error.message, error.hint)
        return {"error_code": error.code, "error_message": error.message}
    if "error_message" in job:
        exits.say_failure(console, checkup.model.key, job["error_message"])
    return {"job": job}


def _say(console: Console, checkup: Checkup) -> None:
    for file in checkup.files:
        where = f", chunks {', '.join(map(str, file.damage))}" if file.damage else ""
        if file.verdict is Verdict.UNKNOWN:
            console.print(f"{file.path}: unknown, for another program has put it there", markup=False, soft_wrap=True)
        elif file.verdict is not Verdict.WHOLE:
            console.print(f"{file.path}: {file.verdict}{where}", markup=False, soft_wrap=True)


def teller(console: Console) -> Any:
    """What is told a file's path, its size and the bytes of it that are hashed so far.

    Says how far it is: on a terminal all the time, elsewhere now and then.
    """
    said: dict[str, int] = {}

    def tell(path: str, size: int, done: int) -> None:
        if console.is_terminal:
            line = f"\r{path[-60:]}  {words.size(done)} of {words.size(size)}\x1b[K"
            console.file.write(line if done < size else "\r\x1b[K")
            console.file.flush()
        elif done - said.get(path, 0) >= _STEP:
            said[path] = done
            console.print(f"{path}: {words.size(done)} of {words.size(size)}", markup=False, soft_wrap=True)

    return tell
