"""kill -9, for real: at some twenty moments of a job of several files, which is then finished."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from standin import Hub
from windlass.transfer import fetch

REPO = "owner/repo"
KILLS = 20
MIB = 1 << 20
RATE = 2 * MIB  # of one connection, per second
CONNECTIONS = 6  # two files at once, three each


def test_killed_twenty_times_it_ends_right_and_little_comes_twice(hub: Hub, tmp_path: Path) -> None:
    """A kill costs what came since the last ledger entry and what was on its way, and no file is ever wrong."""
    chance = random.Random(20)
    files = {"a.gguf": chance.randbytes(40 * MIB), "b.gguf": chance.randbytes(17 * MIB + 5), "c.json": b"{}" * 500}
    repository = hub.add(REPO, files)
    size = sum(map(len, files.values()))
    hub.rate = RATE
    order = tmp_path / "order.json"
    order.write_text(
        json.dumps({"folder": str(tmp_path / "partial"), "targets": _targets(hub, repository.refs["main"])})
    )
    # By what the hub has sent, and not by time, so that a busy machine kills at the same places.
    killed = sum(_killed_after(hub, chance.uniform(0, 0.8 * RATE * CONNECTIONS), order) for _ in range(KILLS))
    assert killed >= KILLS // 2  # or the job was too short to prove anything
    hub.rate = None
    done = subprocess.run([sys.executable, _CHILD, order], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    brought = [Path(line).read_bytes() for line in done.stdout.split()]
    assert brought == list(files.values())
    twice = _sent(hub) - size
    assert twice <= killed * CONNECTIONS * RATE * 2 * fetch.TICK, f"{twice / killed / MIB:.1f} MiB a kill"


_CHILD = Path(__file__).with_name("killed.py")


def _targets(hub: Hub, commit: str) -> list[dict[str, object]]:
    targets = []
    for path, file in hub.repositories[REPO].commits[commit].items():
        algorithm, digest = ("sha256", file.sha256) if file.lfs else ("git-sha1", file.oid)
        url = f"{hub.url}/{REPO}/resolve/{commit}/{path}"
        targets.append({"name": path, "url": url, "size": file.size, "algorithm": algorithm, "digest": digest})
    return targets


def _sent(hub: Hub) -> int:
    return sum(exchange.sent for exchange in hub.exchanges if exchange.status in {200, 206})


def _killed_after(hub: Hub, more: float, order: Path) -> bool:
    """Run the child until the hub has sent so many bytes more, and kill it there; False if it was done before."""
    with subprocess.Popen([sys.executable, _CHILD, order], stdout=subprocess.DEVNULL) as child:
        until = time.monotonic() + 60
        begun = _sent(hub)
        while child.poll() is None and _sent(hub) <= begun + more and time.monotonic() < until:
            time.sleep(0.005)
        child.kill()
    return child.returncode < 0
