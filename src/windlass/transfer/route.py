"""Where the bytes of one file are asked for: the hub's address, and the one it redirects to.

A redirect is followed by us and not by libcurl, because each hop needs judging: only http and https, never down from
https, never into a private network unless the endpoint itself is there, and the token to the endpoint's origin alone.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

from windlass.errors import UnsafeRedirect
from windlass.transfer.network import is_link_local_name, is_private_name

MAX_HOPS = 5


@dataclass(frozen=True, slots=True)
class Address:
    """An address to ask at. `redirected` ones may expire; those not `trusted` must turn out to be public."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    redirected: bool = False
    trusted: bool = True
    hops: int = 0

    @property
    def host(self) -> str:
        """The host's name."""
        return urlsplit(self.url).hostname or ""


def next_address(origin: Address, current: Address, location: str, *, private: bool) -> Address:
    """Where a redirect leads, if it may be followed.

    Args:
        origin: the endpoint's own address of the file, with its secret headers.
        current: the address that answered with the redirect.
        location: the `Location` header; relative ones are resolved (RFC 9110 §10.2.2).
        private: whether the peer that answered is in a private network, so that others there are no surprise.

    Raises:
        UnsafeRedirect: it may not be followed; the message says why.
    """
    url = _resolved(current.url, location)
    refusal = _refusal(urlsplit(current.url).scheme, url, current.hops)
    if refusal:
        raise UnsafeRedirect(
            f"The source redirects {refusal}.", hint="Nothing was fetched from there. Report it to the hub."
        )
    same_origin = _origin(url) == _origin(origin.url)
    host = urlsplit(url).hostname or ""
    # A link-local address is never followed to by a hint: 169.254.169.254 tells a cloud's secrets.
    trusted = same_origin or (private and current.trusted and not is_link_local_name(host))
    if not trusted and is_private_name(host):
        raise UnsafeRedirect(f"The source redirects into a private network ({host}).")
    return Address(
        url=url,
        headers=origin.headers if same_origin else {},
        redirected=not same_origin or current.redirected,
        trusted=trusted,
        hops=current.hops + 1,
    )


def _resolved(base: str, location: str) -> str:
    """The whole address, in ASCII as libcurl wants it; empty where it cannot be read."""
    # What stands beyond ASCII came as bytes of Latin-1 (RFC 9110 §5.5) and is escaped as those very bytes.
    escaped = quote(location.strip(), safe=string.punctuation, encoding="latin-1", errors="replace")
    try:
        url = urljoin(base, escaped)
        _ = urlsplit(url).port
    except ValueError:
        return ""
    return url


def _refusal(scheme: str, url: str, hops: int) -> str | None:
    parts = urlsplit(url)
    if not url:
        return "to an address that cannot be read"
    if parts.scheme not in ("http", "https"):
        return f"to a {parts.scheme}: address"
    if scheme == "https" and parts.scheme == "http":
        return "from https down to http"
    # A host with an escape in it is one name to us and another to libcurl; credentials in an address are a disguise.
    if not parts.hostname or any(c in parts.netloc for c in "@%\\"):
        return "to an address that cannot be read"
    return f"more than {MAX_HOPS} times in a row" if hops >= MAX_HOPS else None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """RFC 6454: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
