"""Control calls: what is bounded, what is tried again, and where a token goes."""

import gzip
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from hub.hubsite import Answer, Clock, Site
from windlass.errors import HubError, HubRateLimited, HubUnreachable, TLSFailure
from windlass.hub.web import Ask, Timing, Web


def test_json(site: Site, heeding_web: Web) -> None:
    """An answer's JSON is read, and we say who asks."""
    site.pages["/x?y=1"] = Answer(body=b'{"a": [1]}')
    assert heeding_web.get_json(f"{site.address}/x?y=1") == {"a": [1]}
    assert site.headers[0]["user-agent"].startswith("windlass/")


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_no_json(site: Site, web: Web, body: bytes) -> None:
    """Anything else is the hub's mistake, never a traceback."""
    site.pages["/"] = Answer(body=body)
    with pytest.raises(HubError):
        web.get_json(f"{site.address}/")


def test_a_refusal_is_no_json(site: Site, web: Web) -> None:
    """A status that is no success is named."""
    with pytest.raises(HubError, match="404"):
        web.get_json(f"{site.address}/missing")


def test_other_statuses_are_handed_back(site: Site, web: Web) -> None:
    """What a refusal means is for the caller; its body is cut short rather than refused."""
    site.pages["/"] = Answer(403, b"x" * 200_000, {"X-Error-Code": "GatedRepo"})
    reply = web.get(f"{site.address}/", Ask(limit=100))
    assert (reply.status, reply.headers["x-error-code"], reply.ok) == (403, "GatedRepo", False)
    assert len(reply.body) <= 64 * 1024


def test_size_is_bounded(site: Site, web: Web) -> None:
    """More than was bargained for ends the reading, also where the length is hidden by packing."""
    site.pages["/plain"] = Answer(body=b"x" * 1001)
    bomb = gzip.compress(bytes(50_000_000))
    site.pages["/bomb"] = Answer(body=bomb, headers={"Content-Encoding": "gzip"})
    for path in ("/plain", "/bomb"):
        with pytest.raises(HubError, match="more than 1000 bytes"):
            web.get(site.address + path, Ask(limit=1000))
    site.pages["/plain"] = Answer(body=b"x" * 1000)
    assert len(web.get(f"{site.address}/plain", Ask(limit=1000)).body) == 1000


def test_packed_answers(site: Site, web: Web) -> None:
    """A packed answer is unpacked; one that only says so is the hub's mistake."""
    site.pages["/good"] = Answer(body=gzip.compress(b"[1]"), headers={"Content-Encoding": "gzip"})
    site.pages["/bad"] = Answer(body=b"[1]", headers={"Content-Encoding": "gzip"})
    assert web.get_json(f"{site.address}/good") == [1]
    with pytest.raises(HubError):
        web.get_json(f"{site.address}/bad")


def test_time_is_bounded(site: Site) -> None:
    """An answer that takes for ever, a little at a time, is given up."""
    ticks = iter(range(0, 10**9, 61))
    site.pages["/"] = Answer(body=b"[1]")
    web = Web(Timing(sleep=lambda _: None, monotonic=lambda: next(ticks)))
    with pytest.raises(HubUnreachable, match="60 s"):
        web.get(f"{site.address}/")
    assert len(site.asked) == 3
    web.close()


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again(site: Site, web: Web, clock: Clock, status: int) -> None:
    """Trouble on the hub's side is over by the third try, with growing waits in between."""
    site.pages["/"] = [Answer(status), Answer(status), Answer(body=b"1")]
    assert web.get_json(f"{site.address}/") == 1
    assert clock.slept == [0.25, 0.5]


def test_lasting_trouble(site: Site, web: Web) -> None:
    """After three tries it is a hub error with the status; `tries` can make it fewer."""
    site.pages["/"] = Answer(503)
    with pytest.raises(HubError, match="503"):
        web.get(f"{site.address}/")
    assert len(site.asked) == 3
    with pytest.raises(HubError):
        web.get(f"{site.address}/", Ask(tries=1))
    assert len(site.asked) == 4


def test_short_limits_are_waited_for(site: Site, web: Web, clock: Clock) -> None:
    """A 429 with a short wait is obeyed."""
    site.pages["/"] = [Answer(429, headers={"RateLimit": '"api";r=0;t=7'}), Answer(body=b"1")]
    assert web.get_json(f"{site.address}/") == 1
    assert clock.slept == [7.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "55"}, 55),
        ({"RateLimit": '"resolvers";r=0;t=90'}, 90),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
        ({}, 30),
    ],
)
def test_long_limits_are_handed_on(site: Site, web: Web, clock: Clock, headers: dict[str, str], seconds: int) -> None:
    """A 429 with a long wait is an error that says for how long, at once."""
    site.pages["/"] = Answer(429, headers=headers)
    with pytest.raises(HubRateLimited) as caught:
        web.get(f"{site.address}/")
    assert caught.value.retry_after == seconds
    assert clock.slept == []


def test_limits_without_an_end(site: Site, web: Web, clock: Clock) -> None:
    """Short waits are not repeated for ever."""
    site.pages["/"] = Answer(429, headers={"Retry-After": "1"})
    with pytest.raises(HubRateLimited):
        web.get(f"{site.address}/")
    assert clock.slept == [1.0, 1.0]


def test_a_long_pause_after_503(site: Site, web: Web, clock: Clock) -> None:
    """A hub that says it is down for an hour is not asked thrice."""
    site.pages["/"] = Answer(503, headers={"Retry-After": "3600"})
    with pytest.raises(HubError, match="3600 s"):
        web.get(f"{site.address}/")
    assert (len(site.asked), clock.slept) == (1, [])


def test_the_last_requests_are_spread(site: Site, web: Web, clock: Clock) -> None:
    """With few requests left before the limit, the next one is held back for a moment."""
    site.pages["/"] = Answer(body=b"1", headers={"RateLimit": '"api";r=1;t=3'})
    web.get_json(f"{site.address}/")
    assert clock.slept == []
    web.get_json(f"{site.address}/")
    assert clock.slept == [1.5]


def test_redirects(site: Site, other_site: Site, web: Web) -> None:
    """Redirects are followed; the token stays with the first origin, also when the way leads back to it."""
    site.pages["/a"] = Answer(307, headers={"Location": "/b"})
    site.pages["/b"] = Answer(302, headers={"Location": f"{other_site.address}/c"})
    other_site.pages["/c"] = Answer(302, headers={"Location": f"{site.address}/d"})
    site.pages["/d"] = Answer(body=b"1")
    reply = web.get(f"{site.address}/a", Ask(token="hf_secret"))
    assert (reply.url, reply.body) == (f"{site.address}/d", b"1")
    assert [headers.get("authorization") for headers in site.headers] == ["Bearer hf_secret", "Bearer hf_secret", None]
    assert "authorization" not in other_site.headers[0]


def test_redirects_can_be_handed_back(site: Site, web: Web) -> None:
    """`follow=False` shows the redirect itself, and a limit of 0 reads no body."""
    site.pages["/"] = Answer(302, b"x" * 10, {"Location": "/b"})
    reply = web.get(f"{site.address}/", Ask(limit=0, follow=False))
    assert (reply.status, reply.body, site.asked) == (302, b"", ["/"])


@pytest.mark.parametrize(
    "where", ["/", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://[x/", "http://u@h/"]
)
def test_redirects_that_are_not_followed(site: Site, web: Web, where: str) -> None:
    """Circles, other schemes, names with a user and garbage end at the redirect."""
    site.pages["/"] = Answer(302, headers={"Location": where})
    with pytest.raises(HubError, match="redirects"):
        web.get(f"{site.address}/")
    assert len(site.asked) <= 6


class Stream:
    """The connection of a scripted answer, as far as it tells its address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get_extra_info(self, _: str) -> tuple[str, int]:
        return self.address, 443


def scripted(pages: dict[str, tuple[int, str, str]]) -> Web:
    """A client whose network is a table: url → status, location, connected address."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        status, location, address = pages[str(request.url)]
        headers = {"Location": location} if location else {}
        return httpx2.Response(status, headers=headers, content=b"1", extensions={"network_stream": Stream(address)})

    return Web(connect=lambda _: httpx2.Client(transport=httpx2.MockTransport(answer)))


@pytest.mark.parametrize(
    ("home", "target", "followed"),
    [
        ("93.184.216.34", "169.254.169.254", False),
        ("93.184.216.34", "127.0.0.1", False),
        ("93.184.216.34", "10.0.0.8", False),
        ("93.184.216.34", "8.8.8.8", True),
        ("127.0.0.1", "10.0.0.8", True),
        ("nonsense", "10.0.0.8", True),
    ],
)
def test_a_public_hub_cannot_send_us_inside(home: str, target: str, followed: bool) -> None:
    """A redirect from a public address to a private one is refused by the address really connected to."""
    web = scripted({"http://hub/": (302, "http://elsewhere/", home), "http://elsewhere/": (200, "", target)})
    if followed:
        assert web.get("http://hub/").body == b"1"
    else:
        with pytest.raises(HubError, match="private"):
            web.get("http://hub/")


def test_never_down_from_https() -> None:
    """A redirect from https to http is refused."""
    with pytest.raises(HubError, match="do not go"):
        scripted({"https://hub/": (302, "http://hub/", "8.8.8.8")}).get("https://hub/")


def test_nobody_listens(web: Web, clock: Clock) -> None:
    """A refused connection is tried three times, then the hub is unreachable."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(HubUnreachable, match="cannot be reached"):
            web.get(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert len(clock.slept) == 2


@pytest.fixture
def raw_server() -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each connection with the next bytes of a list, whatever is asked, and hangs up."""
    answers: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answers.pop(0) if answers else b"")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/", answers
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
def test_no_http(raw_server: tuple[str, list[bytes]], web: Web, answer: bytes) -> None:
    """An answer that is no HTTP, or ends early, is a hub error after three tries; a good one in between counts."""
    url, answers = raw_server
    answers += [answer, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", answer, answer, answer]
    assert web.get_json(url) == 1
    with pytest.raises(HubError, match="not answer in HTTP"):
        web.get(url)


def test_timeouts() -> None:
    """A hub that does not answer in time is unreachable."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("", request=request)

    web = Web(Timing(sleep=lambda _: None), lambda _: httpx2.Client(transport=httpx2.MockTransport(answer)))
    with pytest.raises(HubUnreachable, match="in time"):
        web.get("http://hub/")


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A hub with a certificate of an authority of its own: its address and the authority's file."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1")
            except ssl.SSLError:
                continue
            except OSError:
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}/", tmp_path / "ca.pem"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_an_unknown_authority(tls_server: tuple[str, Path], heeding_web: Web, clock: Clock) -> None:
    """A certificate that is not trusted fails at once, and the hint names SSL_CERT_FILE."""
    with pytest.raises(TLSFailure) as caught:
        heeding_web.get(tls_server[0])
    assert "SSL_CERT_FILE" in (caught.value.hint or "")
    assert clock.slept == []


def test_ssl_cert_file(tls_server: tuple[str, Path], heeding_web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's authority counts once SSL_CERT_FILE names it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server[1]))
    assert heeding_web.get_json(tls_server[0]) == 1


def test_ssl_cert_file_is_missing(site: Site, heeding_web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there is named as the trouble, where certificates are needed; plain http reads none."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(TLSFailure, match="certificates"):
        heeding_web.get("https://hub.example/")
    site.pages["/plain"] = Answer(body=b"1")
    assert heeding_web.get_json(f"{site.address}/plain") == 1


def test_a_proxy_over_tls_is_verified_for_plain_http_too(
    tls_server: tuple[str, Path], heeding_web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's certificate counts, not the hub's: an unknown authority is refused, a named one is trusted."""
    monkeypatch.setenv("HTTP_PROXY", tls_server[0])
    with pytest.raises(TLSFailure):
        heeding_web.get("http://hub.example/")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server[1]))
    heeding_web.close()
    assert heeding_web.get_json("http://hub.example/") == 1


def test_proxy_from_the_environment(site: Site, heeding_web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is asked instead of the host, NO_PROXY excepts one."""
    monkeypatch.setenv("HTTP_PROXY", site.address)
    site.pages["http://hub.example/x"] = Answer(body=b"1")
    assert heeding_web.get_json("http://hub.example/x") == 1
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    heeding_web.close()
    site.pages["/direct"] = Answer(body=b"2")
    assert heeding_web.get_json(f"{site.address}/direct") == 2


def test_a_proxy_that_cannot_be_used(heeding_web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of a kind that is not supported is named as the trouble."""
    monkeypatch.setenv("HTTP_PROXY", "gopher://proxy.example")
    with pytest.raises(HubUnreachable, match="proxy"):
        heeding_web.get("http://hub.example/")
