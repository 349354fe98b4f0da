"""The stand-in does right when it is not told otherwise, and wrong exactly as told.

Looked at through plain sockets and `http.client`, and proven with the real `HfApi` and `hf download`.
"""

import gzip
import http.client
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import pytest
from huggingface_hub import HfApi

from standin import ALWAYS, Fault, Hub, OnDisk, Repeated, faults
from standin.answers import parse_range
from standin.content import sha256

DATA = bytes(range(256)) * 400
SHA256 = sha256(Repeated(bytes(range(256)), len(DATA)))
PATH = "model-Q4_K_M.gguf"


@pytest.fixture
def repo(hub: Hub) -> Hub:
    hub.add("Acme/Rocket-GGUF", {PATH: DATA, "README.md": b"# Rocket\n" * 99, "sub/empty.json": b""})
    return hub


class Got(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def get(url: str, method: str = "GET", **headers: str) -> Got:
    """One request; a body that is cut shows what came of it as `IncompleteRead`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), headers=sent)
        answer = connection.getresponse()
        return Got(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def drain(client: socket.socket) -> tuple[bytes, type[OSError] | None]:
    """All that comes, and the error that ends it."""
    received = b""
    try:
        while data := client.recv(1000):
            received += data
    except OSError as error:
        return received, type(error)
    return received, None


def resolve(hub: Hub, path: str = PATH) -> str:
    """Where the hub sends who asks for a file."""
    asked = f"{hub.url}/Acme/Rocket-GGUF/resolve/main/{path}"
    return urljoin(asked, str(get(asked).headers["Location"]))


def fetch(hub: Hub, **headers: str) -> Got:
    return get(resolve(hub), **headers)


# Right


def test_large_files_come_from_the_cdn_by_a_signed_address(repo: Hub) -> None:
    """302 to another port, with the commit, the size and the sha256; the CDN's own ETag is another."""
    answer = get(f"{repo.url}/Acme/Rocket-GGUF/resolve/main/{PATH}")
    assert answer.status == 302
    assert answer.headers["Location"].startswith(f"{repo.cdn.url}/")
    assert answer.headers["X-Linked-ETag"] == f'"{SHA256}"'
    assert answer.headers["X-Linked-Size"] == str(len(DATA))
    body = get(answer.headers["Location"])
    assert (body.status, body.body) == (200, DATA)
    assert SHA256 not in body.headers["ETag"]


def test_small_files_come_by_a_relative_redirect(repo: Hub) -> None:
    """307 to a path of the same host; text is compressed without a length unless that is forbidden."""
    answer = get(f"{repo.url}/Acme/Rocket-GGUF/resolve/main/README.md")
    assert (answer.status, answer.headers["Location"][:5]) == (307, "/api/")
    packed = get(resolve(repo, "README.md"), Accept_Encoding="gzip, br")
    assert "Content-Length" not in packed.headers
    assert gzip.decompress(packed.body) == b"# Rocket\n" * 99
    assert get(resolve(repo, "README.md"), Accept_Encoding="identity").body == b"# Rocket\n" * 99


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=5-", (5, 9)),
        ("bytes=5-99", (5, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("bytes=10-", "unsatisfiable"),
        ("bytes=-0", "unsatisfiable"),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("lines=0-1", None),
    ],
)
def test_ranges_are_read_as_rfc_9110_says(header: str, span: object) -> None:
    """§14.1.2: one range is granted, cut at the end, refused beyond it, and what makes no sense is ignored."""
    assert parse_range(header, 10) == span


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({"Range": "bytes=10-19"}, 206, DATA[10:20]),
        ({"Range": f"bytes={len(DATA)}-"}, 416, b""),
        ({"Range": "bytes=10-19", "If_Range": '"other"'}, 200, DATA),
    ],
)
def test_the_cdn_serves_ranges(repo: Hub, headers: dict[str, str], status: int, body: bytes) -> None:
    """206 with its bytes, 416, or the whole."""
    answer = fetch(repo, **headers)
    assert (answer.status, answer.body) == (status, body)


def test_who_may_see_what(hub: Hub) -> None:
    """The 401-for-missing rule, gates, private and disabled repositories, for nobody, a stranger and a friend."""
    hub.tokens = {"stranger", "friend"}
    hub.add("a/gated", {PATH: DATA}, gated="manual", granted={"friend"})
    hub.add("a/private", {PATH: DATA}, private=True, granted={"friend"})
    hub.add("a/disabled", {PATH: DATA}, disabled=True)

    def seen(name: str, path: str) -> list[tuple[int, str | None]]:
        callers = [{}, {"Authorization": "Bearer stranger"}, {"Authorization": "Bearer friend"}]
        answers = [get(f"{hub.url}{path.format(name)}", **headers) for headers in callers]
        return [(answer.status, answer.headers["X-Error-Code"]) for answer in answers]

    info, file = "/api/models/{}", "/{}/resolve/main/" + PATH
    missing = [(401, None), (404, "RepoNotFound"), (404, "RepoNotFound")]
    assert seen("a/nothing", info) == missing
    assert seen("a/private", info) == [*missing[:2], (200, None)]
    assert seen("a/gated", info) == [(200, None)] * 3
    assert seen("a/gated", file) == [(401, "GatedRepo"), (403, "GatedRepo"), (302, None)]
    assert seen("a/disabled", file) == [(403, None)] * 3


def test_pages_renames_and_limits(repo: Hub) -> None:
    """The tree comes in pages, other names redirect, and every answer counts the window down to 429."""
    repo.page_size = 1
    tree = f"{repo.url}/api/models/Acme/Rocket-GGUF/tree/main?recursive=true"
    assert 'rel="next"' in get(tree).headers["Link"]
    rows = HfApi(endpoint=repo.url).list_repo_tree("Acme/Rocket-GGUF")
    assert [row.path for row in rows] == ["README.md", PATH, "sub"]
    assert get(f"{repo.url}/api/models/acme/rocket-gguf").headers["Location"] == "/api/models/Acme/Rocket-GGUF"
    repo.rename("Acme/Rocket-GGUF", "Acme/Comet-GGUF")
    assert get(f"{repo.url}/api/models/Acme/Rocket-GGUF").headers["Location"] == "/api/models/Acme/Comet-GGUF"
    repo.left["api"] = 1
    info = f"{repo.url}/api/models/Acme/Comet-GGUF"
    assert (get(info).headers["RateLimit"], get(info).status) == ('"api";r=0;t=299', 429)


def test_a_push_makes_a_new_commit_and_keeps_the_old(repo: Hub) -> None:
    """The old commit's files stay as they were, until the history is squashed."""
    repository = repo.repositories["acme/rocket-gguf"]
    old = repository.refs["main"]
    new = repository.push({PATH: b"new"})
    assert get(f"{repo.url}/api/models/Acme/Rocket-GGUF").body.find(new.encode()) > 0
    assert repository.file(PATH, old).sha256 == SHA256
    repository.squash()
    gone = get(f"{repo.url}/api/models/Acme/Rocket-GGUF/revision/{old}")
    assert (gone.status, gone.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_the_catalog_has_manifest_page_and_text(repo: Hub) -> None:
    """A catalog model is there as JSON, as a page with the text escaped, and as the text."""
    repo.add_model("model: a/b  # <x>\n", "a", "b", "Acme/Rocket-GGUF")
    assert b'"repo": "Rocket-GGUF"' in get(f"{repo.url}/api/v1/artifacts/a/b/revision/-1?manifest=true").body
    assert b"# &lt;x&gt;" in get(f"{repo.url}/models/a/b").body
    assert get(f"{repo.url}/a/b/model.yaml").body == b"model: a/b  # <x>\n"
    assert get(f"{repo.url}/models/a/c").status == 404


def test_five_gigabytes_cost_nothing(hub: Hub, tmp_path: Path) -> None:
    """A sparse file of more than 4 GiB is served by range, also beyond 32 bits."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    hub.add("Acme/Rocket-GGUF", {})
    repository = hub.repositories["acme/rocket-gguf"]
    repository.push({PATH: OnDisk(path)})
    repository.file(PATH).known_sha256 = "0" * 64
    answer = fetch(hub, Range=f"bytes={(5 << 30) - 2}-")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (
        206,
        b"\0\0",
        f"bytes {(5 << 30) - 2}-{(5 << 30) - 1}/{5 << 30}",
    )


# Wrong


def test_cuts_come_after_the_byte_that_was_named(repo: Hub) -> None:
    """FIN and RST leave exactly so many bytes, and the count of what was sent agrees."""
    repo.misbehave("cdn", faults.fin(after=1000), faults.rst(after=70_000))
    with pytest.raises(http.client.IncompleteRead) as cut:
        fetch(repo)
    assert cut.value.partial == DATA[:1000]
    with pytest.raises(ConnectionResetError):
        fetch(repo)
    assert repo.sent(PATH) == 71_000
    assert fetch(repo).body == DATA


def test_a_reset_delivers_its_bytes_first(repo: Hub) -> None:
    """What was sent before the reset can be read."""
    repo.misbehave("cdn", faults.rst(after=5))
    parts = urlsplit(resolve(repo))
    with socket.create_connection(("127.0.0.1", repo.cdn.port)) as client:
        client.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\n\r\n".encode())
        received, error = drain(client)
    assert error is ConnectionResetError
    assert received.endswith(b"\r\n\r\n" + DATA[:5])


@pytest.mark.parametrize(
    ("fault", "status", "body", "headers"),
    [
        (faults.whole(), 200, DATA, {}),
        (faults.other_range(0, 3), 206, DATA[:4], {"Content-Range": f"bytes 0-3/{len(DATA)}"}),
        (faults.mislabelled("bytes 0-9/99"), 206, DATA[10:20], {"Content-Range": "bytes 0-9/99"}),
        (faults.empty(), 206, b"", {"Content-Length": "0"}),
        (faults.truncated(by=3), 206, DATA[10:17], {"Content-Range": f"bytes 10-19/{len(DATA)}"}),
        (faults.lengthened(by=3), 206, DATA[10:20] + b"xxx", {"Content-Length": "13"}),
        (faults.corrupt(at=12), 206, DATA[10:12] + b"\xf3" + DATA[13:20], {}),
        (faults.corrupt(at=99), 206, DATA[10:20], {}),
        (faults.gzip_anyway(), 206, None, {"Content-Encoding": "gzip"}),
        (faults.chunked(), 206, DATA[10:20], {"Transfer-Encoding": "chunked"}),
        (faults.until_close(), 206, DATA[10:20], {"Connection": "close"}),
        (faults.content_length(4), 206, DATA[10:14], {"Content-Length": "4"}),
        (faults.without("Content-Range"), 206, DATA[10:20], {"Content-Range": None}),
        (faults.status(503), 503, b"", {}),
        (faults.rate_limited(9), 429, None, {"RateLimit": '"resolvers";r=0;t=9'}),
        (faults.rate_limited(9, retry_after=3), 429, b"", {"Retry-After": "3", "RateLimit": None}),
        (faults.redirect("file:///etc/passwd"), 302, b"", {"Location": "file:///etc/passwd"}),
        (faults.garbage_json(), 200, b'{"sha": "not the end', {}),
        (faults.json_value([1]), 200, b"[1]", {}),
        (faults.html(), 200, None, {"Content-Type": "text/html"}),
        (faults.trickle(pause=0.001), 206, DATA[10:20], {}),
        (faults.pace(1_000_000), 206, DATA[10:20], {}),
        (faults.both(faults.truncated(by=9), faults.headers(ETag='"x"')), 206, DATA[10:11], {"ETag": '"x"'}),
    ],
)
def test_answers_are_spoilt_as_told(
    repo: Hub, fault: Fault, status: int, body: bytes | None, headers: dict[str, str | None]
) -> None:
    """Each fault does what its name says to the answer for bytes 10 to 19."""
    repo.misbehave("cdn", fault)
    answer = fetch(repo, Range="bytes=10-19")
    assert answer.status == status
    assert body is None or answer.body == body
    assert {name: answer.headers[name] for name in headers} == headers


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.no_answer(), http.client.RemoteDisconnected),
        (faults.no_answer("rst"), ConnectionResetError),
        (faults.content_length(99), http.client.IncompleteRead),
    ],
)
def test_answers_that_do_not_come(repo: Hub, fault: Fault, error: type[Exception]) -> None:
    """The client sees the connection end."""
    repo.misbehave("cdn", fault)
    with pytest.raises(error):
        fetch(repo, Range="bytes=10-19")


@pytest.mark.parametrize("fault", [faults.silence(), faults.stall(after=3)])
def test_what_stalls_ends_when_the_hub_closes(repo: Hub, fault: Fault) -> None:
    """A stall lasts until the test is over, and no longer."""
    repo.misbehave("cdn", fault)
    parts = urlsplit(resolve(repo))
    with socket.create_connection(("127.0.0.1", repo.cdn.port), timeout=0.05) as client:
        client.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\n\r\n".encode())
        assert drain(client)[1] is TimeoutError
        repo.close()
        client.settimeout(5)
        assert client.recv(1000) == b""


@pytest.mark.parametrize("make", [lambda gate: faults.hold(gate, after=5), faults.hold_head])
def test_a_gate_holds_an_answer_until_it_is_opened(repo: Hub, make: Callable[[threading.Event], Fault]) -> None:
    """The test decides when the answer goes on."""
    gate = threading.Event()
    repo.misbehave("cdn", make(gate))
    repo.misbehave("resolve", faults.do(lambda: threading.Timer(0.02, gate.set).start()))
    assert fetch(repo).body == DATA
    assert gate.is_set()


def test_rules_are_used_in_order_and_as_often_as_told(repo: Hub) -> None:
    """Each fault is used up by the answers it spoils, not by those it leaves alone."""
    repo.misbehave("cdn", faults.corrupt(at=50))
    repo.misbehave("cdn", faults.status(503), path="other.gguf")
    repo.misbehave("resolve", faults.status(502), times=2)
    statuses = [get(f"{repo.url}/Acme/Rocket-GGUF/resolve/main/{PATH}").status for _ in range(3)]
    assert statuses == [502, 502, 302]
    assert fetch(repo, Range="bytes=0-9").body == DATA[:10]
    assert fetch(repo).body != DATA
    assert fetch(repo).body == DATA
    repo.misbehave("cdn", faults.status(500), times=ALWAYS)
    assert {fetch(repo).status for _ in range(3)} == {500}
    repo.behave()
    repo.decide = lambda request: faults.status(418) if request.method == "HEAD" else None
    assert (get(resolve(repo), "HEAD").status, get(resolve(repo)).status) == (418, 200)


def test_signed_addresses_expire(repo: Hub) -> None:
    """After `expire_addresses`, or when used up, an address is 403, and a new one is good."""
    address = resolve(repo)
    assert get(address).status == 200
    repo.expire_addresses()
    assert (get(address).status, get(resolve(repo)).status) == (403, 200)
    repo.address_uses = 1
    once = resolve(repo)
    assert [get(once).status for _ in range(2)] == [200, 403]
    assert get(f"{repo.cdn.url}/repos/x?Signature=forged").status == 403


def test_the_record_tells_who_saw_the_token(repo: Hub) -> None:
    """Requests are kept by kind with their headers."""
    get(f"{repo.url}/Acme/Rocket-GGUF/resolve/main/{PATH}", Authorization="Bearer secret")
    fetch(repo)
    assert [request.token for request in repo.asked("resolve", PATH)] == ["secret", ""]
    assert [request.token for request in repo.asked("cdn")] == [""]
    assert repo.sent(PATH) == len(DATA)
    assert (repo.cdn.connections, repo.cdn.peak) == (1, 1)


def test_a_hub_that_is_down_refuses_and_comes_back(repo: Hub) -> None:
    """Within the block nobody listens; after it the same port answers."""
    with repo.server.down(), pytest.raises(ConnectionRefusedError):
        get(repo.url)
    assert get(f"{repo.url}/api/models/Acme/Rocket-GGUF").status == 200


def test_a_head_that_is_slow_comes_line_by_line(repo: Hub) -> None:
    """Each line after its pause; in the end the answer is right."""
    repo.misbehave("cdn", faults.slow_head(pause=0.01))
    parts = urlsplit(resolve(repo))
    with socket.create_connection(("127.0.0.1", repo.cdn.port)) as client:
        client.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(1000) == b"HTTP/1.1 200 OK\r\n"
        received, error = drain(client)
    assert received.endswith(b"\r\n\r\n" + DATA)
    assert error is None


def test_connections_that_are_muted_stay_open_and_say_nothing(repo: Hub) -> None:
    """In the middle of a body and at the next request; a new connection is served as ever."""
    gate = threading.Event()
    repo.misbehave("cdn", faults.hold(gate, after=5))
    parts = urlsplit(resolve(repo))
    asking = f"GET {parts.path}?{parts.query} HTTP/1.1\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", repo.cdn.port), timeout=0.1) as client:
        client.sendall(asking)
        while not client.recv(10_000).endswith(DATA[:5]):
            pass
        repo.cdn.mute()
        gate.set()
        client.sendall(asking)
        assert drain(client) == (b"", TimeoutError)
        assert fetch(repo).body == DATA


def test_an_endless_answer_has_no_end(repo: Hub) -> None:
    """The array goes on for as long as the client reads."""
    repo.misbehave("tree", faults.endless_json())
    connection = http.client.HTTPConnection("127.0.0.1", repo.server.port)
    connection.request("GET", "/api/models/Acme/Rocket-GGUF/tree/main")
    assert len(connection.getresponse().read(5_000_000)) == 5_000_000
    connection.close()


def test_listings_can_lie(repo: Hub) -> None:
    """A file may be listed with another hash or size than its content has."""
    file = repo.repositories["acme/rocket-gguf"].file(PATH)
    file.listed_sha256, file.listed_size = "1" * 64, 7
    row = next(row for row in HfApi(endpoint=repo.url).list_repo_tree("Acme/Rocket-GGUF") if row.path == PATH)
    assert vars(row)["lfs"].sha256 == "1" * 64
    assert vars(row)["size"] == 7


def test_redirect_loops_lead_to_themselves(repo: Hub) -> None:
    """The address redirects to itself."""
    repo.misbehave("resolve", faults.redirect_loop())
    path = f"/Acme/Rocket-GGUF/resolve/main/{PATH}"
    assert get(f"{repo.url}{path}").headers["Location"].split("?")[0] == path


def test_tls_has_an_authority_of_its_own(tmp_path: Path) -> None:
    """With `tls`, the hub is https, and only who trusts its authority gets an answer."""
    with Hub(tls=True, cdn_tls=False) as hub:
        assert (hub.url[:8], hub.cdn.url[:7]) == ("https://", "http://")
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        for context, status in ((trusting, 200), (ssl.create_default_context(), None)):
            connection = http.client.HTTPSConnection("127.0.0.1", hub.server.port, context=context)
            if status is None:
                with pytest.raises(ssl.SSLCertVerificationError):
                    connection.request("GET", "/api/models")
            else:
                connection.request("GET", "/api/models")
                assert connection.getresponse().status == status
            connection.close()


# The real clients


def test_the_real_api_reads_it(repo: Hub) -> None:
    """HfApi finds sizes and hashes where the real hub has them."""
    repo.tokens = {"hf_x"}
    api = HfApi(endpoint=repo.url, token="hf_x")
    info = api.model_info("acme/rocket-gguf", files_metadata=True)
    assert info.siblings
    weights = next(row for row in info.siblings if row.rfilename == PATH)
    assert weights.lfs
    assert weights.lfs.sha256 == SHA256
    assert api.whoami()["name"] == "tester"
    assert [model.id for model in api.list_models(search="rocket")] == ["Acme/Rocket-GGUF"]


def test_the_real_hf_download_fetches_from_it(repo: Hub, tmp_path: Path) -> None:
    """`hf download` follows its redirects and brings every byte, and the CDN never sees the token."""
    repo.tokens = {"hf_x"}
    environment = {**os.environ, "HF_ENDPOINT": repo.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_x"}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    hf = str(Path(sys.executable).with_name("hf"))
    command = [hf, "download", "Acme/Rocket-GGUF", "--local-dir", str(tmp_path / "target")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "target" / PATH).read_bytes() == DATA
    assert (tmp_path / "target" / "sub" / "empty.json").read_bytes() == b""
    assert {request.token for request in repo.asked("resolve")} == {"hf_x"}
    assert {request.token for request in repo.asked("cdn")} == {""}
