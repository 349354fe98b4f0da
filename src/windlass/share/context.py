"""What every route needs: the folder behind the application, and what a request's query says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from windlass.share.folder import Folder
from windlass.share.refusals import Refusal
from windlass.share.repositories import Repositories

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """What the routes share. Look-ups and reads have threads of their own, apart from the event loop."""

    folder: Folder
    repositories: Repositories
    lookups: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(8))
    reads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(32))

    async def ask(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of blocking work, done on a thread."""
        return await to_thread.run_sync(work, *arguments, limiter=self.lookups)


def context_of(request: Request) -> Context:
    """The context that `create_app` made."""
    context: Context = request.app.state.context
    return context


def flag(request: Request, name: str) -> bool:
    """Whether the query says `name=true`, in the ways clients write it."""
    return request.query_params.get(name, "").lower() in {"true", "1"}


def number(request: Request, name: str, default: int) -> int:
    """A whole number from 1 up in the query.

    Raises:
        Refusal: 400, it is something else.
    """
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise Refusal(400, f"{name} is a whole number from 1 up")
    return int(text)


def address(request: Request) -> str:
    """This server as the client calls it, with no slash at its end."""
    return str(request.base_url).rstrip("/")


def raw_path(request: Request) -> str:
    """The path as it came, percent-encoded."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("ascii")
