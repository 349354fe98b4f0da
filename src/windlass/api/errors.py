"""Every error of Windlass as an answer: one table, looked up by class, and one shape of body."""

from starlette.responses import JSONResponse

from windlass import errors as e

# class → HTTP status and `type`. A class that is not here is answered as the nearest one above it.
ANSWERS: dict[type[e.WindlassError], tuple[int, str]] = {
    e.InvalidRequest: (400, "invalid_request"),
    e.IllegalMove: (409, "invalid_request"),
    e.ModelInUse: (409, "invalid_request"),
    e.NotRepairable: (409, "invalid_request"),
    e.UnsupportedMediaType: (415, "invalid_request"),
    e.BodyTooLarge: (413, "invalid_request"),
    e.RequestTimeout: (408, "invalid_request"),
    e.TooManyConnections: (503, "too_many_connections"),
    e.HostNotAllowed: (403, "forbidden"),
    e.OriginNotAllowed: (403, "forbidden"),
    e.InvalidApiKey: (401, "invalid_request"),
    e.InsufficientScope: (403, "forbidden"),
    e.UnknownEndpoint: (404, "invalid_request"),
    e.NotOffered: (501, "not_implemented"),
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
    e.StateFailure: (503, "state_error"),  # a database server that is away comes back
    e.WindlassError: (500, "internal_error"),
}


def place_of(error: type[e.WindlassError]) -> tuple[int, str]:
    """The HTTP status and `type` that a class of errors is answered with."""
    return next(ANSWERS[cls] for cls in error.__mro__ if cls in ANSWERS)


def answer(error: e.WindlassError) -> JSONResponse:
    """The answer for one of our errors."""
    status, kind = place_of(type(error))
    wait = error.retry_after if isinstance(error, e.HubRateLimited) else None
    headers = {} if wait is None else {"Retry-After": str(round(wait + 0.5))}
    headers |= {"WWW-Authenticate": "Bearer"} if isinstance(error, e.InvalidApiKey) else {}
    # OpenAI's libraries try a 5xx again, three times with pauses, unless they are told that it is of no use.
    headers |= {"x-should-retry": "false"} if isinstance(error, e.NotOffered) else {}
    sizes = {"needed_bytes": error.needed, "free_bytes": error.free} if isinstance(error, e.InsufficientStorage) else {}
    detail = {
        "type": kind,
        "message": str(error),
        "hint": error.hint,
        "code": error.code,
        "param": error.param,
        **sizes,
    }
    body = {"error": {name: value for name, value in detail.items() if value is not None}}
    return JSONResponse(body, status, headers)
