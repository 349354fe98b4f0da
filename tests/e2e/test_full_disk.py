"""A disk that runs full while a model comes in, for real: a small file system, a process, and somebody who makes room.

Another program fills the disk meanwhile: a file that takes all but so many bytes of it.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.conftest import MIB, gguf
from e2e.outside import Home, Json, Server, sha256
from standin import ALWAYS, Hub, faults

DISK, MODEL = 64 * MIB, 40 * MIB
REPO, NAME = "acme/Long-GGUF", "Long-Q4_K_M.gguf"


@dataclass
class Disk:
    """A small file system."""

    path: Path

    @property
    def free(self) -> int:
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    @property
    def ballast(self) -> Path:
        return self.path / "ballast"

    @contextmanager
    def all_but(self, size: int) -> Iterator[None]:
        """So much is left of it, until the block ends."""
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free - size)
        try:
            yield
        finally:
            self.ballast.unlink(missing_ok=True)


@pytest.fixture
def disk(home: Home) -> Iterator[Disk]:
    """The models folder of this machine is a disk of its own."""
    home.models.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(home.models)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield Disk(home.models)
    subprocess.run(["umount", "-l", home.models], check=True)


@pytest.fixture
def gate(acme: Hub) -> Iterator[threading.Event]:
    """The model's bytes stop after a few MiB of each connection, until this is set."""
    acme.add(REPO, {NAME: gguf(MODEL, 7)})
    gate = threading.Event()
    acme.misbehave("cdn", faults.hold(gate, after=2 * MIB), times=ALWAYS)
    yield gate
    gate.set()


def waits(server: Server, job_id: str) -> Json:
    """The job once it waits for room."""
    job = server.until(job_id, lambda job: job["status"] != "downloading")
    assert (job["status"], job["error_code"]) == ("paused", "insufficient_storage"), job
    return job


def stays(server: Server, job_id: str, seconds: float) -> None:
    """It goes on waiting: nobody sees that but who watches for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.status(job_id)["status"] == "paused"
        time.sleep(0.2)


def lacks(job: Json) -> int:
    needed: int = job["total_size_bytes"] - job["downloaded_bytes"]
    return needed


def assert_completes(server: Server, waited: Json, acme: Hub, home: Home) -> None:
    """The job that waited ends with the right bytes, and took no more of them from the hub than it lacked."""
    done = server.finished(waited["job_id"])
    assert done["status"] == "completed", done
    assert "error_code" not in done
    assert sha256(home.models / REPO / NAME) == acme.repositories[REPO.lower()].file(NAME).sha256
    [file] = server.ask("GET", f"/api/windlass/v1/jobs/{done['job_id']}").json["files"]
    assert file["fetched_bytes"] <= lacks(waited) + MIB


def started(server: Server, disk: Disk) -> str:
    """A job that has some MiB on the disk and is held there."""
    job_id: str = server.download(REPO)["job_id"]
    server.until(job_id, lambda job: job["downloaded_bytes"] >= 2 * MIB)
    return job_id


def test_the_disk_is_full_and_then_is_not(acme: Hub, home: Home, disk: Disk, gate: threading.Event) -> None:
    """To the last byte: the job waits and says what it lacks; nothing partial is seen, and with room it completes."""
    with Server(home) as server:
        job_id = started(server, disk)
        with disk.all_but(MIB):
            gate.set()
            job = waits(server, job_id)
            assert f"{lacks(job):,} more bytes" in job["error_message"]
            assert str(home.models) in job["error_message"]
            assert home.visible() == {"ballast"}
            stays(server, job_id, 2.0)
        assert_completes(server, job, acme, home)


def test_killed_while_it_waits(acme: Hub, home: Home, disk: Disk, gate: threading.Event) -> None:
    """With kill -9: with the server there again it still waits, with no byte less, and goes on when there is room."""
    with Server(home) as server:
        job_id = started(server, disk)
        with disk.all_but(MIB):
            gate.set()
            job = waits(server, job_id)
            server.kill()
            server.restart()
            stays(server, job_id, 2.0)
            assert server.status(job_id) == job
        assert_completes(server, job, acme, home)


def test_what_must_stay_free_does(acme: Hub, home: Home, disk: Disk, gate: threading.Event) -> None:
    """Not the disk's end counts but the setting; a person's pause of a job that waits is not ended by room."""
    home = replace(home, more={"WINDLASS_MIN_FREE": "10M", "WINDLASS_LIMIT_RATE": "6M"})
    with Server(home) as server:
        job_id = started(server, disk)
        with disk.all_but(10_000_000 + 12 * MIB):
            gate.set()
            job = waits(server, job_id)
            assert disk.free >= 10_000_000
            assert job["downloaded_bytes"] >= 4 * MIB
            paused = server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/pause").json
            assert "error_code" not in paused
            refused = server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/resume")
            assert (refused.status, refused.error["code"]) == (507, "insufficient_storage")
        stays(server, job_id, 2.5)
        server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/resume")
        assert_completes(server, job, acme, home)


def test_windlass_own_records_are_on_the_full_disk(acme: Hub, home: Home, disk: Disk, gate: threading.Event) -> None:
    """As they are in most homes: that the job waits is noted on a disk that has not a byte left."""
    home = replace(home, more={"WINDLASS_HOME": str(disk.path / ".windlass-state")})
    with Server(home) as server:
        job_id = started(server, disk)
        with disk.all_but(0):
            gate.set()
            job = waits(server, job_id)
            stays(server, job_id, 2.0)
        assert_completes(server, job, acme, home)
