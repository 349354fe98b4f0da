"""Exit codes (docs/command-line.md), by the stable code of an error; and how one failure among several is said."""

from typing import TYPE_CHECKING

from windlass.errors import ServerFailure, WindlassError

if TYPE_CHECKING:
    from rich.console import Console

DONE, FAILED, USAGE, NOT_FOUND, NO_ACCESS, NO_SPACE, NOT_REACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

_BY_CODE = {
    "invalid_request": USAGE,
    "invalid_model": USAGE,
    "quantization_not_found": NOT_FOUND,
    "model_not_found": NOT_FOUND,
    "no_model_files": NOT_FOUND,
    "job_not_found": NOT_FOUND,
    "model_gated": NO_ACCESS,
    "token_not_found": NOT_FOUND,
    "invalid_api_key": NO_ACCESS,
    "insufficient_scope": NO_ACCESS,
    "insufficient_storage": NO_SPACE,
    "hub_unreachable": NOT_REACHABLE,
    "hub_rate_limited": NOT_REACHABLE,
    "tls_error": NOT_REACHABLE,
}


# What to do next, where the message is LM Studio's, word for word, and has no room for it.
_HINTS = {"job_not_found": "All jobs that are known: windlass ps --all"}


def shared(failures: set[int]) -> int:
    """The exit code for several things done: that of all that failed, where it is one."""
    return min(failures, default=DONE) if len(failures) < 2 else FAILED


def say_failure(console: "Console", what: str, message: str, hint: str | None = None) -> None:
    """In one line: others follow, about something else."""
    console.print(f"error: {what}: {message} {hint or ''}".rstrip(), style="red", markup=False, soft_wrap=True)


def exit_code(error: WindlassError) -> int:
    """The exit code for an error, a server's own among them."""
    return exit_code_of(_code_of(error))


def hint_of(error: WindlassError) -> str | None:
    """What a person at a command line may do next."""
    return error.hint or _HINTS.get(_code_of(error))


def _code_of(error: WindlassError) -> str:
    return error.remote_code if isinstance(error, ServerFailure) and error.remote_code else error.code


def exit_code_of(code: str | None) -> int:
    """The exit code for an `error_code` of a job."""
    return _BY_CODE.get(code or "", FAILED)
