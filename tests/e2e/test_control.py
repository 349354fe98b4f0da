"""Jobs and limits changed from outside: listed page by page, put forward, limited, forgotten."""

from pathlib import Path

import pytest

from e2e.outside import Home, Server
from standin import ALWAYS, Hub, faults

FILES = {f"Thing-{label}.gguf": b"GGUF" + label.encode() * 1000 for label in ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M")}
REPO = "acme/Thing-GGUF"


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, FILES)
    return Home(tmp_path, hub.url)


def download(server: Server, hub: Hub, quantization: str) -> str:
    return str(server.download(f"{hub.url}/{REPO}", quantization)["job_id"])


def test_jobs_page_by_page(home: Home, hub: Hub) -> None:
    """Newest first; each once, however the pages are cut; by status; no more pages after the last."""
    with Server(home) as server:
        ids = [download(server, hub, label) for label in ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M")]
        for job_id in ids:
            server.finished(job_id)
        found, cursor = [], ""
        while True:
            page = server.ask("GET", f"/api/windlass/v1/jobs?status=completed&limit=3&cursor={cursor}").json
            found += [job["job_id"] for job in page["jobs"]]
            if not (cursor := page.get("next_cursor", "")):
                break
        assert found == ids[::-1]
        assert server.ask("GET", "/api/windlass/v1/jobs?status=paused").json == {"jobs": []}
        whole = server.ask("GET", "/api/windlass/v1/jobs").json
        assert [job["job_id"] for job in whole["jobs"]] == ids[::-1]
        assert {job["model"] for job in whole["jobs"]} == {REPO}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("status=running", "status"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=-1", "cursor"),
    ],
)
def test_lists_that_cannot_be_are_refused(home: Home, query: str, param: str) -> None:
    """With the parameter's name."""
    with Server(home) as server:
        answer = server.ask("GET", f"/api/windlass/v1/jobs?{query}")
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request", param)


def test_a_job_is_changed_and_forgotten(home: Home, hub: Hub) -> None:
    """Priority and limit while it waits or runs; forgotten only when it is over, and the model stays."""
    hub.misbehave("cdn", faults.stall(after=100), times=ALWAYS)
    hub.misbehave("small", faults.stall(after=100), times=ALWAYS)
    with Server(home) as server:
        job_id = download(server, hub, "Q2_K")
        path = f"/api/windlass/v1/jobs/{job_id}"
        changed = server.ask("PATCH", path, {"priority": 5, "limit_rate": 1000})
        assert (changed.status, changed.json["priority"], changed.json["limit_rate"]) == (200, 5, 1000)
        assert "limit_rate" not in server.ask("PATCH", path, {"limit_rate": None}).json
        assert server.ask("PATCH", path, {}).json["priority"] == 5
        for body, param in (
            ({"priority": "x"}, "priority"),
            ({"limit_rate": 0}, "limit_rate"),
            ({"state": 1}, "state"),
        ):
            refused = server.ask("PATCH", path, body)
            assert (refused.status, refused.error["param"]) == (400, param)
        refused = server.ask("DELETE", path)
        assert (refused.status, refused.error["type"]) == (409, "invalid_request")
        wrong = server.ask("POST", f"{path}/cancel", {"keep_partial": "no"})
        assert (wrong.status, wrong.error["param"]) == (400, "keep_partial")
        paused, told = server.ask("POST", f"{path}/pause").json, server.ask("GET", path).json
        assert (paused["source"], paused["log"]) == (told["source"], told["log"])
        assert paused["log"]
        server.ask("POST", f"{path}/cancel", {})
        assert server.ask("DELETE", path).json == {"job_id": job_id, "removed": True}
        gone = [server.ask("GET", path), server.ask("PATCH", path, {"priority": 1}), server.ask("DELETE", path)]
        assert [answer.status for answer in gone] == [404, 404, 404]
        assert server.ask("GET", f"/api/v1/models/download/status/{job_id}").error["code"] == "job_not_found"


def test_limits_hold_over_a_restart(home: Home) -> None:
    """What was set is there again, with its schedule, and says what holds now."""
    always = {"from": "00:00", "to": "24:00", "limit_rate": 12_345}
    with Server(home) as server:
        assert server.ask("GET", "/api/windlass/v1/limits").json == {"max_jobs": 3, "connections": 8, "schedule": []}
        answer = server.ask(
            "PUT", "/api/windlass/v1/limits", {"limit_rate": 1_000_000, "max_jobs": 1, "schedule": [always]}
        )
        assert answer.status == 200
        assert (answer.json["limit_rate"], answer.json["limit_rate_now"]) == (1_000_000, 12_345)
        for body, param in (({"limit_rate": -1}, "limit_rate"), ({"schedule": 3}, "schedule"), ({"x": 3}, "x")):
            refused = server.ask("PUT", "/api/windlass/v1/limits", body)
            assert (refused.status, refused.error["param"]) == (400, param)
        refused = server.ask("PUT", "/api/windlass/v1/limits", [])
        assert (refused.status, refused.error["code"]) == (400, "invalid_request")
        server.restart()
        assert server.ask("GET", "/api/windlass/v1/limits").json == answer.json
        lifted = server.ask("PUT", "/api/windlass/v1/limits", {"limit_rate": None, "schedule": []}).json
        assert lifted == {"max_jobs": 1, "connections": 8, "schedule": []}


def test_what_a_person_asks_for_may_be_asked_again(home: Home, hub: Hub) -> None:
    """Pause, resume and cancel, twice each, while many connections run: the same answer, and the same state.

    What is paused asks nothing more of the hub; what cannot be is refused by name, and nothing has changed.
    """
    hub.add("acme/Long-GGUF", {"Long-Q4_K_M.gguf": b"GGUF" + bytes(40_000_000)})
    hub.rate = 2_000_000
    with Server(home) as server:
        job_id = str(server.download(f"{hub.url}/acme/Long-GGUF")["job_id"])
        path = f"/api/windlass/v1/jobs/{job_id}"

        def ask(verb: str) -> tuple[int, str, str]:
            answer = server.ask("POST", f"{path}/{verb}")
            return answer.status, answer.json["status"], answer.json.get("error_code", "")

        def partials() -> list[Path]:
            return list((home.models / ".windlass" / "partial").iterdir())

        def connections() -> int:
            return int(server.ask("GET", path).json["files"][0].get("connections", 0))  # queued, it has none

        server.until(job_id, lambda _: connections() > 4)
        assert [ask("pause"), ask("pause")] == [(200, "paused", "")] * 2
        assert connections() == 0
        asked = len(hub.asked("cdn"))
        server.kill()
        server.restart()
        assert (server.status(job_id)["status"], len(hub.asked("cdn"))) == ("paused", asked)
        assert [ask("resume"), ask("resume")] == [(200, "downloading", "")] * 2
        server.until(job_id, lambda _: connections() > 4)
        assert partials() != []
        assert [ask("cancel"), ask("cancel")] == [(200, "failed", "cancelled")] * 2
        for verb in ("pause", "resume"):
            refused = server.ask("POST", f"{path}/{verb}")
            assert (refused.status, refused.error["code"]) == (409, "illegal_move")
        assert partials() == []
        assert server.ask("DELETE", path).status == 200
        assert server.ask("DELETE", path).status == 404
