"""The network as one callable, so that a test's network is a function.

`transfer` asks for one thing only: `await network(request, receiver)`. What answers is libcurl (`wire.py`) or, in the
property tests, a few lines that invent a server.
"""

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. `first` and `last` are byte positions, both inclusive (RFC 9110 §14.1.2); `last` None means to the end.

    `shared` lets it go over one connection with others at the same time, where the source can do that (HTTP/2): right
    for what is small and many, wrong for what should fill the line.

    `fresh` wants a new connection: one that was kept may have died in the machine's sleep, and nobody knows until it is
    asked and stays silent.

    `trusted` says that the address is the configured endpoint's own: any connected address will do. An address
    that came by a redirect is not trusted: the connection is refused when it leads to a private network.
    """

    url: str
    first: int = 0
    last: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    trusted: bool = True
    shared: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers (names in lower case) of a reply; `private` where the peer's address is not a public one."""

    status: int
    headers: Mapping[str, str]
    private: bool = False


class Receiver(Protocol):
    """Takes a reply as it comes. What either method raises ends the exchange and comes out of it."""

    def head(self, head: Head) -> None:
        """Look at the head, once, before any body; interim (1xx) replies are not shown."""

    def body(self, data: bytes) -> "asyncio.Future[Any] | None":
        """Take the bytes and answer None, or take none and answer what to wait for before they are offered again."""


class Network(Protocol):
    """Performs a request; returns when the reply has ended well.

    Raises:
        Cut: the exchange did not end well; what was received up to there has been handed over.
        Exception: whatever the receiver raised.
    """

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        """See the class."""


class Cause(StrEnum):
    """Why an exchange was cut."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    BROKEN = "broken"  # the connection ended early, or the reply was no HTTP
    SILENT = "silent"  # no head in time
    STALLED = "stalled"  # too few bytes for too long
    UNSAFE = "unsafe"  # a redirect led to an address that is not public


class Cut(Exception):
    """An exchange that did not end well."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: to connect, for the head of a reply, and for the next `floor` bytes of its body."""

    connect: float = 15.0
    head: float = 30.0
    stall: float = 20.0
    floor: int = 10_000


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; an empty or foreign text is not."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_global and not ip.is_multicast


def is_private_name(host: str) -> bool:
    """Whether a host's name alone says that it is in a private network: an address that is not public, or localhost."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not is_public(host)


def is_link_local_name(host: str) -> bool:
    """Whether a host's name is an address that only the machine's own link knows (RFC 3927, RFC 4291)."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_link_local
