"""Every error of Windlass as an answer: one table, looked up by class, and one shape of body."""

from typing import Any

from starlette.responses import JSONResponse

from windlass import errors as e

# class → HTTP status and `type`. A class that is not here is answered as the nearest one above it.
ANSWERS: dict[type[e.WindlassError], tuple[int, str]] = {
    e.InvalidRequest: (400, "invalid_request"),
    e.IllegalMove: (409, "invalid_request"),
    e.NotFound: (404, "not_found"),
    e.ModelNotFound: (404, "model_not_found"),
    e.JobNotFound: (404, "job_not_found"),
    e.ModelGated: (403, "model_gated"),
    e.HubError: (502, "hub_error"),
    e.HubUnreachable: (503, "hub_unreachable"),
    e.HubRateLimited: (503, "hub_rate_limited"),
    e.TransferFailure: (502, "hub_error"),
    e.InsufficientStorage: (507, "insufficient_storage"),
    e.StorageFailure: (503, "storage_error"),
    e.WindlassError: (500, "internal_error"),
}


def answer(error: e.WindlassError) -> JSONResponse:
    """The answer for one of our errors."""
    status, kind = next(ANSWERS[cls] for cls in type(error).__mro__ if cls in ANSWERS)
    headers = {"Retry-After": str(round(error.retry_after + 0.5))} if isinstance(error, e.HubRateLimited) else {}
    sizes = {"needed_bytes": error.needed, "free_bytes": error.free} if isinstance(error, e.InsufficientStorage) else {}
    return JSONResponse(body(kind, str(error), error.code, error.param, **sizes), status, headers)


def refuse(
    status: int, message: str, code: str, *, kind: str = "invalid_request", param: str | None = None
) -> JSONResponse:
    """An answer to a request that did not get as far as a verb."""
    return JSONResponse(body(kind, message, code, param), status)


def body(kind: str, message: str, code: str | None, param: str | None = None, **more: Any) -> dict[str, Any]:
    """The contract's shape of an error."""
    error = {"type": kind, "message": message, "code": code, "param": param, **more}
    return {"error": {name: value for name, value in error.items() if value is not None}}
