"""Tokens from outside: none asked for until one is made, then from everybody, at once and by scope."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from e2e.outside import Home, Server
from standin import Hub

REPO = "acme/Thing-GGUF"
OWN = "/api/windlass/v1"
FREE = ["/lmstudio-greeting", f"{OWN}/health"]
READ = [
    "/api/v1/models",
    "/v1/models",
    "/api/v1/models/download/status",
    f"{OWN}/jobs",
    f"{OWN}/limits",
    "/openapi.json",
]


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, {"Thing-Q4_K_M.gguf": b"GGUF" + bytes(1000)})
    return Home(tmp_path, hub.url)


def make(home: Home, *scopes: str) -> dict[str, str]:
    """The header with a new token."""
    done = home.run("token", "create", *(part for scope in scopes for part in ("--scope", scope)))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {"Authorization": f"Bearer {done.stdout.strip()}"}


def test_a_token_is_asked_for_as_soon_as_there_is_one(home: Home, hub: Hub) -> None:
    """By a server that runs already; with it all is as before, and with the last one revoked nobody is asked."""
    body = {"model": f"{hub.url}/{REPO}"}
    with Server(home) as server:
        assert server.ask("GET", "/api/v1/models").status == 200
        good = make(home)
        for path in FREE:
            assert server.ask("GET", path).status == 200
        bad = [{}, {"Authorization": "Bearer sk-lm-AAAAAAAA:BBBBBBBBBBBBBBBBBBBB"}, {"Authorization": "Basic eDp5"}]
        for path in READ:
            for headers in bad:
                answer = server.ask("GET", path, headers=headers)
                assert (answer.status, answer.error["type"], answer.error["code"]) == (
                    401,
                    "invalid_request",
                    "invalid_api_key",
                )
                # whole: what looks like a secret in a message is masked, and this must not
                assert answer.error["hint"] == "Send one as `Authorization: Bearer <token>` (LM_API_TOKEN)."
            assert server.ask("GET", path, headers=good).status == 200
        assert server.ask("POST", "/api/v1/models/download", body).status == 401
        assert server.ask("GET", "/no/such/path").status == 401
        started = server.ask("POST", "/api/v1/models/download", body, headers=good)
        assert started.status == 200
        [listed] = json.loads(home.run("token", "list", "--json").stdout)
        assert (listed["name"], listed["scopes"]) == ("token-1", ["read", "download", "admin"])
        assert good["Authorization"].rpartition(":")[2] not in json.dumps(listed)
        assert home.run("token", "revoke", "token-1").returncode == 0
        assert server.ask("GET", "/api/v1/models", headers=good).status == 200
        assert home.run("token", "revoke", "token-1").returncode == 3


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [("read", [200, 200, 403, 403]), ("download", [403, 403, 200, 403]), ("admin", [403, 403, 403, 200])],
)
def test_scopes(home: Home, hub: Hub, scope: str, statuses: list[int]) -> None:
    """Each opens its own calls and no others; what is missing is named."""
    body = {"model": f"{hub.url}/{REPO}"}
    with Server(home) as server:
        token = make(home, scope)
        answers = [
            server.ask("GET", f"{OWN}/jobs", headers=token),
            server.ask("POST", f"{OWN}/plan", body, headers=token),
            server.ask("POST", "/api/v1/models/download", body, headers=token),
            server.ask("PUT", f"{OWN}/limits", {"max_jobs": 2}, headers=token),
        ]
        assert [answer.status for answer in answers] == statuses
        for answer in answers:
            if answer.status == 403:
                assert (answer.error["type"], answer.error["code"]) == ("forbidden", "insufficient_scope")


def test_the_command_line_sends_its_token(home: Home, hub: Hub) -> None:
    """From LM_API_TOKEN; without it, it ends with the code for no access."""
    token = make(home)["Authorization"].removeprefix("Bearer ")
    with Server(home) as server:
        refused = home.run("get", f"{hub.url}/{REPO}", WINDLASS_URL=server.url)
        assert (refused.returncode, refused.stdout) == (4, "")
        assert "LM_API_TOKEN" in refused.stderr
        done = home.run("get", f"{hub.url}/{REPO}", WINDLASS_URL=server.url, LM_API_TOKEN=token)
        assert (done.returncode, Path(done.stdout.strip()).name) == (0, "Thing-Q4_K_M.gguf"), done.stderr


def test_others_get_in_with_a_token_or_not_at_all(home: Home) -> None:
    """Beyond loopback no server starts without one, unless it was said that everybody may."""
    refused = home.run("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "token create" in refused.stderr
    with Server(home, "--host", "0.0.0.0", "--insecure") as server:
        assert server.ask("GET", "/api/v1/models").status == 200
    token = make(home)
    with Server(home, "--host", "0.0.0.0") as server:
        assert server.ask("GET", "/api/v1/models").status == 401
        assert server.ask("GET", "/api/v1/models", headers=token).status == 200


def test_pages_of_other_sites(home: Home) -> None:
    """Refused, but for those that were named; what browsers ask before is answered for those only."""
    page = {"Origin": "https://page.example"}
    ask_first = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with Server(home) as server:
        assert server.ask("GET", "/api/v1/models", headers=page).error["code"] == "origin_not_allowed"
        assert server.ask("OPTIONS", "/api/v1/models/download", headers=ask_first).status == 403
    with Server(home, "--cors", "https://page.example") as server:
        allowed = server.ask("GET", "/api/v1/models", headers=page)
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://page.example")
        assert server.ask("OPTIONS", "/api/v1/models/download", headers=ask_first).status == 200
        other = server.ask("GET", "/api/v1/models", headers={"Origin": "https://other.example"})
        assert other.error["code"] == "origin_not_allowed"
    for name, value in {"x-content-type-options": "nosniff", "x-frame-options": "DENY"}.items():
        assert allowed.headers[name] == value


def test_with_the_last_token_gone_others_stay_out(home: Home) -> None:
    """A server that others reach does not open itself to them because nobody has a token any more."""
    home.run("token", "create", "--name", "only")
    with Server(home, "--host", "0.0.0.0") as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert server.ask("GET", "/api/v1/models").status == 401
        assert home.run("token", "revoke", "only").returncode == 0
        assert server.ask("GET", "/api/v1/models").error["code"] == "invalid_api_key"
        assert server.ask("GET", "/api/windlass/v1/health").status == 200


def test_whoever_is_let_in_no_more_is_told_no_more(home: Home) -> None:
    """A stream of events that was begun without a token ends once there is one, and with its token when that goes."""

    def follow(token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return urlopen(Request(f"{server.url}/api/windlass/v1/events", headers=headers), timeout=60)

    with Server(home) as server, follow() as stream:
        assert stream.readline()
        token = home.run("token", "create", "--name", "one").stdout.strip()
        stream.read()  # to its end, which comes
        with follow(token) as second:
            assert second.readline()
            assert home.run("token", "create", "--name", "two").returncode == 0
            assert home.run("token", "revoke", "one").returncode == 0
            second.read()
