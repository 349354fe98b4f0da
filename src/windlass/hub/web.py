"""Control calls: small answers over HTTP, bounded in size, time, redirects and tries. Bytes of models go another way.

`httpx2` costs 0.05 s to import, so it is imported with the first request. Proxies, `SSL_CERT_FILE` and the system's
certificates are its defaults (`trust_env`); reading the certificates takes as long again, so only https does.
"""

import ipaddress
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from windlass import __version__
from windlass.errors import HubError, HubRateLimited, HubUnreachable, TLSFailure, WindlassError
from windlass.hub.limits import LONGEST_WAIT, TRIES, backoff, pace, wait_when_limited
from windlass.masking import without_password
from windlass.ratelimit import retry_after

if TYPE_CHECKING:
    import httpx2

MIB = 1024 * 1024

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN = frozenset({408, 500, 502, 503, 504})
_ERROR_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole. `headers` have lower-case names; `url` is where it came from after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def ok(self) -> bool:
        """Whether it is a success with a body."""
        return self.status in {200, 206}

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            HubError: it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            host = urlsplit(self.url).netloc
            raise HubError(f"{host} did not answer with JSON.", hint="Is it really a model hub?") from None


@dataclass(frozen=True, slots=True)
class Ask:
    """How to ask: `token` goes to the first address's origin only; `limit` is in bytes, unpacked, 0 to read no body."""

    token: str | None = None
    limit: int = 4 * MIB
    headers: Mapping[str, str] = field(default_factory=dict)
    follow: bool = True
    tries: int = TRIES


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock, the randomness and the sleep that waiting is made of."""

    sleep: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a connection, for the next bytes, for one whole answer; and the most tries."""

    connect: float = 10.0
    read: float = 15.0
    whole: float = 60.0
    tries: int = TRIES


HASTE = Patience(connect=2.0, read=3.0, whole=5.0, tries=1)
"""For what would be good to know, and is not needed."""


class _Interrupted(Exception):
    """A try that failed in a way that the next may not; `final` is what it means when there is no next."""

    def __init__(self, final: WindlassError) -> None:
        super().__init__(final.message)
        self.final = final


class Web:
    """One client for all control calls of a scheme. Threads may share it."""

    def __init__(
        self,
        timing: Timing | None = None,
        connect: "Callable[[str], httpx2.Client] | None" = None,
        patience: Patience | None = None,
    ) -> None:
        """`connect` makes the client for a scheme, `http` or `https`; by default one that heeds the environment."""
        self._timing = timing or Timing()
        self._patience = patience or Patience()
        self._connect = connect or partial(_new_client, self._patience)
        self._clients: dict[str, httpx2.Client] = {}
        self._lock = threading.Lock()
        self._pace: dict[tuple[str, str, int | None], float] = {}

    def close(self) -> None:
        """Let the connections go; the next request opens new ones."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def get_json(self, url: str, *, token: str | None = None, limit: int = 4 * MIB) -> Any:
        """The JSON that `url` answers with.

        Raises:
            HubFailure: anything but a success with JSON.
        """
        reply = self.get(url, Ask(token=token, limit=limit))
        if not reply.ok:
            raise HubError(f"{urlsplit(url).netloc} answered {reply.status} to {urlsplit(url).path}.")
        return reply.json()

    def get(self, url: str, ask: Ask | None = None) -> Reply:
        """What `url` answers, whatever its status, once redirects are followed and passing trouble is over.

        Raises:
            HubUnreachable: no connection, or none that lasts.
            HubRateLimited: it limits us for longer than we wait.
            HubError: 5xx after all tries, no HTTP, too much, or a redirect that we do not follow.
            TLSFailure: the certificate is not trusted.
        """
        ask = ask or Ask()
        tries = min(ask.tries, self._patience.tries)
        for attempt in range(1, tries + 1):
            try:
                reply = self._follow(url, ask)
                pause = _pause_before_retry(reply, self._timing.now())
                if pause is None:
                    return reply
                refusal = _refusal(reply, pause)
            except _Interrupted as interruption:
                pause, refusal = None, interruption.final
            if attempt == tries or (pause or 0) > LONGEST_WAIT:
                raise refusal
            self._timing.sleep(pause or backoff(attempt, self._timing.chance()))
        raise AssertionError("unreachable: the last try returns or raises")

    def _follow(self, url: str, ask: Ask) -> Reply:
        token, home_is_public = ask.token, None
        for _ in range(_MOST_REDIRECTS + 1):
            reply, public = self._once(url, ask, token)
            if home_is_public and public is False:
                raise HubError(f"{urlsplit(url).netloc} is a private address; a public hub may not send us there.")
            home_is_public = public if home_is_public is None else home_is_public
            target = reply.headers.get("location")
            if not ask.follow or reply.status not in _REDIRECTS or target is None:
                return reply
            target = _redirect_target(reply.url, target)
            token = token if origin(target) == origin(url) else None
            url = target
        raise HubError(f"{urlsplit(url).netloc} redirects in circles.")

    def _once(self, url: str, ask: Ask, token: str | None) -> tuple[Reply, bool | None]:
        """One request and its answer, and whether it came from a public address (None where that is not known)."""
        import httpx2

        if held_back := self._pace.pop(origin(url), 0.0):
            self._timing.sleep(held_back)
        headers = {**ask.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        deadline = self._timing.monotonic() + self._patience.whole
        try:
            with self._connected(urlsplit(url).scheme).stream("GET", url, headers=headers) as response:
                public = _is_public(response)
                body = b"".join(self._bounded(response, ask.limit, deadline)) if ask.limit else b""
                reply = Reply(response.status_code, dict(response.headers), body, url)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError) as error:
            raise _translated(error, url) from error
        if reply.ok:  # after a refusal, how long to wait is decided elsewhere
            self._pace[origin(url)] = pace(reply.headers)
        return reply, public

    def _bounded(self, response: "httpx2.Response", limit: int, deadline: float) -> Iterator[bytes]:
        """The body, unpacked 1 MiB at a time (`httpx2`), so a bomb ends at the limit. An error's body is cut short."""
        size, good = 0, response.status_code in {200, 206}
        for block in response.iter_bytes():
            size += len(block)
            if not good and size > _ERROR_BODY:
                return
            if good and size > limit:
                raise HubError(f"{response.url.host} answered with more than {limit} bytes where a small text was due.")
            if self._timing.monotonic() > deadline:
                late = f"took more than {self._patience.whole:.0f} s to answer"
                raise _Interrupted(_unreachable(str(response.url), late))
            yield block

    def _connected(self, scheme: str) -> "httpx2.Client":
        with self._lock:
            if scheme not in self._clients:
                self._clients[scheme] = self._connect(scheme)
            return self._clients[scheme]


def _new_client(patience: Patience, scheme: str) -> "httpx2.Client":
    import httpx2

    timeout = httpx2.Timeout(patience.read, connect=patience.connect)
    headers = {"User-Agent": f"windlass/{__version__}"}
    # Plain http needs nobody's certificate: a context that trusts none is made at once, and opens nothing to anyone.
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if scheme == "http" else True
    try:
        return httpx2.Client(timeout=timeout, headers=headers, verify=verify, follow_redirects=False)
    except (OSError, ssl.SSLError) as error:
        raise TLSFailure(
            f"The certificates cannot be read: {error}.", hint="SSL_CERT_FILE must name a file in PEM form."
        ) from error
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise HubUnreachable(
            "The address of the proxy cannot be read.",  # nor quoted: a part of its password may be what is wrong
            hint="Look at HTTPS_PROXY, HTTP_PROXY and ALL_PROXY. In a password / and @ are written with %: %2F, %40.",
        ) from error


def _pause_before_retry(reply: Reply, now: datetime) -> float | None:
    """Seconds to wait before asking again (0: as the backoff says), None for an answer that stands."""
    if reply.status == 429:
        return wait_when_limited(reply.headers, now)
    if reply.status in _TRY_AGAIN:
        return retry_after(reply.headers, now) or 0.0
    return None


def _refusal(reply: Reply, pause: float) -> WindlassError:
    host = urlsplit(reply.url).netloc
    if reply.status == 429:
        wait = f"It asks to wait {pause:.0f} s."
        return HubRateLimited(f"{host} limits how often we may ask.", retry_after=pause, hint=wait)
    hint = f"It asks to come back in {pause:.0f} s." if pause else "Try again later."
    return HubError(f"{host} answered {reply.status}.", hint=hint)


def _redirect_target(url: str, location: str) -> str:
    """Where a redirect leads (RFC 9110 §10.2.2), if we go there: to http or https, never down from https."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        fits = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
    except ValueError:
        fits = None
    if not fits or (urlsplit(url).scheme == "https" and parts.scheme == "http"):
        raise HubError(f"{urlsplit(url).netloc} redirects to {location[:200]!r}, where we do not go.")
    return target


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454 §4)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_public(response: "httpx2.Response") -> bool | None:
    """Whether the connected address (behind a proxy: the proxy's) is one that the whole world reaches."""
    stream = response.extensions.get("network_stream")
    address = stream.get_extra_info("server_addr") if stream else None
    try:
        return ipaddress.ip_address(address[0]).is_global if address else None
    except ValueError:
        return None


def _translated(error: Exception, url: str) -> Exception:
    """A foreign error as ours; an `_Interrupted` where another try may help."""
    import httpx2

    host = urlsplit(url).netloc
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return TLSFailure(
            f"The certificate of {host} is not trusted.",
            hint="If a proxy of your company replaces it, point SSL_CERT_FILE at the company's certificates.",
        )
    if isinstance(error, httpx2.TimeoutException):
        return _Interrupted(_unreachable(url, "did not answer in time"))
    if isinstance(error, (httpx2.NetworkError, httpx2.ProxyError, ssl.SSLError)):
        return _Interrupted(_unreachable(url, f"cannot be reached: {error or type(error).__name__}"))
    if isinstance(error, httpx2.RemoteProtocolError):
        return _Interrupted(HubError(f"{host} did not answer in HTTP, or not to the end.", hint="Try again later."))
    return HubError(f"{host} answered with what cannot be read: {error}.")


def _unreachable(url: str, what: str) -> HubUnreachable:
    proxy = _proxy_for(url)
    if proxy:
        hint = "Look at the proxy, and at HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, which name it."
        return HubUnreachable(f"{urlsplit(url).netloc} {what}; asked through the proxy {proxy}.", hint=hint)
    return HubUnreachable(
        f"{urlsplit(url).netloc} {what}.", hint="Look at the network, and at HTTPS_PROXY if there is a proxy."
    )


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names, as `httpx2` takes it; for the words of an error."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = {} if proxy_bypass(parts.hostname or "") else getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return without_password(proxy) if proxy else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
