"""What a download would do, asked from outside: over REST and on the command line, with a server and without."""

import hashlib
import json
from pathlib import Path

import pytest

from e2e.outside import Home, Server
from standin import Hub

REPO = "acme/Thing-4B-GGUF"
FILES = {
    "Thing-4B-Q4_K_M.gguf": b"GGUF" + b"4" * 4000,
    "Thing-4B-Q8_0.gguf": b"GGUF" + b"8" * 8000,
    "mmproj-F16.gguf": b"GGUF" + b"p" * 300,
    "README.md": b"# Thing",
}
MLX = {"config.json": b'{"quantization": {"bits": 4, "group_size": 64}}', "model.safetensors": b"m" * 3000}
YAML = """\
model: acme/thing-4b
base:
  - key: acme/thing-4b-gguf
    sources: [{type: huggingface, user: acme, repo: Thing-4B-GGUF}]
  - key: acme/thing-4b-mlx-4bit
    sources: [{type: huggingface, user: acme, repo: Thing-4B-MLX-4bit}]
"""


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, FILES)
    hub.add("acme/Thing-4B-MLX-4bit", MLX)
    hub.add_model(YAML, "acme", "thing-4b", REPO)
    return Home(tmp_path, hub.url)


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")} if root.exists() else set()


def test_a_plan_tells_what_a_download_would_do_and_does_nothing(home: Home, hub: Hub) -> None:
    """Files with sizes and hashes, what is to be fetched, why, and every quantization with the default marked."""
    with Server(home) as server:
        before = everything(home.root)
        answer = server.ask("POST", "/api/windlass/v1/plan", {"model": f"{hub.url}/{REPO}", "quantization": "q8_0"})
        assert answer.status == 200
        assert everything(home.root) - before == set()
        assert server.ask("GET", "/api/v1/models/download/status").json["downloading"] == []
    plan = answer.json
    weights, projector = FILES["Thing-4B-Q8_0.gguf"], FILES["mmproj-F16.gguf"]
    assert [(file["path"], file["size_bytes"], file["sha256"], file["state"]) for file in plan["files"]] == [
        (f"{REPO}/Thing-4B-Q8_0.gguf", len(weights), hashlib.sha256(weights).hexdigest(), "absent"),
        (f"{REPO}/mmproj-F16.gguf", len(projector), hashlib.sha256(projector).hexdigest(), "absent"),
    ]
    assert plan["bytes_to_fetch"] == plan["total_size_bytes"] == len(weights) + len(projector)
    assert plan["items"][0]["quantization"] == {"name": "Q8_0"}
    assert (plan["gated"], plan["fits_disk"], plan["format"]) == (False, True, "gguf")
    assert "Q8_0 was asked for." in plan["why"]
    assert [(one["name"], one["default"], one["selected"]) for one in plan["quantizations"]] == [
        ("Q4_K_M", True, False),
        ("Q8_0", False, True),
    ]
    assert all(one["fits_memory"] in {"gpu", "gpu+ram", "ram"} for one in plan["quantizations"])


def test_a_catalog_models_plan_knows_all_its_bases(home: Home) -> None:
    """GGUF is taken here; what the MLX base comes in is there to choose from, too."""
    with Server(home) as server:
        plan = server.ask("POST", "/api/windlass/v1/plan", {"model": "acme/thing-4b"}).json
        assert [one["name"] for one in plan["quantizations"]] == ["4bit", "Q4_K_M", "Q8_0"]
        assert [one["name"] for one in plan["quantizations"] if one["default"]] == ["Q4_K_M"]
        chosen = server.ask("POST", "/api/windlass/v1/plan", {"model": "acme/thing-4b", "format": "mlx"}).json
        assert (chosen["format"], chosen["quantization"]) == ("mlx", "4bit")


def test_what_is_here_need_not_be_fetched(home: Home, hub: Hub) -> None:
    """After the download the same plan fetches nothing, and says so of each file."""
    with Server(home) as server:
        job = server.download(f"{hub.url}/{REPO}")
        assert server.finished(job["job_id"])["status"] == "completed"
        plan = server.ask("POST", "/api/windlass/v1/plan", {"model": f"{hub.url}/{REPO}"}).json
    assert plan["bytes_to_fetch"] == 0
    assert [file["state"] for file in plan["files"]] == ["present", "present"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "acme/Thing-4B-GGUF", "quantization": "Q2_K"}, 400, "quantization_not_found"),
        ({"model": "acme/nothing"}, 404, "model_not_found"),
        ({"model": "ftp://x"}, 400, "invalid_model"),
        ({}, 400, "invalid_model"),
    ],
)
def test_what_cannot_be_planned_is_refused_as_a_download_is(home: Home, body: object, status: int, code: str) -> None:
    """The same answers."""
    with Server(home) as server:
        answer = server.ask("POST", "/api/windlass/v1/plan", body)
        assert (answer.status, answer.json["error"]["code"]) == (status, code)


def test_a_gated_model_can_be_planned(home: Home, hub: Hub) -> None:
    """Its listing is public: the plan says that access must be asked for."""
    hub.add("acme/Gated-GGUF", {"Gated-Q4_K_M.gguf": b"GGUF" * 9}, gated="manual")
    with Server(home) as server:
        plan = server.ask("POST", "/api/windlass/v1/plan", {"model": f"{hub.url}/acme/Gated-GGUF"}).json
    assert plan["gated"]


def test_the_command_needs_no_server_and_makes_no_database(home: Home, hub: Hub) -> None:
    """As a table for people, as JSON for programs."""
    done = home.run("plan", f"{hub.url}/{REPO}")
    assert done.returncode == 0, done.stderr
    for text in ("Thing-4B-Q4_K_M.gguf", "Q8_0", "default", "to fetch"):
        assert text in done.stdout
    plan = json.loads(home.run("plan", "acme/thing-4b@q8_0", "--json").stdout)
    assert plan["quantization"] == "Q8_0"
    assert not list(home.root.rglob("windlass.db"))
    assert home.run("plan", "acme/nothing").returncode == 3
    assert home.run("plan", f"{hub.url}/{REPO}@Q2_K").returncode == 3


def test_three_hundred_requests_cost_one_listing(home: Home, hub: Hub) -> None:
    """Or a few, where they take longer than the seconds for which it is kept."""
    with Server(home) as server:
        jobs = {server.download(f"{hub.url}/{REPO}")["job_id"] for _ in range(300)}
    assert len(jobs) <= 2  # the one that did it, and the record of a model that is here
    assert len(hub.asked("tree")) <= 10
