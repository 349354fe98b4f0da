"""What a request must be like before anything looks at it: addressed to us, from no foreign page, with a good token.

A web page anywhere may make a browser send requests to 127.0.0.1. Its `Origin` gives it away; and where a foreign name
was made to point at us (DNS rebinding), `Host` does.
"""

import asyncio
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windlass import tokens
from windlass.api.errors import answer
from windlass.errors import (
    HostNotAllowed,
    InsufficientScope,
    InvalidApiKey,
    OriginNotAllowed,
    Refused,
    StateFailure,
    WindlassError,
)

LOOK_AGAIN = "windlass.look"  # in the scope: raises once the one who asked would not be let in any more

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
# What needs no token: that we are here and well, and the page's own files, which ask for one.
_FREE = re.compile(r"/(?:lmstudio-greeting|api/windlass/v1/health|page/.*|favicon\.ico)?")
# What changes nothing is `read`, and so is a plan, though it is asked for with a body.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DOWNLOADS = re.compile(
    r"POST /api/v1/models/download|(?:PATCH|DELETE) /api/windlass/v1/jobs/.+"
    r"|POST /api/windlass/v1/(?:jobs/[^/]+/(?:pause|resume|cancel)|models/.+/verify)"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # pages have one of their own
}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to let in.

    Attributes:
        tokens: those that are good; where there are none, nobody is asked for one.
        hosts: names that we are known by besides the loopback ones; an IP address is always let in, for no foreign
            page can make a browser send one as the name of its own site.
        origins: foreign pages that may use us.
        closed: whether nobody is let in without a token, also where there is none: others than this machine reach us.
    """

    tokens: tokens.Tokens
    hosts: Collection[str] = ()
    origins: Collection[str] = field(default=())
    closed: bool = False


class Guard:
    """Middleware that refuses foreign `Host`s and `Origin`s and those without a good token."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        self._app = app
        self._trust = trust
        self._hosts = _LOCAL | {host.lower() for host in trust.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _plain(scope)
        send, headers = _with_headers(send), Headers(scope=scope)
        look = partial(self._look, headers, scope["method"], scope["path"])
        scope[LOOK_AGAIN] = look
        try:
            look()
        except WindlassError as error:
            await answer(error)(scope, receive, send)
        else:
            await _answered(self._app, scope, receive, send)

    def _look(self, headers: Headers, method: str, path: str) -> None:
        """Raises Refused for who is not let in, StateFailure where nobody can tell."""
        free = is_free(path)
        host = headers.get("host", "")
        if not self._is_ours(host) and not (free and "host" not in headers):  # who balances loads may say none
            raise HostNotAllowed(
                f"This server is not {host!r}.",
                hint="Ask it by localhost or by its address, or let it answer to the name: serve --allow-host NAME",
            )
        for origin in headers.getlist("origin"):
            if origin not in self._trust.origins and _netloc(origin) != host.lower():
                raise OriginNotAllowed(f"Pages of {origin!r} may not use this server.")
        if not free and (self._trust.closed or self._trust.tokens.all()):
            self._check(headers.get("authorization", ""), scope_of(method, path))

    def _check(self, authorization: str, scope: tokens.Scope) -> None:
        kind, _, text = authorization.partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise _no_token("This server asks for a token.")
        token = self._trust.tokens.check(text.strip())
        if token is None:
            raise _no_token(f"The token {text.strip()[:10]!r}… is none of this server's.")
        if scope not in token.scopes:
            raise InsufficientScope(
                f"The token {token.name!r} is for {', '.join(token.scopes)}, and this needs {scope}.",
                hint=f"windlass token create --scope {scope}",
            )

    def _is_ours(self, host: str) -> bool:
        if re.search(r"[@/?#\\]", host):
            return False
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        return name in self._hosts or _is_address(name)


def _plain(scope: Scope) -> Scope:
    """The request as the rest of the app reads it.

    HEAD is GET without the body, which the server leaves out by itself (RFC 9110 §9.3.2); not of events, which never
    end. A target may have the whole address (RFC 9112 §3.2.2), and counts as its path. A slash at the end says nothing:
    a redirect to the path without it would turn a POST into a GET in many clients.
    """
    path, method = scope["path"], scope["method"]
    if path.startswith(("http://", "https://")):
        path = f"/{path.partition('//')[2].partition('/')[2]}"
    path = path.rstrip("/") or "/"
    if method == "HEAD" and not path.endswith("/events"):
        method = "GET"
    return {**scope, "path": path, "method": method}


async def _answered(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have the app answer. One that is cut short, because the server ends, is told so, if nothing was said yet."""
    begun = False

    async def sending(message: Message) -> None:
        nonlocal begun
        begun = True
        await send(message)

    try:
        await app(scope, receive, sending)
    except asyncio.CancelledError:
        if not begun:
            ending = StateFailure(
                "The server ends, and did not get to answer.", hint="Look what it did, then ask again."
            )
            await answer(ending)(scope, receive, send)


def is_free(path: str) -> bool:
    """Whether it needs no token."""
    return _FREE.fullmatch(path) is not None


def scope_of(method: str, path: str) -> tokens.Scope:
    """What a token must be for to make this call."""
    if method in _READING or (method, path) == ("POST", "/api/windlass/v1/plan"):
        return "read"
    return "download" if _DOWNLOADS.fullmatch(f"{method} {path}") else "admin"


def _no_token(what: str) -> Refused:
    return InvalidApiKey(what, hint="Send one as `Authorization: Bearer <token>` (LM_API_TOKEN).")


def _with_headers(send: Send) -> Send:
    """Have every answer say what browsers may not do with it, and JSON its letters.

    JSON is UTF-8 without saying so (RFC 8259 §8.1). Windows PowerShell 5 takes it for Latin-1 all the same, and LM
    Studio says it too.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if headers.get("content-type") == "application/json":
                headers["content-type"] = "application/json; charset=utf-8"
        await send(message)

    return sending


def _netloc(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in {"http", "https"} else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
