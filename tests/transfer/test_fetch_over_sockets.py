"""What a network may do, each row of it over real sockets, and how each ends."""

from pathlib import Path

import pytest

from standin import ALWAYS, Hub, faults
from transfer.fetching import BIG, CONTENT, MIB, PATH, REPO, Fetcher, assert_right
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
from windlass.transfer.network import Patience
from windlass.transfer.retry import Persistence

# What passes

_PASSING: list[tuple[str, str, list[faults.Fault]]] = [
    ("FIN in the middle", "cdn", [faults.fin(after=1_000_000)]),
    ("FIN at the first byte", "cdn", [faults.fin(after=0)]),
    ("RST in the middle", "cdn", [faults.rst(after=1_000_000)] * 3),
    ("no answer", "cdn", [faults.no_answer("rst")]),
    ("silence", "cdn", [faults.silence()]),
    ("silence of the hub", "resolve", [faults.silence()]),
    ("stall", "cdn", [faults.stall(after=200_000)]),
    ("trickle", "cdn", [faults.trickle(pause=0.05)]),
    ("200 to a range", "cdn", [faults.fin(after=100_000), faults.whole()]),
    ("another range", "cdn", [faults.other_range(100, 200)]),
    ("mislabelled", "cdn", [faults.mislabelled("bytes 5-9/10")]),
    ("mislabelled size", "cdn", [faults.mislabelled(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT) + 1}")]),
    ("no label", "cdn", [faults.without("Content-Range")]),
    ("no bytes", "cdn", [faults.empty()]),
    ("too short", "cdn", [faults.truncated(by=1000)]),
    ("too long", "cdn", [faults.lengthened(by=1000)]),
    ("length too large", "cdn", [faults.content_length(len(CONTENT) + 5)]),
    ("length too small", "cdn", [faults.content_length(1000)]),
    ("gzip", "cdn", [faults.gzip_anyway()]),
    ("416", "cdn", [faults.status(416, {"Content-Range": f"bytes */{len(CONTENT)}"})]),
    ("5xx burst", "cdn", [faults.status(code) for code in (500, 502)]),
    ("5xx burst of the hub", "resolve", [faults.status(code) for code in (503, 504)]),
    ("429 with Retry-After", "cdn", [faults.rate_limited(0, retry_after=0)]),
    ("429 with RateLimit", "resolve", [faults.rate_limited(0)]),
    ("expired address", "cdn", [faults.fin(after=500_000), faults.status(403)]),
    ("401 in mid-file", "resolve", [faults.do(lambda: None), faults.status(401)]),
    ("captive portal", "cdn", [faults.html()]),
    ("chunked", "cdn", [faults.chunked()]),
    ("until close", "cdn", [faults.until_close()]),
    ("redirect away and back", "cdn", [faults.redirect("/nowhere")]),
]


@pytest.mark.parametrize(("kind", "wrongs"), [row[1:] for row in _PASSING], ids=[row[0] for row in _PASSING])
def test_what_passes_is_got_over(fetcher: Fetcher, kind: str, wrongs: list[faults.Fault]) -> None:
    """A fault or a few, then all is well: the file is right, and nothing was fetched much more often than needed."""
    fetcher.hub.misbehave(kind, *wrongs)
    assert_right(fetcher)
    assert fetcher.hub.sent(PATH) <= 3 * len(CONTENT)


@pytest.mark.parametrize(("kind", "wrongs"), [row[1:] for row in _PASSING], ids=[row[0] for row in _PASSING])
def test_what_passes_is_got_over_by_a_crew(fetcher: Fetcher, kind: str, wrongs: list[faults.Fault]) -> None:
    """The same faults, each a few times, at a file that several connections bring."""
    hub = fetcher.hub
    hub.repositories[REPO].push({PATH: BIG})
    hub.misbehave(kind, *wrongs, times=2)
    fetcher.persistence = Persistence(failures=6, seconds=0.1)
    assert_right(fetcher, BIG)


def test_wrong_bytes_once_mend_themselves(fetcher: Fetcher) -> None:
    """One byte of one answer is wrong: everything is fetched once more, and then it is right."""
    fetcher.hub.misbehave("cdn", faults.corrupt(at=1_234_567))
    assert_right(fetcher)
    assert fetcher.hub.sent(PATH) == 2 * len(CONTENT)
    assert fetcher.meters[0].thrown_away == len(CONTENT)


# What does not pass

_LASTING: list[tuple[str, str, faults.Fault, type[WindlassError]]] = [
    ("FIN at once", "cdn", faults.fin(after=0), SourceFailure),
    ("RST at once", "resolve", faults.no_answer("rst"), SourceFailure),
    ("silence", "cdn", faults.silence(), HubUnreachable),
    ("stall at once", "cdn", faults.stall(after=0), SourceFailure),
    ("one byte a second", "cdn", faults.trickle(pause=1.0), SourceFailure),
    ("another range", "cdn", faults.other_range(100, 200), SourceFailure),
    ("mislabelled", "cdn", faults.mislabelled("bytes 5-9/10"), SourceFailure),
    ("no bytes", "cdn", faults.empty(), SourceFailure),
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
    ("wrong bytes", "cdn", faults.corrupt(at=1_234_567), ChecksumMismatch),
]


@pytest.mark.parametrize(("kind", "fault", "error"), [row[1:] for row in _LASTING], ids=[row[0] for row in _LASTING])
def test_what_lasts_ends_in_its_error(
    fetcher: Fetcher, kind: str, fault: faults.Fault, error: type[WindlassError]
) -> None:
    """An end, soon; the right class with words for people; nothing that claims to be whole."""
    fetcher.hub.misbehave(kind, fault, times=ALWAYS)
    with pytest.raises(WindlassError) as caught:
        fetcher.bring()
    assert type(caught.value) is error, str(caught.value)
    assert caught.value.message.endswith(".")
    assert not list(fetcher.folder.glob("*.whole"))
    assert len(fetcher.hub.exchanges) < 60


def test_a_listing_that_lies(fetcher: Fetcher) -> None:
    """The listing's hash is of other bytes: `checksum_mismatch`, and nothing is kept."""
    fetcher.hub.repositories[REPO].file(PATH).listed_sha256 = "ab" * 32
    with pytest.raises(ChecksumMismatch):
        fetcher.bring()
    assert list(fetcher.folder.iterdir()) == []


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


def test_an_unknown_authority_is_never_asked_in_the_clear(tmp_path: Path) -> None:
    """`tls_error` at once, no second try, and nothing sent; with the authority named all is well."""
    with Hub(tls=True) as hub:
        hub.add(REPO, {PATH: CONTENT})
        fetcher = Fetcher(hub, tmp_path / "partial", patience=Patience())
        with pytest.raises(TLSFailure) as caught:
            fetcher.bring()
        assert "SSL_CERT_FILE" in str(caught.value)
        assert hub.exchanges == []
        assert hub.server.connections == 1
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        fetcher.ca_file = str(tmp_path / "ca.pem")
        assert_right(fetcher)


def test_never_down_from_https(tmp_path: Path) -> None:
    """A hub on TLS that redirects to a CDN in the clear is not followed."""
    with Hub(tls=True, cdn_tls=False) as hub:
        hub.add(REPO, {PATH: CONTENT})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        fetcher = Fetcher(hub, tmp_path / "partial", patience=Patience(), ca_file=str(tmp_path / "ca.pem"))
        with pytest.raises(UnsafeRedirect):
            fetcher.bring()
        assert hub.asked("cdn") == []
