"""The one error tree. Every error says what happened, what to do next, and carries a stable code.

    WindlassError
    ├── InvalidRequest              the caller's words do not fit; nothing was written
    │   ├── InvalidModel
    │   ├── QuantizationNotFound
    │   └── IllegalMove             a job cannot do that from the state it is in
    ├── NotFound
    │   ├── ModelNotFound
    │   │   └── NoModelFiles
    │   └── JobNotFound
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
    │   └── DatabaseTooNew
    ├── ServerFailure               a Windlass server answered the CLI or the client with an error
    │   └── ServerUnreachable
    └── Stopped                     a job was asked to stop: not a failure, but it unwinds like one

What HTTP status or exit code an error becomes is the faces' business (`api/errors.py`, `cli/exits.py`).
"""

from typing import ClassVar


class WindlassError(Exception):
    """What happened (`message`), what to do next (`hint`), and which field of the request was at fault (`param`)."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, hint: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param

    def __str__(self) -> str:
        """One text for places that have room for one: what happened, then what to do."""
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidRequest(WindlassError):
    code = "invalid_request"


class InvalidModel(InvalidRequest):
    code = "invalid_model"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, param="model")


class QuantizationNotFound(InvalidRequest):
    code = "quantization_not_found"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, param="quantization")


class IllegalMove(InvalidRequest):
    code = "illegal_move"


class NotFound(WindlassError):
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class NoModelFiles(ModelNotFound):
    code = "no_model_files"


class JobNotFound(NotFound):
    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Download job with id '{job_id}' not found")


class ModelGated(WindlassError):
    code = "model_gated"


class HubFailure(WindlassError):
    code = "hub_error"


class HubError(HubFailure):
    code = "hub_error"


class HubUnreachable(HubFailure):
    code = "hub_unreachable"


class HubRateLimited(HubFailure):
    """`retry_after` is in seconds, counted from when the error was raised."""

    code = "hub_rate_limited"

    def __init__(self, message: str, *, retry_after: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class TransferFailure(WindlassError):
    code = "source_error"


class ChecksumMismatch(TransferFailure):
    code = "checksum_mismatch"


class TLSFailure(TransferFailure):
    code = "tls_error"


class UnsafeRedirect(TransferFailure):
    code = "unsafe_redirect"


class SourceFailure(TransferFailure):
    code = "source_error"


class StorageFailure(WindlassError):
    code = "storage_error"


class InsufficientStorage(StorageFailure):
    """`needed` and `free` are bytes; `free` is what may still be used, promises to other jobs taken off."""

    code = "insufficient_storage"

    def __init__(self, message: str, *, needed: int, free: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        self.free = free


class StorageUnavailable(StorageFailure):
    code = "storage_error"


class StateFailure(WindlassError):
    code = "state_error"


class StateInUse(StateFailure):
    code = "state_in_use"


class DatabaseTooNew(StateFailure):
    code = "database_too_new"


class ServerFailure(WindlassError):
    """A server's own error, passed on: `remote_code` and `status` are what it answered."""

    code = "server_error"

    def __init__(self, message: str, *, status: int, remote_code: str | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.remote_code = remote_code


class ServerUnreachable(ServerFailure):
    code = "server_unreachable"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, status=0, remote_code=None, hint=hint)


class Stopped(WindlassError):
    code = "stopped"
