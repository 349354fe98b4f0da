"""What a crash costs: little is fetched twice, nothing is lost, nothing is wrong."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from e2e.conftest import MIB, gguf
from e2e.outside import POLL, Home, Server, sha256
from standin import ALWAYS, Hub, faults


def test_kill_9_half_way(acme: Hub, home: Home) -> None:
    """The same job id, already counted when the server answers again; it goes on by itself and ends right."""
    acme.add("acme/Long-GGUF", {"Long-Q4_K_M.gguf": gguf(40 * MIB, 7)})
    acme.misbehave("cdn", faults.stall(after=2 * MIB), times=ALWAYS)
    with Server(home) as server:
        job = server.download("acme/Long-GGUF")
        before = server.until(job["job_id"], lambda job: job["downloaded_bytes"] >= 10 * MIB)
        server.kill()
        assert home.visible() == set()
        acme.behave()
        server.restart()
        after = server.status(job["job_id"])
        assert after["status"] == "downloading"
        assert after["downloaded_bytes"] >= before["downloaded_bytes"]
        assert server.finished(job["job_id"])["status"] == "completed"
    path = home.models / "acme" / "Long-GGUF" / "Long-Q4_K_M.gguf"
    file = acme.repositories["acme/long-gguf"].file("Long-Q4_K_M.gguf")
    assert sha256(path) == file.sha256
    assert acme.sent(file.path) - file.size <= MIB


def test_killed_again_and_again(acme: Hub, home: Home) -> None:
    """Ten kills at random moments of a job of several files: it completes, and no wrong byte stands there."""
    acme.rate = 3_000_000
    chance = random.Random(11)
    with Server(home) as server:
        job_id = server.download("acme/Big-GGUF")["job_id"]
        for _ in range(10):
            time.sleep(chance.uniform(0.0, 0.25))  # the moment is what is being tested
            server.kill()
            server.restart()
            assert server.status(job_id)["status"] in ("downloading", "completed")
        acme.rate = None
        assert server.finished(job_id)["status"] == "completed"
    repository = acme.repositories["acme/big-gguf"]
    for path in repository.commits[repository.refs["main"]]:
        assert sha256(home.models / "acme" / "Big-GGUF" / path) == repository.file(path).sha256


def test_sigterm_ends_cleanly_and_the_job_goes_on(acme: Hub, home: Home) -> None:
    """Exit 0 within 5 s, mid-transfer; at the next start the job goes on where it was."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    with Server(home) as server:
        job = server.download("acme/rope-8b")
        server.until(job["job_id"], lambda job: job["downloaded_bytes"] >= MIB)
        begun = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 5
        acme.behave()
        server.restart()
        assert server.finished(job["job_id"])["status"] == "completed"
    assert acme.sent("rope-8b-Q4_K_M.gguf") <= 3 * MIB + MIB // 4


def test_sigint_ends_cleanly(home: Home) -> None:
    """Ctrl-C at the server is a normal end."""
    with Server(home) as server:
        assert server.end(signal.SIGINT) == 0


def test_paused_stays_paused_over_a_restart(acme: Hub, home: Home) -> None:
    """Nobody resumes what a person has paused."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    with Server(home) as server:
        job = server.download("acme/rope-8b")
        server.until(job["job_id"], lambda job: job["downloaded_bytes"] >= MIB)
        server.ask("POST", f"/api/windlass/v1/jobs/{job['job_id']}/pause")
        server.kill()
        server.restart()
        assert server.status(job["job_id"])["status"] == "paused"


def test_a_second_server_on_the_same_state_is_refused(home: Home, server: Server) -> None:
    """With the first one's process and address, also where it has the port, too; the first goes on."""
    for port in ("0", server.url.rpartition(":")[2]):
        ended = home.run("serve", "--port", port)
        assert ended.returncode == 1
        assert f"A server runs on this state already: process {server.process.pid}, at {server.url}." in ended.stderr
    assert server.ask("GET", "/lmstudio-greeting").status == 200


def test_a_hub_that_says_nothing_does_not_hold_up_the_end(acme: Hub, home: Home) -> None:
    """Who waits for an answer gets one, in the form of all errors; nobody waits for the hub's own patience."""
    acme.misbehave("info", faults.silence(), times=ALWAYS)
    with Server(home) as server, ThreadPoolExecutor(1) as threads:
        body = {"model": f"{acme.url}/acme/Rope-8B-GGUF"}
        asked = threads.submit(server.ask, "POST", "/api/v1/models/download", body)
        while not acme.asked("info"):
            time.sleep(POLL)
        begun = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 10  # the hub would be waited for three times as long
        answer = asked.result()
        assert (answer.status, answer.error["code"]) == (503, "state_error")
        assert "Traceback" not in server.said
