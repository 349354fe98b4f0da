"""The client: the server's answers, its errors as ours, and what is no Windlass server at all."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme

from hub.hubsite import Answer, Site, as_json, serve
from windlass.client.calls import Call
from windlass.client.client import Client
from windlass.client.failures import job_failure
from windlass.errors import HubRateLimited, InsufficientStorage, ServerFailure, ServerUnreachable


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    with serve(site) as server:
        yield site
        server.shutdown()


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with Client(site.address + "/v1/", "sk-lm-x") as client:
        yield client


def test_it_asks_by_the_contracts_paths(site: Site, client: Client) -> None:
    """A trailing `/v1` of the address is taken off; the token goes along; the answers are the bodies."""
    site.pages = {
        "/api/windlass/v1/jobs/job_1": as_json({"job_id": "job_1"}),
        "/api/v1/models/download/status": as_json({"paused": []}),
        "/api/v1/models": as_json({"models": [{"key": "a"}]}),
        "/api/windlass/v1/health": as_json({"status": "ok", "version": "0.1.0"}),
    }
    assert dict(client.job("job_1")) == {"job_id": "job_1"}
    assert client.jobs() == {"paused": []}
    assert client.models() == [{"key": "a"}]
    assert client.is_windlass()
    assert {headers["authorization"] for headers in site.headers} == {"Bearer sk-lm-x"}


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        ({"message": "No.", "code": "job_not_found", "type": "x"}, "No.", "job_not_found"),
        ({"message": "No.", "type": "model_gated"}, "No.", "model_gated"),
        ({"message": ["a"], "code": {"b": 1}}, "['a']", "{'b': 1}"),
        ({}, "HTTP 404", None),
    ],
)
def test_a_servers_error_is_passed_on(
    site: Site, client: Client, error: dict[str, object], message: str, code: str | None
) -> None:
    """Its words, its code and its status; odd types do no harm."""
    site.pages["/api/windlass/v1/jobs/x"] = Answer(404, json.dumps({"error": error}).encode())
    with pytest.raises(ServerFailure) as caught:
        client.job("x")
    assert (caught.value.message, caught.value.remote_code, caught.value.status) == (message, code, 404)


ROOM = {"message": "Full.", "code": "insufficient_storage", "needed_bytes": 5, "free_bytes": 0}


@pytest.mark.parametrize(
    ("error", "headers", "numbers"),
    [
        (ROOM, {}, {"needed": 5, "free": 0}),
        ({**ROOM, "needed_bytes": "much", "free_bytes": None}, {}, {"needed": None, "free": None}),
        ({"message": "Slow.", "code": "hub_rate_limited"}, {"Retry-After": "7"}, {"retry_after": 7.0}),
        ({"message": "Slow.", "code": "hub_rate_limited"}, {"Retry-After": "soon"}, {"retry_after": None}),
        ({"message": "Slow.", "code": "hub_rate_limited"}, {}, {"retry_after": None}),
        ({"message": "No.", "code": "model_not_found", "needed_bytes": 5}, {"Retry-After": "7"}, {}),
    ],
)
def test_an_error_has_the_numbers_of_its_class(
    site: Site, client: Client, error: dict[str, object], headers: dict[str, str], numbers: dict[str, object]
) -> None:
    """What the answer says, None for what it does not; an error of another class has none of them."""
    site.pages["/api/windlass/v1/jobs/x"] = Answer(503, json.dumps({"error": error}).encode(), headers)
    with pytest.raises(ServerFailure) as caught:
        client.job("x")
    names = ("needed", "free", "retry_after")
    assert {name: getattr(caught.value, name) for name in names if hasattr(caught.value, name)} == numbers


def test_a_failed_job_tells_no_numbers() -> None:
    """The job has only words for them: they are None, as their types say."""
    full = job_failure({"error_code": "insufficient_storage", "error_message": "Full."})
    assert isinstance(full, InsufficientStorage)
    assert (full.needed, full.free) == (None, None)
    slow = job_failure({"error_code": "hub_rate_limited", "error_message": "Slow."})
    assert isinstance(slow, HubRateLimited)
    assert slow.retry_after is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>"),
        Answer(200, b"[1]"),
        Answer(500, b"oops"),
        Answer(404, b'{"error": "text"}'),
        Answer(200, b"\xff"),
    ],
)
def test_another_server_is_recognised(site: Site, client: Client, answer: Answer) -> None:
    """It is told as such, and it is none of ours."""
    site.pages["/api/windlass/v1/health"] = answer
    assert not client.is_windlass()
    with pytest.raises(ServerFailure, match="does not answer as a Windlass server does"):
        client.ask(Call("GET", "/api/windlass/v1/health"))


def test_what_lm_studio_says_of_a_call_that_it_has_not(site: Site, client: Client) -> None:
    """It answers 200, with a text for an error; that is no result."""
    site.pages["/api/windlass/v1/jobs/x"] = as_json({"error": "Unexpected endpoint or method."})
    with pytest.raises(ServerFailure, match="Unexpected endpoint"):
        client.job("x")


def test_lm_studio_itself_is_not_windlass(site: Site, client: Client) -> None:
    """It listens at the same port, and answers with JSON."""
    site.pages["/api/windlass/v1/health"] = as_json({"error": "Unexpected endpoint or method."})
    assert not client.is_windlass()


def test_where_nobody_answers_the_hint_says_what_to_start() -> None:
    """A refused connection."""
    with Client("http://127.0.0.1:9") as client:
        assert not client.is_windlass()
        with pytest.raises(ServerUnreachable, match=r"No server answers at http://127\.0\.0\.1:9") as caught:
            client.jobs()
    assert caught.value.hint
    assert "windlass serve" in caught.value.hint


def test_over_tls_the_certificate_counts() -> None:
    """Plain http reads no certificates; https does, and refuses one that nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    address = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with Client(address) as client, pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        client.jobs()
    thread.join(5)
    listener.close()
