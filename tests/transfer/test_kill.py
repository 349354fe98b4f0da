"""kill -9, for real: at many moments of jobs of several files, which are then finished."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import xxhash

from standin import Hub
from transfer.many_lives import CONNECTIONS, KIB, SMALL
from transfer.orders import CHILD, order_of
from windlass.transfer import fetch
from windlass.transfer.ledger import parse
from windlass.transfer.target import Target

REPO = "owner/repo"
MIB = 1 << 20


def _sent(hub: Hub) -> int:
    return sum(exchange.sent for exchange in hub.exchanges if exchange.status in {200, 206})


def _untold() -> dict[str, str]:
    """The environment without what would have a child measure coverage: it never lives to write that down."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "COV_"))}


# As it is in life

KILLS = 10
RATE = 2 * MIB  # of one connection, per second
SIX = 6  # connections: two files at once, three each


def test_killed_ten_times_it_ends_right_and_little_comes_twice(hub: Hub, tmp_path: Path) -> None:
    """A kill costs what came since the last ledger entry and what was on its way, and no file is ever wrong."""
    chance = random.Random(20)
    files = {"a.gguf": chance.randbytes(40 * MIB), "b.gguf": chance.randbytes(17 * MIB + 5), "c.json": b"{}" * 500}
    hub.add(REPO, files)
    size = sum(map(len, files.values()))
    hub.rate = RATE
    order = order_of(hub, REPO, tmp_path / "partial", tmp_path / "order.json")
    # By what the hub has sent, and not by time, so that a busy machine kills at the same places.
    killed = sum(_killed_after(hub, chance.uniform(0, 0.8 * RATE * SIX), order) for _ in range(KILLS))
    assert killed >= KILLS // 2  # or the job was too short to prove anything
    hub.rate = None
    done = subprocess.run([sys.executable, CHILD, order], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    brought = [Path(line).read_bytes() for line in done.stdout.split()]
    assert brought == list(files.values())
    twice = _sent(hub) - size
    assert twice <= killed * SIX * RATE * 2 * fetch.TICK, f"{twice / killed / MIB:.1f} MiB a kill"


def _killed_after(hub: Hub, more: float, order: Path) -> bool:
    """Run the child until the hub has sent so many bytes more, and kill it there; False if it was done before."""
    with subprocess.Popen([sys.executable, CHILD, order], stdout=subprocess.DEVNULL, env=_untold()) as child:
        until = time.monotonic() + 60
        begun = _sent(hub)
        while child.poll() is None and _sent(hub) <= begun + more and time.monotonic() < until:
            time.sleep(0.005)
        child.kill()
    return child.returncode < 0


# Two hundred times, with everything small

LIVES = 50  # of each of four
SLOW = 128 * KIB  # bytes a second of each connection
LOST = 2.0 * SLOW * 2 * CONNECTIONS + 4 * CONNECTIONS * SMALL  # 2 s of two large files, and the small ones under way
PATIENCE = 30.0


def _files(chance: random.Random) -> dict[str, bytes]:
    """Several large ones, some of a few chunks, and many small ones, an empty one among them."""
    large = {f"large-{n}.gguf": chance.randbytes(chance.randint(300 * KIB, 900 * KIB)) for n in range(3)}
    mid = {f"mid-{n}.safetensors": chance.randbytes(chance.randint(SMALL + 1, 150 * KIB)) for n in range(4)}
    small = {f"small-{n}.json": chance.randbytes(chance.randint(1, SMALL)) for n in range(30)}
    return {**large, **mid, **small, "empty.json": b""}


class Lives:
    """One who begins processes, each of which fetches all files of a hub's repository."""

    def __init__(self, hub: Hub, nurse: "subprocess.Popen[str]") -> None:
        self._hub = hub
        self._nurse = nurse

    def begin(self, order: Path) -> int:
        """Begin one; answers its number."""
        return self._ask(str(order))

    def end(self) -> int:
        """How the one that was begun has ended."""
        return self._ask("")

    def killed(self, order: Path, after_bytes: float, after_seconds: float) -> bool:
        """Begin one, and kill it when the hub has sent so much, and so much time has passed; False: it was done."""
        sent, pid = _sent(self._hub), self.begin(order)
        begun = time.monotonic()
        time.sleep(after_seconds)
        while _sent(self._hub) - sent < after_bytes and _lives(pid):
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        code = self.end()
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def _ask(self, line: str) -> int:
        assert self._nurse.stdin is not None
        assert self._nurse.stdout is not None
        self._nurse.stdin.write(f"{line}\n")
        self._nurse.stdin.flush()
        return int(self._nurse.stdout.readline())


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@contextmanager
def lives(hub: Hub) -> Iterator[Lives]:
    command = [sys.executable, str(CHILD.with_name("many_lives.py"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=_untold()) as nurse:
        yield Lives(hub, nurse)
        assert nurse.stdin is not None
        nurse.stdin.close()


def kept_and_right(order: Path, files: Mapping[str, bytes]) -> int:
    """Bytes that the next process finds here; each must be what the file has in that place."""
    told, kept = json.loads(order.read_text()), 0
    for raw in told["targets"]:
        target, content = Target(**raw), files[raw["name"]]
        path = Path(told["folder"]) / f"{target.partial_name}.part"
        data, ledger = path.read_bytes() if path.exists() else b"", path.with_suffix(".ledger")
        if target.size <= SMALL:
            kept += len(content) if data == content else 0
            continue
        known = parse(ledger.read_text(), target.identity, target.size) if ledger.exists() else None
        for piece in known.pieces.values() if known else ():
            assert data[piece.start : piece.end] == content[piece.start : piece.end]
            assert xxhash.xxh3_64_hexdigest(data[piece.start : piece.end]) == piece.digest
            kept += piece.length
    return kept


def test_killed_fifty_times_each_they_always_complete(tmp_path: Path) -> None:
    """Two at a time, by bytes and by time, at random: what is kept is right at every death, and little comes twice."""
    with ThreadPoolExecutor() as threads:
        for _ in threads.map(lambda seed: _live_and_die(tmp_path / str(seed), random.Random(seed)), (1, 2)):
            pass


def _live_and_die(folder: Path, chance: random.Random) -> None:
    """Kill processes at one job, and when that is done at another, until there were enough."""
    files, costs, spent = _files(chance), list[int](), 0
    with Hub(rate=SLOW, left={"api": 1 << 30, "resolvers": 1 << 30}) as hub, lives(hub) as beginning:
        hub.add(REPO, files)
        while len(costs) < LIVES:
            order = order_of(hub, REPO, folder / f"{spent}", folder.with_suffix(".json"))
            before, lost = _sent(hub), 0
            while len(costs) < LIVES and beginning.killed(order, *_moment(chance)):
                now = _sent(hub) - before - kept_and_right(order, files)
                costs.append(now - lost)
                lost = now
            spent += _sent(hub) - before
            hub.rate = None
            beginning.begin(order)
            assert beginning.end() == 0
            hub.rate = SLOW
            assert kept_and_right(order, files) == sum(map(len, files.values()))
    assert max(costs) <= LOST
    assert sum(costs) <= 0.8 * spent, f"of {spent} bytes {sum(costs)} were lost"


def _moment(chance: random.Random) -> tuple[float, float]:
    """After so many bytes and seconds."""
    return (chance.uniform(0, 400 * KIB), 0.0) if chance.random() < 0.6 else (0, chance.uniform(0, 0.25))
