"""The one error tree. Every error says what happened, what to do next, and carries a stable code.

    WindlassError
    ├── InvalidRequest              the caller's words do not fit; nothing was written
    │   ├── InvalidModel
    │   ├── QuantizationNotFound
    │   ├── IllegalMove             a job cannot do that from the state it is in
    │   ├── ModelInUse              a job is at work on it
    │   └── NotRepairable           nobody has written down what it should be
    ├── Refused                     a request that did not get as far as a verb
    │   ├── UnsupportedMediaType
    │   ├── BodyTooLarge
    │   ├── RequestTimeout
    │   ├── TooManyConnections
    │   ├── HostNotAllowed
    │   ├── OriginNotAllowed
    │   ├── InvalidApiKey           no token, or one that is none
    │   ├── InsufficientScope       a token that is not for this
    │   ├── UnknownEndpoint
    │   └── NotOffered              LM Studio has this call, Windlass does not
    ├── NotFound
    │   ├── ModelNotFound
    │   │   └── NoModelFiles
    │   ├── JobNotFound
    │   └── TokenNotFound
    ├── ModelGated                  access is denied, and who grants it is named
    ├── HubFailure                  the hub or the catalog did not answer as it should
    │   ├── HubError
    │   ├── HubUnreachable
    │   └── HubRateLimited
    ├── TransferFailure             bytes could not be brought in, or were wrong
    │   ├── ChecksumMismatch
    │   ├── TLSFailure
    │   ├── UnsafeRedirect
    │   └── SourceFailure
    ├── StorageFailure              this machine's disk is in the way
    │   ├── InsufficientStorage
    │   └── StorageUnavailable
    ├── StateFailure                Windlass's own records cannot be used
    │   ├── StateInUse
    │   ├── DatabaseTooNew
    │   └── DatabaseUnreadable
    ├── ServerFailure               a Windlass server answered the CLI or the client with an error
    │   └── ServerUnreachable
    ├── Cancelled                   the end of a job that somebody has cancelled; nobody raises it
    └── Stopped                     a job was asked to stop: not a failure, but it unwinds like one

A class with a `code` of its own is one that people and programs may meet; no two share a code. The others only group
them, or stay inside, as `Stopped` does: should one get out all the same, that is a bug, and its code says so.

What a code means and what to do about it stands in `codes.py`. What HTTP status or exit code an error becomes is the
faces' business (`api/errors.py`, `cli/exits.py`).
"""

from typing import ClassVar

from windlass.masking import mask


def _plain(text: str) -> str:
    """Without secrets and what a terminal would obey or JSON cannot carry: messages quote what others send."""
    return "".join(char if char.isprintable() else "�" for char in mask(text))


class WindlassError(Exception):
    """What happened (`message`), what to do next (`hint`), and which field of the request was at fault (`param`)."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, hint: str | None = None, param: str | None = None) -> None:
        self.message = _plain(message)
        super().__init__(self.message)
        self.hint = _plain(hint) if hint else None
        self.param = param

    def __str__(self) -> str:
        """One text for places that have room for one: what happened, then what to do."""
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidRequest(WindlassError):
    """The caller's words do not fit; nothing was written."""

    code = "invalid_request"


class InvalidModel(InvalidRequest):
    """No model can be meant by this text."""

    code = "invalid_model"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, param="model")


class QuantizationNotFound(InvalidRequest):
    """The model does not come in the quantization asked for; the message lists those there are."""

    code = "quantization_not_found"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, param="quantization")


class IllegalMove(InvalidRequest):
    """The job cannot do that from the state it is in; nothing was changed."""

    code = "illegal_move"


class ModelInUse(InvalidRequest):
    """A job is at work on files of the model, or another one needs them as they are; nothing was changed."""

    code = "model_in_use"


class NotRepairable(InvalidRequest):
    """Nobody has written down what the model should be, so nobody knows what to fetch."""

    code = "not_repairable"


class Refused(WindlassError):
    """The request did not get as far as a verb; nothing was written."""


class UnsupportedMediaType(Refused):
    """The body is not announced as JSON."""

    code = "unsupported_media_type"


class BodyTooLarge(Refused):
    """The body is larger than any request needs."""

    code = "body_too_large"


class RequestTimeout(Refused):
    """The request took too long to come."""

    code = "request_timeout"


class TooManyConnections(Refused):
    """As many connections are open as there may be."""

    code = "too_many_connections"


class HostNotAllowed(Refused):
    """The request is addressed to somebody else."""

    code = "host_not_allowed"


class OriginNotAllowed(Refused):
    """The request comes from a web page that is not ours."""

    code = "origin_not_allowed"


class InvalidApiKey(Refused):
    """The server asks for a token, and there is none or a wrong one."""

    code = "invalid_api_key"


class InsufficientScope(Refused):
    """The token is a good one, but not for this."""

    code = "insufficient_scope"


class UnknownEndpoint(Refused):
    """No call has this path and method."""

    code = "unknown_endpoint"


class NotOffered(Refused):
    """A call of LM Studio's that is about running models."""

    code = "not_implemented"


class NotFound(WindlassError):
    """What was asked for does not exist."""


class ModelNotFound(NotFound):
    """Neither catalog nor hub has this model, repository, revision or file."""

    code = "model_not_found"


class NoModelFiles(ModelNotFound):
    """The repository is there, but holds no model files that Windlass can place."""

    code = "no_model_files"


class JobNotFound(NotFound):
    """No job has this id."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Download job with id '{job_id}' not found")


class TokenNotFound(NotFound):
    """No token has this name."""

    code = "token_not_found"


class ModelGated(WindlassError):
    """The model is there, but this account (or nobody) may not have it yet."""

    code = "model_gated"


class HubFailure(WindlassError):
    """The hub or the catalog did not answer as it should."""


class HubError(HubFailure):
    """It answered nonsense, or errors after retries."""

    code = "hub_error"


class HubUnreachable(HubFailure):
    """It cannot be reached at all."""

    code = "hub_unreachable"


class HubRateLimited(HubFailure):
    """`retry_after` is in seconds, counted from when the error was raised; None where a server has not passed it on."""

    code = "hub_rate_limited"
    retry_after: float | None = None

    def __init__(self, message: str, *, retry_after: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class TransferFailure(WindlassError):
    """Bytes could not be brought in, or were wrong."""


class ChecksumMismatch(TransferFailure):
    """The source sends bytes that do not hash to what the listing promises."""

    code = "checksum_mismatch"


class TLSFailure(TransferFailure):
    """The source's certificate is not to be trusted; it is never asked in the clear instead."""

    code = "tls_error"


class UnsafeRedirect(TransferFailure):
    """The source redirects to where Windlass must not go."""

    code = "unsafe_redirect"


class SourceFailure(TransferFailure):
    """The source kept failing."""

    code = "source_error"


class StorageFailure(WindlassError):
    """This machine's disk is in the way."""


class InsufficientStorage(StorageFailure):
    """`needed` and `free` are bytes; `free` is what may still be used, promises to other jobs taken off.

    None where a server has not passed them on, as with a job that has failed.
    """

    code = "insufficient_storage"
    needed: int | None = None
    free: int | None = None

    def __init__(self, message: str, *, needed: int | None, free: int | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        self.free = free


class StorageUnavailable(StorageFailure):
    """The folder is gone, read-only, or does not give back what was written."""

    code = "storage_error"


class StateFailure(WindlassError):
    """Windlass's own records cannot be used."""

    code = "state_error"


class StateInUse(StateFailure):
    """Another process has the state; the message names it."""

    code = "state_in_use"


class DatabaseTooNew(StateFailure):
    """A newer Windlass has written the database."""

    code = "database_too_new"


class DatabaseUnreadable(StateFailure):
    """The database is damaged, or is none."""

    code = "database_unreadable"


class ServerFailure(WindlassError):
    """A server's own error, passed on: `remote_code` and `status` are what it answered."""

    code = "server_error"

    def __init__(self, message: str, *, status: int, remote_code: str | None, hint: str | None = None) -> None:
        WindlassError.__init__(self, message, hint=hint)  # `client.failures` makes classes of this and another one
        self.status = status
        self.remote_code = remote_code


class ServerUnreachable(ServerFailure):
    """No Windlass server answers where one was expected."""

    code = "server_unreachable"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, status=0, remote_code=None, hint=hint)


class Cancelled(WindlassError):
    """Somebody has cancelled the job: what it says of its end, never raised."""

    code = "cancelled"


class Stopped(WindlassError):
    """The job was asked to stop."""
