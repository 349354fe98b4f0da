"""What a request must be like before anything looks at it: addressed to us, from one of our own pages or none.

A web page anywhere may make a browser send requests to 127.0.0.1. Its `Origin` gives it away; and where a foreign name
was made to point at us (DNS rebinding), `Host` does.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from windlass.api.errors import answer
from windlass.errors import HostNotAllowed, OriginNotAllowed, Refused

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Middleware that refuses foreign `Host`s and `Origin`s.

    Args:
        app: what stands behind it.
        hosts: names that we are known by besides the loopback ones; an IP address is always let in, for no foreign page
            can make a browser send one as the name of its own site.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = _LOCAL | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 403."""
        if scope["type"] == "http":
            refusal = self._refusal(Headers(scope=scope))
            if refusal:
                await answer(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: Headers) -> Refused | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return HostNotAllowed(f"This server is not {host!r}.", hint="Ask it by localhost or by its address.")
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host.lower():
            return OriginNotAllowed(f"Pages of {origin!r} may not use this server.")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        return name in self._hosts or _is_address(name)


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
