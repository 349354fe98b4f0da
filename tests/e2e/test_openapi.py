"""The description of the API, asked of a real server: what it says is what happens, and nothing else does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from e2e.outside import Home, Server
from standin import Hub
from windlass.api.app import create_app
from windlass.service import Service
from windlass.settings import load

# Streams never end, and what is not offered says so with 501: both have tests of their own.
ELSEWHERE = r"(/events|/models/load|/models/unload|/chat)$"
REPO = "acme/Thing-GGUF"


def described() -> Any:
    """What `/openapi.json` says, without a server."""
    nowhere = load({"home": "/nonexistent/windlass", "models_dir": "/nonexistent/models"}, {}, Path("/nonexistent"))
    return create_app(Service(nowhere)).openapi()


SCHEMA = schemathesis.openapi.from_dict(described())
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.unsupported_method,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that has a model and a job, and a hub behind it."""
    with Hub() as hub:
        hub.add(REPO, {"Thing-Q4_K_M.gguf": b"GGUF" + bytes(1000)})
        with Server(Home(tmp_path_factory.mktemp("home"), hub.url)) as server:
            server.finished(server.download(f"{hub.url}/{REPO}")["job_id"])
            yield server


def test_a_server_says_the_same(server: Server) -> None:
    """As the description that the next test goes by."""
    assert server.ask("GET", "/openapi.json").json == json.loads(json.dumps(described()))


@SCHEMA.exclude(path_regex=ELSEWHERE).parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_what_is_described_is_what_happens(case: Any, server: Server) -> None:
    """Whatever is asked, as described or not: no 5xx, and no answer that is not described."""
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@pytest.mark.parametrize("path", ["/api/v1/models/load", "/api/v1/models/unload", "/api/v1/chat"])
def test_what_is_not_offered_says_so(server: Server, path: str) -> None:
    """501, as described; another method is 405 and names the right one."""
    answer = server.ask("POST", path, {"model": "x"})
    assert (answer.status, answer.error["code"]) == (501, "not_implemented")
    wrong = server.ask("GET", path)
    assert (wrong.status, wrong.error["code"], wrong.headers["allow"]) == (405, "unknown_endpoint", "POST")


def test_all_methods_of_a_path_are_named(server: Server) -> None:
    """Where a path has several; a path that has none is 404."""
    answer = server.ask("POST", "/api/windlass/v1/jobs/job_0123456789", {})
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PATCH")
    assert server.ask("POST", "/api/windlass/v1/nothing", {}).status == 404


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    """It is text: no script, no other origin, and the browser is told so; each call is on it."""
    answer = server.ask("GET", "/docs")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    text = answer.body.decode()
    assert "<script" not in text
    assert "http://" not in text.replace("http://127.0.0.1", "")
    for path in server.ask("GET", "/openapi.json").json["paths"]:
        assert f"<code>{path}</code>" in text
    assert server.ask("GET", "/redoc").status == 404
