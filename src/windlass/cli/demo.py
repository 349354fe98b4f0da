"""`windlass demo`: the main job with everything real but the internet.

Models are made, `windlass hub` stands in for Hugging Face and LM Studio Hub, and `windlass serve` is driven over its
REST API. Half way the server is killed with SIGKILL, because that it does not matter is what there is to show.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from windlass import words
from windlass.cli.tables import show_models
from windlass.cli.watch import follow
from windlass.client.client import Client
from windlass.errors import StateFailure

_MODEL, _QUANTIZATION = "windlass-demo/tiny-llama", "F16"
_RATE = "2500000"  # bytes per second: slow enough to see the bar

Job = Mapping[str, Any]


def demo(console: Console, *, keep: bool) -> None:
    """Run the demo; `keep` leaves it running until Ctrl-C."""
    with TemporaryDirectory(prefix="windlass-demo-") as folder, ExitStack() as processes:
        root = Path(folder)
        _make_models(console, root / "hub")
        hub = processes.enter_context(_process("hub", str(root / "hub"), log=root / "hub.log"))
        _say(console, f"A hub without the internet listens at {hub.url}")
        environment, log = _environment(root, hub.url), root / "server.log"
        job = _killed_half_way(console, environment, log)
        server = processes.enter_context(_process("serve", environment=environment, log=log))
        _finish(console, server, job)
        if keep:
            _wait(console, server)


def _make_models(console: Console, folder: Path) -> None:
    from windlass.share.demo_models import write_demo_models

    folder.mkdir()
    write_demo_models(folder)
    files = list(folder.rglob("*.gguf"))
    total = words.size(sum(path.stat().st_size for path in files))
    _say(console, f"Made {len(files)} small GGUF files, {total}: real in form, random in weight")


def _killed_half_way(console: Console, environment: dict[str, str], log: Path) -> Job:
    """Start the download, and kill the server without warning when half of it is there."""
    with _process("serve", environment=environment, log=log) as server, Client(server.url) as client:
        _say(console, f"The server listens at {server.url}")
        _say(console, f'POST /api/v1/models/download {{"model": "{_MODEL}", "quantization": "{_QUANTIZATION}"}}')
        job = client.download(_MODEL, _QUANTIZATION)
        half = job["total_size_bytes"] // 2
        last = follow(console, lambda: client.job(job["job_id"]), until=lambda job: job["downloaded_bytes"] > half)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    _say(console, f"kill -9 at {words.size(last['downloaded_bytes'])}: the server is gone. Starting it again")
    return last


def _finish(console: Console, server: "_Process", before: Job) -> None:
    with Client(server.url) as client:
        job = follow(console, lambda: client.job(before["job_id"]))
        if job["status"] != "completed":
            raise StateFailure(f"The demo's job ended as {job['status']}: {job.get('error_message')}")
        again = sum(file.get("fetched_bytes", 0) for file in job["files"])
        _say(console, f"The same job, {job['job_id']}, went on by itself and fetched the missing {words.size(again)}")
        _check(console, job)
        repeat = client.download(_MODEL, _QUANTIZATION)
        _say(console, f"The same request once more answers: {repeat['status']}")
        _say(console, "GET /api/v1/models lists what is here:")
        show_models(client.models(), as_json=False)


def _check(console: Console, job: Job) -> None:
    """Hash what is on disk once more, by other means than the server did."""
    path = Path(job["path"])
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{sha256}" != job["files"][0]["digest"]:
        raise StateFailure(f"{path} hashes to {sha256}, the listing promised {job['files'][0]['digest']}.")
    _say(console, f"{path.name} is whole: sha256 {sha256[:16]}… is what the hub's listing promised")


def _wait(console: Console, server: "_Process") -> None:
    _say(console, f"The command line talks to it after: export WINDLASS_URL={server.url}")
    _say(console, "Left running, until Ctrl-C, with a page at:")
    sys.stdout.write(f"{server.url}/\n")
    sys.stdout.flush()
    server.process.wait()


def _say(console: Console, text: str) -> None:
    console.print(f"[bold]·[/bold] {text.replace('[', chr(92) + '[')}", soft_wrap=True)


def _environment(root: Path, hub: str) -> dict[str, str]:
    """A state of its own, a hub of its own, and none of the user's settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("WINDLASS_", "HF_", "LMS_"))}
    return {
        **own,
        "WINDLASS_HOME": str(root / "state"),
        "WINDLASS_LMSTUDIO_HOME": str(root / "lmstudio"),
        "WINDLASS_HF_ENDPOINT": hub,
        "WINDLASS_CATALOG_URL": hub,
        "WINDLASS_PORT": "0",
        "WINDLASS_LIMIT_RATE": _RATE,
        "WINDLASS_MIN_FREE": "0",
        "HF_HOME": str(root / "hf"),
    }


@dataclass(frozen=True, slots=True)
class _Process:
    """A verb of Windlass that runs beside us, and the address that it said it listens at."""

    process: "subprocess.Popen[str]"
    url: str


@contextmanager
def _process(*arguments: str, log: Path, environment: dict[str, str] | None = None) -> Iterator[_Process]:
    """Run a verb; what it logs goes to a file, for that is not the demo's story unless it ends badly."""
    command = [sys.executable, "-m", "windlass", *arguments]
    with log.open("a") as said:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Listening on "):
            code, why = process.wait(), log.read_text().strip().rpartition("\n")[2]
            raise StateFailure(f"windlass {arguments[0]} did not start (exit {code}): {why}")
        yield _Process(process, line.removeprefix("Listening on ").strip())
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()
