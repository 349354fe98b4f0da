"""Where a redirect may lead, and who sees the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import UnsafeRedirect
from windlass.transfer.network import is_private_name, is_public
from windlass.transfer.route import MAX_HOPS, Address, next_address

SECRET = {"Authorization": "Bearer hf_secret"}
PUBLIC = Address("https://hub.test/o/r/resolve/c0/f.gguf", SECRET)
LOCAL = Address("http://127.0.0.1:8080/o/r/resolve/c0/f.gguf", SECRET)


def follow(location: str, origin: Address = PUBLIC, *, private: bool = False) -> Address:
    return next_address(origin, origin, location, private=private)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://cdn.test/x?Signature=a%2Fb", "https://cdn.test/x?Signature=a%2Fb"),
        ("/api/resolve-cache/f", "https://hub.test/api/resolve-cache/f"),
        ("g.gguf", "https://hub.test/o/r/resolve/c0/g.gguf"),
        ("//cdn.test/x", "https://cdn.test/x"),
        (" https://cdn.test/x ", "https://cdn.test/x"),
        ("https://cdn.test/sch\u00f6n", "https://cdn.test/sch%F6n"),
        ("https://cdn.test/a b", "https://cdn.test/a%20b"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
    ],
)
def test_good_redirects_are_resolved(location: str, url: str) -> None:
    """Absolute and relative addresses (RFC 9110 §10.2.2); bytes beyond ASCII are escaped, as browsers do."""
    assert follow(location).url == url


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://cdn.test/x",
        "gopher://cdn.test/x",
        "data:,x",
        "javascript:alert(1)",
        "http://cdn.test/x",
        "https://user@cdn.test/x",
        "https://user:word@cdn.test/x",
        "https://:word@cdn.test/x",
        "https://cdn.test:99999/x",
        "https://cdn.test:port/x",
        "https://[::1/x",
        "//[",
        "https://ex\u00e4mple.test/x",
        "https://%31%32%37.0.0.1/x",
        "https://cdn.test\\@127.0.0.1/x",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://a.localhost/x",
        "https://10.0.0.1/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[fe80::1]/x",
        "https://[fc00::1]/x",
        "https://224.0.0.1/x",
    ],
)
def test_bad_redirects_are_refused(location: str) -> None:
    """Other schemes, down from https, credentials, nonsense, and private networks from a public endpoint."""
    with pytest.raises(UnsafeRedirect) as caught:
        follow(location)
    assert caught.value.code == "unsafe_redirect"


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_link_local_addresses_are_never_followed(host: str) -> None:
    """Not from an endpoint that is in a private network itself either; a neighbour there is fine."""
    here = Address("http://10.0.0.5/f", SECRET)
    with pytest.raises(UnsafeRedirect):
        next_address(here, here, f"http://{host}/latest/meta-data/", private=True)
    assert next_address(here, here, "http://10.0.0.6/f", private=True).trusted


def test_from_http_up_to_https_is_fine() -> None:
    """Only the way down is refused."""
    assert follow("https://cdn.test/x", Address("http://hub.test/f", SECRET)).url == "https://cdn.test/x"


def test_the_token_stays_at_its_origin() -> None:
    """A redirect within the origin keeps the secret headers; any other scheme, host or port loses them."""
    assert follow("/elsewhere").headers == SECRET
    assert follow("https://HUB.test:443/elsewhere").headers == SECRET
    for elsewhere in ("https://cdn.test/x", "https://hub.test:8443/x", "https://hub.test.evil.test/x"):
        assert follow(elsewhere).headers == {}


def test_the_token_comes_back_with_its_origin() -> None:
    """Two hops, back at the origin: the token is for it, and the address is still one that may expire."""
    away = follow("https://cdn.test/x")
    back = next_address(PUBLIC, away, "https://hub.test/y", private=False)
    assert back.headers == SECRET
    assert back.trusted
    assert back.redirected


def test_what_is_redirected_within_the_origin_does_not_expire() -> None:
    """The hub's own relative redirect (a renamed repository, a small file) is no signed address."""
    assert not follow("/new/name").redirected
    assert follow("https://cdn.test/x").redirected


def test_a_local_endpoint_may_redirect_to_its_neighbours() -> None:
    """A hub on a private address, found to be so by its connection, may send to another private address."""
    address = follow("http://127.0.0.1:9090/x", LOCAL, private=True)
    assert address.trusted
    assert address.headers == {}


def test_a_public_redirect_is_not_trusted_on_to_a_private_one() -> None:
    """The second hop of a public endpoint is judged by its own address, even where that peer was private."""
    away = follow("https://cdn.test/x")
    assert not away.trusted
    with pytest.raises(UnsafeRedirect):
        next_address(PUBLIC, away, "https://10.0.0.1/x", private=True)


def test_a_loop_of_redirects_ends() -> None:
    """After so many hops in a row it is refused, and the message says so."""
    address = PUBLIC
    for _ in range(MAX_HOPS):
        address = next_address(PUBLIC, address, "/again", private=False)
    with pytest.raises(UnsafeRedirect, match="times in a row"):
        next_address(PUBLIC, address, "/again", private=False)


_PIECES = st.sampled_from(
    [
        "https:",
        "http:",
        "file:",
        "//",
        "/",
        "@",
        ":",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "hub.test",
        "cdn.test",
        "%",
        "?",
        "\\",
    ]
)


@given(st.text(max_size=30) | st.lists(_PIECES, max_size=8).map("".join), st.booleans())
def test_every_location_is_followed_safely_or_refused(location: str, private: bool) -> None:
    """Whatever a server writes: an ASCII http(s) address, the token at the origin alone, or `UnsafeRedirect`."""
    try:
        address = follow(location, private=private)
    except UnsafeRedirect:
        return
    assert address.url.isascii()
    assert address.url.startswith("https://")
    if address.headers:
        assert address.url.lower().startswith(("https://hub.test/", "https://hub.test:443/", "https://hub.test?")) or (
            address.url.lower() in ("https://hub.test", "https://hub.test:")
        )


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    """What the public internet routes."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "0.0.0.0",
        "",
        "x",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Loopback, private, link-local, mapped ones, and what is no address at all."""
    assert not is_public(address)


def test_names_that_say_where_they_are() -> None:
    """A name is private by itself only where it is an address or localhost; others are judged when connected to."""
    assert is_private_name("localhost")
    assert is_private_name("db.localhost")
    assert is_private_name("127.0.0.1")
    assert not is_private_name("8.8.8.8")
    assert not is_private_name("hub.test")
