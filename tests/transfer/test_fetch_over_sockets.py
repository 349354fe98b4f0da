"""What a network may do, each row of it over real sockets, and how each ends."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from standin import ALWAYS, Hub, Reply, Request, faults
from transfer.fetching import BIG, CONTENT, MIB, PATH, REPO, SMALL_CONTENT, Fetcher, assert_right
from windlass.errors import (
    ChecksumMismatch,
    HubRateLimited,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    SourceFailure,
    TLSFailure,
    UnsafeRedirect,
    WindlassError,
)
from windlass.transfer import wire as wires
from windlass.transfer.network import Patience, is_public
from windlass.transfer.retry import Persistence

# What passes


def _no_fault(_: Request, reply: Reply) -> Reply:
    """A right answer that counts as one of a row of faults."""
    return replace(reply)


def _length(more: int) -> faults.Fault:
    """A Content-Length that is wrong by so much."""
    return lambda request, reply: faults.content_length(reply.body.size + more)(request, reply)


def _size_in_label(more: int) -> faults.Fault:
    """The right range of a file that is said to have another size."""

    def fault(request: Request, reply: Reply) -> Reply:
        label, _, size = reply.headers["Content-Range"].partition("/")
        return faults.mislabelled(f"{label}/{int(size) + more}")(request, reply)

    return fault


def _expired(*then: faults.Fault) -> list[tuple[str, faults.Fault]]:
    """In mid-file the signed address has expired, and the hub, asked for another, answers with these."""
    cut = [("cdn", faults.fin(after=100_000)), ("cdn", faults.status(403)), ("resolve", _no_fault)]
    return [*cut, *(("resolve", fault) for fault in then)]


Faults = list[tuple[str, faults.Fault]]

_PASSING: list[tuple[str, Faults]] = [
    ("FIN in the middle", [("cdn", faults.fin(after=100_000))]),
    ("FIN at the first byte", [("cdn", faults.fin(after=0))]),
    ("FIN after one byte", [("cdn", faults.fin(after=1))]),
    ("RST in the middle", [("cdn", faults.rst(after=100_000))] * 3),
    ("RST at the first byte", [("cdn", faults.rst(after=0))]),
    ("no answer", [("cdn", faults.no_answer("rst"))]),
    ("no answer of the hub", [("resolve", faults.no_answer("fin"))]),
    ("silence", [("cdn", faults.silence())]),
    ("silence of the hub", [("resolve", faults.silence())]),
    ("slow headers", [("cdn", faults.slow_head(pause=0.3))]),
    ("slow headers of the hub", [("resolve", faults.slow_head(pause=0.3))]),
    ("stall", [("cdn", faults.stall(after=200_000))]),
    ("trickle", [("cdn", faults.trickle(pause=0.05))]),
    ("200 to a range", [("cdn", faults.fin(after=100_000)), ("cdn", faults.whole())]),
    ("another range", [("cdn", faults.other_range(100, 200))]),
    ("mislabelled", [("cdn", faults.mislabelled("bytes 5-9/10"))]),
    ("mislabelled size", [("cdn", _size_in_label(1))]),
    ("no label", [("cdn", faults.without("Content-Range"))]),
    ("no bytes", [("cdn", faults.empty())]),
    ("too short", [("cdn", faults.truncated(by=1000))]),
    ("too long", [("cdn", faults.lengthened(by=1000))]),
    ("length too large", [("cdn", _length(5))]),
    ("length too small", [("cdn", _length(-1000))]),
    ("gzip", [("cdn", faults.gzip_anyway())]),
    ("416", [("cdn", faults.status(416, {"Content-Range": f"bytes */{len(CONTENT)}"}))]),
    ("5xx burst", [("cdn", faults.status(code)) for code in (500, 502)]),
    ("5xx burst of the hub", [("resolve", faults.status(code)) for code in (503, 504)]),
    ("429 with Retry-After", [("cdn", faults.rate_limited(0, retry_after=0))]),
    ("429 with RateLimit", [("resolve", faults.rate_limited(0))]),
    ("429 with a date that is past", [("cdn", faults.rate_limited(0, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"))]),
    ("expired address in mid-file", _expired()),
    ("401 in mid-file", _expired(faults.status(401))),
    ("403 in mid-file", _expired(faults.status(403))),
    ("404 in mid-file", _expired(faults.status(404))),
    ("captive portal", [("cdn", faults.html())]),
    ("captive portal without a length", [("cdn", faults.both(faults.html(), faults.chunked()))]),
    ("chunked", [("cdn", faults.chunked())]),
    ("until close", [("cdn", faults.until_close())]),
    ("redirect away and back", [("cdn", faults.redirect("/nowhere"))]),
]
passing = pytest.mark.parametrize("wrongs", [row[1] for row in _PASSING], ids=[row[0] for row in _PASSING])


@passing
def test_what_passes_is_got_over(either: Fetcher, wrongs: Faults) -> None:
    """A fault or a few, then all is well: the file is right, and nothing was fetched much more often than needed."""
    for kind, wrong in wrongs:
        either.hub.misbehave(kind, wrong)
    either.persistence = Persistence(failures=6, seconds=0.1)
    assert_right(either)
    assert either.hub.sent(PATH) <= 3 * len(either.content)
    assert either.hub.to_come == []


@passing
def test_what_passes_is_got_over_by_a_crew(fetcher: Fetcher, wrongs: Faults) -> None:
    """The same faults, each a few times, at a file that several connections bring."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    for kind, wrong in wrongs:
        hub.misbehave(kind, wrong, times=2)
    fetcher.persistence = Persistence(failures=6, seconds=0.1)
    assert_right(fetcher)


def test_wrong_bytes_once_mend_themselves(either: Fetcher) -> None:
    """One byte of one answer is wrong: everything is fetched once more, and then it is right."""
    either.hub.misbehave("cdn", faults.corrupt(at=123_456))
    assert_right(either)
    assert either.hub.sent(PATH) == 2 * len(either.content)
    assert either.meters[0].thrown_away == len(either.content)


# What does not pass

_LASTING: list[tuple[str, str, faults.Fault, type[WindlassError]]] = [
    ("FIN at once", "cdn", faults.fin(after=0), SourceFailure),
    ("FIN after one byte", "cdn", faults.fin(after=1), SourceFailure),
    ("RST at once", "resolve", faults.no_answer("rst"), SourceFailure),
    ("silence", "cdn", faults.silence(), HubUnreachable),
    ("slow headers", "cdn", faults.slow_head(pause=0.3), HubUnreachable),
    ("stall at once", "cdn", faults.stall(after=0), SourceFailure),
    ("one byte a second", "cdn", faults.trickle(pause=1.0), SourceFailure),
    ("another range", "cdn", faults.other_range(100, 200), SourceFailure),
    ("mislabelled", "cdn", faults.mislabelled("bytes 5-9/10"), SourceFailure),
    ("mislabelled size", "cdn", _size_in_label(-1), SourceFailure),
    ("no label", "cdn", faults.without("Content-Range"), SourceFailure),
    ("no bytes", "cdn", faults.empty(), SourceFailure),
    ("too short", "cdn", faults.truncated(by=200_000), SourceFailure),
    ("length too small", "cdn", faults.content_length(1), SourceFailure),
    ("gzip", "cdn", faults.gzip_anyway(), SourceFailure),
    ("416", "cdn", faults.status(416), SourceFailure),
    ("500", "cdn", faults.status(500), SourceFailure),
    ("503 of the hub", "resolve", faults.status(503), HubRateLimited),
    ("429", "resolve", faults.rate_limited(0), HubRateLimited),
    ("429 for long", "resolve", faults.rate_limited(299), HubRateLimited),
    ("Retry-After tomorrow", "cdn", faults.rate_limited(0, retry_after=86400), HubRateLimited),
    ("403 of every address", "cdn", faults.status(403), SourceFailure),
    ("401", "resolve", faults.status(401), ModelGated),
    ("403", "resolve", faults.status(403), ModelGated),
    ("404", "resolve", faults.status(404), ModelNotFound),
    ("captive portal", "resolve", faults.html(), SourceFailure),
    ("redirect loop", "resolve", faults.redirect_loop(), UnsafeRedirect),
    ("redirect loop at the CDN", "cdn", faults.redirect_loop(), UnsafeRedirect),
    ("redirect to a file", "resolve", faults.redirect("file:///etc/passwd"), UnsafeRedirect),
    ("redirect to ftp", "resolve", faults.redirect("ftp://127.0.0.1/x"), UnsafeRedirect),
    ("redirect to nowhere", "resolve", faults.redirect("http://nowhere.invalid/"), HubUnreachable),
    ("redirect to nonsense", "resolve", faults.redirect("http://[::1/"), UnsafeRedirect),
    ("redirect in Latin-1", "resolve", faults.redirect("http://\u00e9.invalid/"), UnsafeRedirect),
    ("captive portal without a length", "cdn", faults.both(faults.html(), faults.chunked()), SourceFailure),
    ("wrong bytes", "cdn", faults.corrupt(at=123_456), ChecksumMismatch),
]


@pytest.mark.parametrize(("kind", "fault", "error"), [row[1:] for row in _LASTING], ids=[row[0] for row in _LASTING])
def test_what_lasts_ends_in_its_error(
    either: Fetcher, kind: str, fault: faults.Fault, error: type[WindlassError]
) -> None:
    """An end, soon; the right class with words for people; nothing that claims to be whole."""
    either.hub.misbehave(kind, fault, times=ALWAYS)
    with pytest.raises(WindlassError) as caught:
        either.bring()
    assert type(caught.value) is error, str(caught.value)
    assert caught.value.message.endswith(".")
    assert not list(either.folder.glob("*.whole"))
    assert len(either.hub.exchanges) < 60
    if error is ChecksumMismatch:
        assert list(either.folder.iterdir()) == []


def test_a_listing_that_lies(either: Fetcher) -> None:
    """The listing's hash is of other bytes: `checksum_mismatch`, and nothing is kept."""
    either.hub.repositories[REPO].file(PATH).listed_sha256 = "ab" * 32
    with pytest.raises(ChecksumMismatch):
        either.bring()
    assert list(either.folder.iterdir()) == []


@pytest.mark.parametrize("where", ["hub", "cdn"])
def test_connections_that_are_refused_for_a_while(either: Fetcher, where: str) -> None:
    """Nobody listens, and then somebody does: it goes on by itself."""
    server = either.hub.server if where == "hub" else either.hub.cdn
    server.refuse()
    threading.Timer(0.3, server.accept_again).start()
    either.persistence = Persistence(failures=3, seconds=5.0)
    assert_right(either)
    assert either.meters[0].retries > 0


def test_a_hub_that_is_down_for_a_while(fetcher: Fetcher) -> None:
    """Refused connections, then it is back: what had come is kept and the rest follows."""
    hub = fetcher.hub
    hub.misbehave("cdn", faults.fin(after=2 * MIB), faults.do(hub.cdn.refuse))
    with pytest.raises(HubUnreachable):
        fetcher.bring()
    hub.cdn.accept_again()
    before = hub.sent(PATH)
    assert_right(fetcher)
    assert hub.sent(PATH) - before <= len(CONTENT) - MIB


either_size = pytest.mark.parametrize("content", [CONTENT, SMALL_CONTENT], ids=["large", "small"])


@either_size
def test_an_unknown_authority_is_never_asked_in_the_clear(tmp_path: Path, content: bytes) -> None:
    """`tls_error` at once, no second try, and nothing sent; with the authority named all is well."""
    with Hub(tls=True) as hub:
        hub.add(REPO, {PATH: content})
        fetcher = Fetcher(hub, tmp_path / "partial", patience=Patience())
        with pytest.raises(TLSFailure) as caught:
            fetcher.bring()
        assert "SSL_CERT_FILE" in str(caught.value)
        assert hub.exchanges == []
        assert hub.server.connections == 1
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        fetcher.ca_file = str(tmp_path / "ca.pem")
        assert_right(fetcher)


@either_size
def test_never_down_from_https(tmp_path: Path, content: bytes) -> None:
    """A hub on TLS that redirects to a CDN in the clear is not followed."""
    with Hub(tls=True, cdn_tls=False) as hub:
        hub.add(REPO, {PATH: content})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        fetcher = Fetcher(hub, tmp_path / "partial", patience=Patience(), ca_file=str(tmp_path / "ca.pem"))
        with pytest.raises(UnsafeRedirect):
            fetcher.bring()
        assert hub.asked("cdn") == []


# Where a redirect may lead


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://[::1]:{port}/x",
        "http://10.0.0.1/x",
        "http://192.168.1.1/x",
        "http://127.2:{port}/x",  # names to us, and to libcurl 127.0.0.2: seen by the address that it connects to
        "http://2130706434:{port}/x",
        "http://0x7f.2:{port}/x",
    ],
)
def test_a_public_endpoint_does_not_lead_into_a_private_network(
    either: Fetcher, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name or by the address that is connected to: refused at once, and nothing is sent there."""
    hub = either.hub
    # The hub passes for a public one here; a test has no other.
    monkeypatch.setattr(wires, "is_public", lambda address: address == "127.0.0.1" or is_public(address))
    hub.misbehave("resolve", faults.redirect(location.format(port=hub.cdn.port)), times=ALWAYS)
    with pytest.raises(UnsafeRedirect):
        either.bring()
    assert len(hub.exchanges) == 1
