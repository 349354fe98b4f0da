"""Whether what brings bytes gets to a host: one request, of whose reply only the head is read."""

import asyncio
from collections.abc import Callable
from typing import Any

import pycurl

from windlass.transfer.network import Cause, Cut, Head, Request

_HINTS = {
    Cause.DNS: "Its name, or the proxy's, is not known to the name servers: look at the network and at HTTPS_PROXY.",
    Cause.CONNECT: "Look at the network, at a firewall on the way, and at HTTPS_PROXY if there is a proxy.",
    Cause.TLS: "If a proxy of your company replaces certificates, point SSL_CERT_FILE at the company's.",
}


_SECONDS = 20.0


class _Enough(Exception):
    """The head is here; no more is wanted."""


class _HeadOnly:
    def __init__(self) -> None:
        self.status = 0

    def head(self, head: Head) -> None:
        self.status = head.status
        raise _Enough

    def body(self, _: bytes) -> None:
        raise _Enough


def probe(network: Callable[[], Any], url: str) -> tuple[str, str]:
    """What is wrong with the way to `url`, and what to do about it; two empty texts where an answer came.

    Args:
        network: makes a `Network` on the running loop, as pulls use it.
        url: any address there; its status does not matter.
    """
    return asyncio.run(_ask(network, url))


async def _ask(network: Callable[[], Any], url: str) -> tuple[str, str]:
    wire = network()
    try:
        async with asyncio.timeout(_SECONDS):
            await wire(Request(url), _HeadOnly())
    except _Enough:
        pass
    except TimeoutError:
        return f"no answer in {_SECONDS:.0f} s", _HINTS[Cause.CONNECT]
    except Cut as cut:
        return cut.detail or cut.cause.value, _HINTS.get(cut.cause, "Try again later.")
    finally:
        wire.close()
    return "", ""


def library() -> str:
    """What brings the bytes, and what encrypts them on their way: names and versions."""
    about = pycurl.version_info()
    return f"libcurl {about[1]}, {about[5].replace('/', ' ')}"
