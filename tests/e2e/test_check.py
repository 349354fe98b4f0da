"""`windlass check` from outside: beside a server at work, after a crash, and where nothing is."""

import json
import threading

from e2e.conftest import MIB, gguf
from e2e.outside import Home, Json, Server, sha256
from standin import ALWAYS, Hub, faults


def told(home: Home, *arguments: str) -> tuple[int, list[Json]]:
    ended = home.run("check", "--json", *arguments)
    assert ended.stderr == ""
    found: list[Json] = json.loads(ended.stdout)
    return ended.returncode, found


def test_where_nothing_was_made(home: Home) -> None:
    """All is well, it is said aside, and nothing is made."""
    before = set(home.root.rglob("*"))
    for arguments in (["check"], ["check", "--fix"]):
        ended = home.run(*arguments)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "All is well.\n")
    assert told(home) == (0, [])
    assert set(home.root.rglob("*")) == before


def test_beside_a_server_at_work(acme: Hub, home: Home, server: Server) -> None:
    """What runs and what is paused looks fine, again and again; nothing that has come is lost."""
    acme.add("acme/Long-GGUF", {"Long-Q4_K_M.gguf": gguf(8 * MIB, 7)})
    gate = threading.Event()
    acme.misbehave("cdn", faults.hold(gate, after=MIB), times=ALWAYS)
    runs = server.download("acme/Long-GGUF")["job_id"]
    stands = server.download("acme/rope-8b")["job_id"]
    before = {}
    for job_id in (runs, stands):
        before[job_id] = server.until(job_id, lambda job: job["downloaded_bytes"] >= MIB)["downloaded_bytes"]
    server.ask("POST", f"/api/windlass/v1/jobs/{stands}/pause")
    for _ in range(3):
        assert told(home, "--fix") == (0, [])
    assert all(server.status(job_id)["downloaded_bytes"] >= count for job_id, count in before.items())
    acme.behave()
    gate.set()
    server.ask("POST", f"/api/windlass/v1/jobs/{stands}/resume")
    assert all(server.finished(job_id)["status"] == "completed" for job_id in (runs, stands))
    assert told(home, "--fix") == (0, [])
    file = acme.repositories["acme/long-gguf"].file("Long-Q4_K_M.gguf")
    assert sha256(home.models / "acme" / "Long-GGUF" / file.path) == file.sha256


def test_after_a_crash_and_a_tidy_hand(acme: Hub, home: Home) -> None:
    """Each is told in a line and mended where that is safe; what comes after it goes on with every byte."""
    assert home.run("get", "acme/Eye-GGUF").returncode == 0
    (home.models / "acme" / "Eye-GGUF" / "mmproj-Eye-F16.gguf").unlink()
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    with Server(home) as server:
        job_id = server.download("acme/rope-8b")["job_id"]
        left = server.download("acme/Big-GGUF")["job_id"]
        for each in (job_id, left):
            server.until(each, lambda job: job["downloaded_bytes"] >= MIB)
        answer = server.ask("POST", f"/api/windlass/v1/jobs/{left}/cancel", {"keep_partial": True})
        assert answer.status == 200
        server.kill()
    acme.behave()

    code, found = told(home)
    assert code == 1
    assert {one["kind"] for one in found} == {
        "job_abandoned",
        "partial_unwanted",
        "model_not_whole",
        "receipt_without_file",
    }
    lines = home.run("check").stdout.splitlines()
    assert len(lines) == len(found)
    assert f"{job_id}: it is said to bring in acme/rope-8b, but its process has ended; " in "\n".join(lines)
    assert not any(one["fixed"] for one in found)

    code, mended = told(home, "--fix")
    assert code == 1
    assert [one["kind"] for one in mended if not one["fixed"]] == ["model_not_whole"]
    assert sum(one["freed_bytes"] for one in mended) >= MIB
    [broken] = [one for one in mended if not one["fixed"]]
    assert "windlass verify eye --repair" in broken["hint"]
    assert home.run("verify", "eye", "--repair").returncode == 0
    assert told(home) == (0, [])

    with Server(home) as server:
        assert server.finished(job_id)["status"] == "completed"
    assert acme.sent("rope-8b-Q4_K_M.gguf") <= 3 * MIB + MIB // 4


def test_a_database_that_cannot_be_read(home: Home) -> None:
    """It is said, and stays where it is, for the next start to set aside; the exit code tells."""
    database = home.root / "state" / "windlass.db"
    database.parent.mkdir()
    database.write_bytes(b"none at all" * 1000)
    ended = home.run("check", "--fix")
    assert ended.returncode == 1
    assert ended.stdout.startswith(f"{database}: ")
    assert "cannot be read" in ended.stdout
    assert ended.stdout.count("\n") == 1
    assert database.read_bytes() == b"none at all" * 1000
