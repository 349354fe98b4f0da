"""A server's errors as ours: each is a `ServerFailure` and of the class whose code it has, so either can be caught.

except windlass.errors.ModelNotFound as error: …
except windlass.errors.ServerFailure as error: print(error.status, error.code, error.hint)
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from windlass import errors as e


def failure(status: int, headers: Mapping[str, str], body: Any, url: str) -> e.ServerFailure:
    """The error of an answer that is none of the good ones; `body` is its JSON, or None."""
    detail = body.get("error") if isinstance(body, dict) else None
    if isinstance(detail, str) and status == 200:
        return e.ServerFailure(detail, status=status, remote_code=None)
    if not isinstance(detail, dict):
        message = f"{url} does not answer as a Windlass server does (HTTP {status})."
        return e.ServerFailure(message, status=status, remote_code=None)
    code = detail.get("code") or detail.get("type")
    message, hint = str(detail.get("message", f"HTTP {status}")), detail.get("hint")
    hint = hint if isinstance(hint, str) and message.endswith(f" {hint}") else None
    message = message.removesuffix(f" {hint}") if hint else message
    error = _class_of(str(code))(message, status=status, remote_code=str(code) if code else None, hint=hint)
    error.param = detail["param"] if isinstance(detail.get("param"), str) else None
    _tell_numbers(error, headers, detail)
    return error


def _tell_numbers(error: e.ServerFailure, headers: Mapping[str, str], detail: Mapping[str, Any]) -> None:
    """What the class has besides its message; what the answer does not say stays None."""
    if isinstance(error, e.InsufficientStorage):
        error.needed, error.free = _count(detail.get("needed_bytes")), _count(detail.get("free_bytes"))
    if isinstance(error, e.HubRateLimited):
        asked = headers.get("Retry-After", "")
        error.retry_after = float(asked) if asked.isascii() and asked.isdigit() else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def job_failure(job: Any) -> e.ServerFailure:
    """The error with which a job ended."""
    code = str(job.get("error_code", "internal_error"))
    return _class_of(code)(str(job.get("error_message", code)), status=200, remote_code=code)


def _class_of(code: str) -> type[e.ServerFailure]:
    return _classes().get(code, e.ServerFailure)


@cache
def _classes() -> dict[str, type[e.ServerFailure]]:
    """By code. Made once, so that two errors of one kind are of one class."""
    known = [cls for cls in _below(e.WindlassError) if not issubclass(cls, e.ServerFailure)]
    return {
        cls.code: type(cls.__name__, (e.ServerFailure, cls), {"code": cls.code}) for cls in known if "code" in vars(cls)
    }


def _below(cls: type[e.WindlassError]) -> Iterator[type[e.WindlassError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)
