"""Starts on what is left: a copy of a moment, a database that cannot be read, one that a server keeps."""

import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from a_postgres import Postgres
from e2e.conftest import MIB
from e2e.outside import PATIENCE, Home, Server, eventually, sha256
from standin import ALWAYS, Hub, faults

GARBAGE = b"this was something else, and it is long enough to be looked at" * 100


def copied(server: Server, home: Home, to: Path) -> Home:
    """What a power cut would leave of this moment: nothing moves while it is copied."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        shutil.copytree(home.root, to, symlinks=True)
    finally:
        server.process.send_signal(signal.SIGCONT)
    return Home(to, home.hub)


def test_a_copy_of_any_moment_goes_on(acme: Hub, home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same job, no further than it was, and it ends right; the first server is not disturbed by it."""
    acme.rate = 3_000_000
    chance = random.Random(3)
    copies = []
    with Server(home) as server:
        job_id = server.download("acme/Big-GGUF")["job_id"]
        for number in range(4):
            time.sleep(chance.uniform(0.0, 0.5))  # the moment is what is being tested
            copies.append(copied(server, home, tmp_path_factory.mktemp("copies") / str(number)))
        acme.rate = None
        assert server.finished(job_id)["status"] == "completed"
    repository = acme.repositories["acme/big-gguf"]
    for copy in copies:
        with Server(copy) as server:
            assert [job["job_id"] for job in server.ask("GET", "/api/windlass/v1/jobs").json["jobs"]] == [job_id]
            assert server.finished(job_id)["status"] == "completed"
        for path in repository.commits[repository.refs["main"]]:
            assert sha256(copy.models / "acme" / "Big-GGUF" / path) == repository.file(path).sha256


def test_who_watches_sees_a_restart_through(acme: Hub, home: Home, tmp_path: Path) -> None:
    """`get` waits for the server at its address, says so, and prints the path in the end as if nothing had been."""
    gate, seen = threading.Event(), tmp_path / "seen"
    acme.misbehave("cdn", faults.hold(gate), times=ALWAYS)
    with Server(home) as server, (tmp_path / "out").open("w+") as out, seen.open("w") as err:
        get = home.start(["get", "acme/rope-8b"], out, err, WINDLASS_URL=server.url)
        eventually(lambda: "queued" in seen.read_text() or "transferring" in seen.read_text())
        server.end()
        eventually(lambda: "waiting for it to come back" in seen.read_text())
        home.more["WINDLASS_PORT"] = server.url.rpartition(":")[2]
        server.restart()
        gate.set()
        assert get.wait(PATIENCE) == 0, seen.read_text()
    assert (tmp_path / "out").read_text() == f"{home.models}/acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf\n"


def test_a_database_that_cannot_be_read_is_set_aside(acme: Hub, home: Home) -> None:
    """The server starts, lists what is on disk, and asking again goes on with what had come; the file is kept."""
    acme.misbehave("cdn", faults.stall(after=2 * MIB), path="rope-8b-Q8_0.gguf", times=ALWAYS)
    database = home.root / "state" / "windlass.db"
    with Server(home) as server:
        server.finished(server.download("acme/rope-8b", "Q4_K_M")["job_id"])
        half = server.download("acme/rope-8b", "Q8_0")["job_id"]
        server.until(half, lambda job: job["downloaded_bytes"] >= 2 * MIB)
        server.kill()
        for name in ("windlass.db", "windlass.db-wal", "windlass.db-shm"):
            (database.parent / name).unlink(missing_ok=True)
        database.write_bytes(GARBAGE)
        acme.behave()
        server.restart()
        [model] = server.ask("GET", "/api/v1/models").json["models"]
        assert model["key"] == "acme/rope-8b"
        assert server.ask("GET", "/api/windlass/v1/jobs").json == {"jobs": []}
        assert server.download("acme/rope-8b", "Q4_K_M")["status"] == "already_downloaded"
        again = server.download("acme/rope-8b", "Q8_0")
        assert server.finished(again["job_id"])["status"] == "completed"
    [aside] = database.parent.glob("windlass.db.unreadable-*")
    assert aside.read_bytes() == GARBAGE
    assert acme.sent("rope-8b-Q8_0.gguf") <= 3 * MIB + MIB // 4


def test_jobs_on_a_server_of_databases(acme: Hub, home: Home, postgres: Postgres) -> None:
    """With PostgreSQL in place of the file: a download, a kill in its midst, a start, the end; nothing in the home."""
    home.more["WINDLASS_DATABASE_URL"] = postgres.url()
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    with Server(home) as server:
        job_id = server.download("acme/Big-GGUF")["job_id"]
        server.until(job_id, lambda job: job["downloaded_bytes"] >= MIB)
        server.kill()
        acme.behave()
        server.restart()
        assert server.finished(job_id)["status"] == "completed"
        assert server.ask("GET", "/api/windlass/v1/jobs").json["jobs"][0]["job_id"] == job_id
        assert server.end() == 0
    assert not (home.root / "state" / "windlass.db").exists()
    assert job_id in home.run("ps", "--all").stdout
