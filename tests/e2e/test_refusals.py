"""The contract's table of errors, row by row, from outside; and nothing is written for a refused request."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import Lasting
from e2e.outside import Home, Server
from standin import ALWAYS, Hub, faults

DOWNLOAD = "/api/v1/models/download"
LINKS = "acme/Rope-8B-GGUF"


def tree(root: Path) -> dict[str, int]:
    """Every file below, with its size; the database's own files may change size, so they count by name."""
    return {
        str(path.relative_to(root)): 0 if "windlass.db" in path.name else path.stat().st_size
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("body", "status", "kind", "code", "param", "says"),
    [
        (b"{", 400, "invalid_request", "invalid_model", "model", "JSON"),
        ([1], 400, "invalid_request", "invalid_model", "model", "JSON"),
        ({}, 400, "invalid_request", "invalid_model", "model", "Missing required field 'model'"),
        ({"model": 5}, 400, "invalid_request", "invalid_model", "model", "text"),
        ({"model": ""}, 400, "invalid_request", "invalid_model", "model", "text"),
        ({"model": None}, 400, "invalid_request", "invalid_model", "model", "text"),
        ({"model": "just-a-word"}, 400, "invalid_request", "invalid_model", "model", "owner/name"),
        ({"model": "../../etc/passwd"}, 400, "invalid_request", "invalid_model", "model", ""),
        ({"model": "https://example.com/a/b"}, 400, "invalid_request", "invalid_model", "model", "example.com"),
        ({"model": LINKS, "quantization": 4}, 400, "invalid_request", "invalid_request", "quantization", "text"),
        (
            {"model": LINKS, "quantization": "Q2_K"},
            400,
            "invalid_request",
            "quantization_not_found",
            "quantization",
            "Q8_0",
        ),
        ({"model": "acme/none"}, 404, "model_not_found", "model_not_found", None, "acme/none"),
        ({"model": f"https://huggingface.co/{LINKS}/tree/nope"}, 404, "model_not_found", "model_not_found", None, ""),
        (
            {"model": f"https://huggingface.co/{LINKS}/blob/main/no.gguf"},
            404,
            "model_not_found",
            "model_not_found",
            None,
            "no.gguf",
        ),
        ({"model": "acme/Words"}, 404, "model_not_found", "no_model_files", None, ""),
        ({"model": "acme/Gated-GGUF"}, 403, "model_gated", "model_gated", None, "HF_TOKEN"),
        ({"model": "x" * 70_000}, 413, "invalid_request", "body_too_large", None, "65536"),
    ],
)
def test_a_request_that_cannot_be_met(
    body: Any, status: int, kind: str, code: str, param: str | None, says: str, lasting: Lasting
) -> None:
    """Status, type, code and param as the table has them, a message that helps, and no file more than before."""
    home, server = lasting.home, lasting.server
    lasting.hub.add("acme/Words", {"README.md": b"words"})
    before = tree(home.root)
    answer = server.ask("POST", DOWNLOAD, body)
    assert answer.status == status, answer.body
    assert (answer.error["type"], answer.error["code"], answer.error.get("param")) == (kind, code, param)
    assert says in answer.error["message"]
    assert tree(home.root) == before
    assert not any(server.ask("GET", f"{DOWNLOAD}/status").json.values())


@pytest.mark.parametrize(
    ("kind", "fault", "status", "code"),
    [
        ("info", faults.status(500), 502, "hub_error"),
        ("info", faults.garbage_json(), 502, "hub_error"),
        ("info", faults.html(), 502, "hub_error"),
        ("tree", faults.json_value({"no": "list"}), 502, "hub_error"),
        ("info", faults.rate_limited(250), 503, "hub_rate_limited"),
    ],
)
def test_a_hub_that_does_not_answer_as_it_should(
    kind: str, fault: Any, status: int, code: str, acme: Hub, home: Home, server: Server
) -> None:
    """The hub's failure is told as the hub's, and nothing is written."""
    acme.misbehave(kind, fault, times=ALWAYS)
    before = tree(home.root)
    answer = server.ask("POST", DOWNLOAD, {"model": f"https://huggingface.co/{LINKS}"})
    assert (answer.status, answer.error["type"], answer.error["code"]) == (status, code, code)
    assert ("Retry-After" in {name.title() for name in answer.headers}) == (code == "hub_rate_limited")
    assert tree(home.root) == before


def test_a_hub_that_cannot_be_reached(home: Home) -> None:
    """Nobody listens there: 503 `hub_unreachable`."""
    home.hub = "http://127.0.0.1:9"
    with Server(home) as server:
        answer = server.ask("POST", DOWNLOAD, {"model": f"https://huggingface.co/{LINKS}"})
    assert (answer.status, answer.error["type"], answer.error["code"]) == (503, "hub_unreachable", "hub_unreachable")


def test_no_room_is_said_before_a_byte_is_written(acme: Hub, home: Home) -> None:
    """507 with what is needed and what is free, where the free space must stay free."""
    home.more["WINDLASS_MIN_FREE"] = str(shutil.disk_usage(home.root).total)
    with Server(home) as server:
        before = tree(home.root)
        answer = server.ask("POST", DOWNLOAD, {"model": LINKS})
        assert (answer.status, answer.error["type"], answer.error["code"]) == (507,) + ("insufficient_storage",) * 2
        assert answer.error["needed_bytes"] > 3_000_000
        assert answer.error["free_bytes"] == 0
        assert tree(home.root) == before
    assert acme.sent("rope-8b-Q4_K_M.gguf") == 0


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind", "code"),
    [
        ("POST", DOWNLOAD, {"Content-Type": "text/plain"}, 415, "invalid_request", "unsupported_media_type"),
        ("POST", DOWNLOAD, {"Host": "evil.example"}, 403, "forbidden", "host_not_allowed"),
        ("POST", DOWNLOAD, {"Host": "evil.example:1234"}, 403, "forbidden", "host_not_allowed"),
        ("GET", "/api/v1/models", {"Origin": "http://evil.example"}, 403, "forbidden", "origin_not_allowed"),
        ("GET", "/api/v1/models", {"Origin": "null"}, 403, "forbidden", "origin_not_allowed"),
        ("GET", f"{DOWNLOAD}/status/job_0123456789", {}, 404, "job_not_found", "job_not_found"),
        ("GET", "/nothing/here", {}, 404, "invalid_request", "unknown_endpoint"),
        ("DELETE", "/api/v1/models", {}, 405, "invalid_request", "unknown_endpoint"),
        ("GET", DOWNLOAD, {}, 405, "invalid_request", "unknown_endpoint"),
        ("POST", "/api/v1/models/load", {}, 501, "not_implemented", "not_implemented"),
        ("POST", "/api/v1/models/unload", {}, 501, "not_implemented", "not_implemented"),
        ("POST", "/api/v1/chat", {}, 501, "not_implemented", "not_implemented"),
        ("POST", "/v1/chat/completions", {}, 501, "not_implemented", "not_implemented"),
        ("POST", "/v1/embeddings", {}, 501, "not_implemented", "not_implemented"),
        ("POST", "/api/v0/chat/completions", {}, 501, "not_implemented", "not_implemented"),
        ("GET", "/system", {"Upgrade": "websocket"}, 501, "not_implemented", "not_implemented"),
        ("GET", "/system", {}, 404, "invalid_request", "unknown_endpoint"),
    ],
)
def test_a_request_that_is_not_for_us(
    method: str, path: str, headers: dict[str, str], status: int, kind: str, code: str, lasting: Lasting
) -> None:
    """Refused before anything looks at what it wants."""
    body = {"model": LINKS} if method == "POST" else None
    answer = lasting.server.ask(method, path, body, headers)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (status, kind, code)
    assert answer.error["message"]


def test_what_is_not_offered_is_not_tried_again(lasting: Lasting) -> None:
    """OpenAI's libraries read this header; without it they would ask three times, with pauses, before they tell."""
    answer = lasting.server.ask("POST", "/v1/chat/completions", {"model": "x", "messages": []})
    assert {name.lower(): value for name, value in answer.headers.items()}["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/api/v1/models/", "/v1/models/", "/lmstudio-greeting/", f"{DOWNLOAD}/status/"])
def test_a_slash_at_the_end_says_nothing(lasting: Lasting, path: str) -> None:
    """As it is added by who puts an address together from its parts; the answer is the same, without a redirect."""
    plain, slashed = (lasting.server.ask("GET", one) for one in (path.rstrip("/"), path))
    assert (slashed.status, slashed.body) == (200, plain.body)


def test_a_download_is_asked_for_with_a_slash_at_the_end(lasting: Lasting) -> None:
    """It is read as the call that it means: what is missing is the model, not the endpoint."""
    answer = lasting.server.ask("POST", f"{DOWNLOAD}/", {})
    assert (answer.status, answer.error["message"]) == (400, "Missing required field 'model'")


def test_json_says_its_letters(lasting: Lasting) -> None:
    """Of an answer and of an error, as LM Studio's does; some clients take what does not say so for Latin-1."""
    for path in ("/api/v1/models", f"{DOWNLOAD}/status/job_%C3%A9"):
        answer = lasting.server.ask("GET", path)
        kind = {name.lower(): value for name, value in answer.headers.items()}["content-type"]
        assert kind == "application/json; charset=utf-8"
    assert "job_é" in answer.body.decode("utf-8")


def test_an_unknown_job_is_named(lasting: Lasting) -> None:
    """LM Studio's own words."""
    answer = lasting.server.ask("GET", f"{DOWNLOAD}/status/nobody")
    assert answer.error["message"] == "Download job with id 'nobody' not found"


def test_our_own_names_are_let_in(lasting: Lasting) -> None:
    """localhost, the loopback addresses, and pages of our own."""
    server = lasting.server
    port = server.url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert server.ask("GET", "/api/v1/models", headers=headers).status == 200


def test_names_that_it_was_told_are_let_in(home: Home) -> None:
    """Of a reverse proxy before it, with pages of that name, over https; no other, and none that begins or ends so."""
    with Server(home, "--allow-host", "Models.LAN", "--allow-host", "host.docker.internal") as server:
        for host in ("models.lan", "models.lan:8443", "host.docker.internal:1234"):
            headers = {"Host": host, "Origin": f"https://{host}"}
            assert server.ask("GET", "/api/v1/models", headers=headers).status == 200
        for host in ("lan", "a.models.lan", "models.lan.evil.example"):
            assert server.ask("GET", "/api/v1/models", headers={"Host": host}).error["code"] == "host_not_allowed"
    assert home.run("serve", "--allow-host", "http://models.lan").returncode == 2


def test_a_read_only_state_is_told_in_words(home: Home) -> None:
    """A file in the state folder's place ends the command with words, not with a traceback, and is left alone."""
    home.root.joinpath("state").write_text("in the way")
    ended = home.run("serve")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "state" in ended.stderr
    assert home.root.joinpath("state").read_text() == "in the way"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("HEAD /api/windlass/v1/health HTTP/1.1\r\nHost: localhost", 200),
        ("HEAD /api/v1/models HTTP/1.1\r\nHost: localhost", 200),
        ("HEAD /api/windlass/v1/events HTTP/1.1\r\nHost: localhost", 405),
        ("GET http://localhost/api/v1/models HTTP/1.1\r\nHost: localhost", 200),
        ("GET /api/windlass/v1/health HTTP/1.0", 200),
        ("GET /api/v1/models HTTP/1.0", 403),
        ("GET /api/v1/models HTTP/1.1\r\nHost: evil@localhost", 403),
        ("GET /api/v1/models HTTP/1.1\r\nHost: localhost/", 403),
        ("GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost", 200),
        ("GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: ftp://localhost", 403),
        ("GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil", 403),
    ],
)
def test_requests_as_others_write_them(lasting: Lasting, head: str, status: int) -> None:
    """Monitors, proxies, and those who hope that only the first of two headers is looked at."""
    host, _, port = lasting.server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert int(answer.split()[1]) == status
    assert answer.endswith(b"\r\n\r\n") is head.startswith("HEAD")
