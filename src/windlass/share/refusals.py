"""Answers that are not success, as Hugging Face words them."""

import logging
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from windlass.share.catalog import UnreadableEntry
from windlass.share.digests import StillHashing

_RETRY_AFTER = 5  # seconds until a client should ask again for what is being hashed

log = logging.getLogger(__name__)


class Refusal(Exception):
    """A status, maybe an X-Error-Code, and a sentence."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}

    def response(self) -> Response:
        """The sentence in the body, and in a header, where clients look first; percent-encoded where it must be."""
        headers = {"X-Error-Message": quote(self.message, safe=" ,.:;'()/-_"), **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return JSONResponse({"error": self.message}, self.status, headers)


def later(message: str) -> Refusal:
    """503 with the time to ask again."""
    return Refusal(503, f"{message}; ask again in {_RETRY_AFTER} seconds", headers={"Retry-After": str(_RETRY_AFTER)})


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _hashing(_: Request, error: Exception) -> Response:
    return later(str(error)).response()


async def _unreadable(_: Request, error: Exception) -> Response:
    log.warning("%s", error)
    return Refusal(500, str(error)).response()


async def _unrouted(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "RepoNotFound" if error.status_code == 404 else None
    return Refusal(error.status_code, error.detail, code, dict(error.headers or {})).response()


HANDLERS = {Refusal: _refused, StillHashing: _hashing, UnreadableEntry: _unreadable, HTTPException: _unrouted}
