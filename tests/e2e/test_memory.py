"""What a server takes of the machine's memory while it works."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from e2e.outside import Home, Server
from standin import ALWAYS, Hub, faults
from standin.content import Repeated

MIB = 1024 * 1024
HEAD = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


@pytest.mark.parametrize("shards", [1, 2])
def test_three_jobs_of_eight_connections_fit_in_150_mb(hub: Hub, tmp_path: Path, shards: int) -> None:
    """All 24 at once, each with bytes on its way; the most that the process has ever held is what counts."""
    hub.misbehave("cdn", faults.pace(4_000_000), times=ALWAYS)
    for name in "abc":
        hub.add(f"acme/{name}-GGUF", _model(name, shards))
    with Server(Home(tmp_path, hub.url, {"WINDLASS_MAX_JOBS": "3"}).real) as server:
        jobs = [server.download(f"{hub.url}/acme/{name}-GGUF")["job_id"] for name in "abc"]
        assert [server.finished(job)["status"] for job in jobs] == ["completed"] * 3
        peak = _most_resident(server.process.pid)
    assert 20 <= hub.cdn.peak <= 24 + 3 * (shards - 1) * 8  # a second file begins while the first has all of them
    assert peak < 150_000_000


def _model(name: str, shards: int) -> Mapping[str, Repeated]:
    """128 MiB in so many files."""
    ends = [""] if shards == 1 else [f"-{n:05}-of-{shards:05}" for n in range(1, shards + 1)]
    return {
        f"{name}-Q4_K_M{end}.gguf": Repeated(HEAD + (name + end).encode() * 999, 128 * MIB // shards) for end in ends
    }


def _most_resident(pid: int) -> int:
    """Bytes (proc(5), `VmHWM`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
