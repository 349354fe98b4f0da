"""Looking for models from outside: over REST and on the command line, with a server and without."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from e2e.conftest import Lasting
from e2e.outside import Home, Server
from standin import ALWAYS, Hub, faults

GGUF = {"M-Q4_K_M.gguf": b"GGUF"}
YAML = "model: acme/thing-4b\nbase: acme/Thing-4B-GGUF/M-Q4_K_M.gguf\n"
FOUND = ["acme/thing-4b", "acme/Thing-0B-GGUF", "acme/Thing-1B-GGUF", "acme/Thing-2B-GGUF", "acme/Thing-3B-GGUF"]


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    for number in range(4):
        card = {"downloads": 9000 - number, "tags": ["gguf"]}
        hub.add(f"acme/Thing-{number}B-GGUF", GGUF, card=card, gated="auto" if number == 3 else False)
    hub.add("acme/Plane-MLX", {"model.safetensors": b"m"}, card={"downloads": 5, "tags": ["mlx"]})
    hub.add_model(YAML, "acme", "thing-4b", "acme/Thing-1B-GGUF")
    return Home(tmp_path, hub.url)


def test_page_by_page_over_rest(home: Home) -> None:
    """The catalog's models first; what a row tells; and nothing is written."""
    with Server(home) as server:
        before = {*home.root.rglob("*")}
        rows, cursor = [], ""
        while True:
            answer = server.ask("GET", f"/api/windlass/v1/search?q=thing&limit=2&cursor={quote(cursor)}")
            assert answer.status == 200
            assert len(answer.json["models"]) <= 2
            rows += answer.json["models"]
            if not (cursor := answer.json.get("next_cursor", "")):
                break
        assert {*home.root.rglob("*")} == before
    assert [row["id"] for row in rows] == FOUND
    assert [row["source"] for row in rows] == ["catalog", *["huggingface"] * 4]
    assert [row["gated"] for row in rows] == [False, False, False, False, True]
    assert (rows[1]["formats"], rows[1]["downloads"], rows[1]["publisher"]) == (["gguf"], 9000, "acme")


@pytest.mark.parametrize(
    ("query", "ids"),
    [("q=plane", ["acme/Plane-MLX"]), ("q=plane&format=gguf", []), ("format=mlx&q=PLANE", ["acme/Plane-MLX"])],
)
def test_by_format_over_rest(home: Home, query: str, ids: list[str]) -> None:
    """Both formats where none is named."""
    with Server(home) as server:
        assert [row["id"] for row in server.ask("GET", f"/api/windlass/v1/search?{query}").json["models"]] == ids


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("limit=101", "limit"),
        ("format=onnx", "format"),
        ("cursor=x", "cursor"),
        (f"q={'x' * 300}", "q"),
    ],
)
def test_bad_queries_are_refused(lasting: Lasting, query: str, param: str) -> None:
    """With the parameter's name."""
    answer = lasting.server.ask("GET", f"/api/windlass/v1/search?{query}")
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request", param)


def test_nobody_there_is_said(home: Home, hub: Hub) -> None:
    """503 when neither catalog nor hub can be reached; the command ends with the code for it."""
    hub.close()
    with Server(home) as server:
        answer = server.ask("GET", "/api/windlass/v1/search?q=thing")
        assert (answer.status, answer.error["code"]) == (503, "hub_unreachable")
    done = home.run("search", "thing")
    assert (done.returncode, done.stdout) == (6, "")
    assert "Traceback" not in done.stderr


def test_the_command(home: Home, hub: Hub) -> None:
    """A table for people, JSON for programs; no server is needed, and no database is made."""
    done = home.run("search", "thing")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == FOUND
    assert "catalog" in lines[1]
    assert "9.00k" in lines[2]
    assert "asks for access" in lines[5]
    assert [row["id"] for row in json.loads(home.run("search", "thing", "--json").stdout)] == FOUND
    few = home.run("search", "thing", "--limit", "2")
    assert [line.split()[0] for line in few.stdout.splitlines()[1:]] == FOUND[:2]
    assert "There are more" in few.stderr
    assert home.run("search", "--mlx", "plane").stdout.splitlines()[1].split()[0] == "acme/Plane-MLX"
    nothing = home.run("search", "submarine")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "submarine" in nothing.stderr
    assert not [*home.root.rglob("windlass.db")]
    hub.misbehave("picks", faults.garbage_json(), times=ALWAYS)
    assert "warning: The catalog was passed over" in home.run("search", "thing").stderr


def test_the_command_asks_a_server_that_runs(home: Home) -> None:
    """The same answer."""
    with Server(home) as server:
        done = home.run("search", "thing", "--json", WINDLASS_URL=server.url)
    assert [row["id"] for row in json.loads(done.stdout)] == FOUND
