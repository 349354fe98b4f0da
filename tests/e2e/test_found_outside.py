"""What strangers found when they tried to break it, each as they met it."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from e2e.conftest import MIB, Lasting, gguf
from e2e.outside import PATIENCE, Home, Server
from standin import ALWAYS, Hub, faults


def test_a_database_that_cannot_be_used_ends_serve(home: Home) -> None:
    """Exit 1 with words, and nothing on stdout: a script must not take it for a server."""
    folder = home.root / "state"
    (folder / "windlass.db").mkdir(parents=True)
    ended = home.run("serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    assert "cannot be used" in ended.stderr


def test_one_file_that_is_no_model_is_fetched_and_not_listed(acme: Hub, home: Home, server: Server) -> None:
    """A README by its address comes, but takes no place in the lists, and no key from the real model."""
    link = "https://huggingface.co/acme/Rope-8B-GGUF/blob/main/README.md"
    assert server.finished(server.download(link)["job_id"])["status"] == "completed"
    assert home.visible() == {"acme/Rope-8B-GGUF/README.md"}
    assert server.ask("GET", "/api/v1/models").json == {"models": []}
    server.finished(server.download("https://huggingface.co/acme/Rope-8B-GGUF")["job_id"])
    (row,) = server.ask("GET", "/api/v1/models").json["models"]
    assert row["key"] == "rope-8b"


def test_wrong_bytes_are_not_counted_as_downloaded(acme: Hub, home: Home, server: Server) -> None:
    """Thrown away is thrown away: the failed job says so in its numbers and in its log."""
    acme.misbehave("cdn", faults.corrupt(1000), times=ALWAYS)
    failed = server.finished(server.download("acme/Rope-8B-GGUF", "Q8_0")["job_id"])
    assert (failed["status"], failed["error_code"]) == ("failed", "checksum_mismatch")
    assert failed["downloaded_bytes"] == 0
    assert list((home.models / ".windlass" / "partial").iterdir()) == []
    detail = server.ask("GET", f"/api/windlass/v1/jobs/{failed['job_id']}").json
    assert any("did not hash" in line["text"] for line in detail["log"])
    assert detail["source"].startswith(f"{acme.url}/acme/Rope-8B-GGUF")


def test_path_takes_what_get_takes(home: Home) -> None:
    """A link, with and without a quantization."""
    for name in ("https://huggingface.co/acme/Rope-8B-GGUF@Q8_0", "hf.co/acme/Rope-8B-GGUF:Q8_0"):
        got, found = home.run("get", name), home.run("path", name)
        assert (found.returncode, found.stdout) == (0, got.stdout), found.stderr
    shown = json.loads(home.run("path", "acme/Rope-8B-GGUF", "--json").stdout)
    assert Path(shown["path"]).is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_get_says_so_when_its_server_ends(number: int, acme: Hub, home: Home, server: Server) -> None:
    """Exit 1 (the hub is well), and what to do next; the next `get` goes on."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    environment = {**home.environment, "WINDLASS_URL": server.url}
    command = [sys.executable, "-m", "windlass", "get", "acme/rope-8b"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        jobs = server.ask("GET", "/api/v1/models/download/status")
        while not jobs.json["downloading"]:
            jobs = server.ask("GET", "/api/v1/models/download/status")
        server.end(number)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "same command" in said
    acme.behave()
    assert home.run("get", "acme/rope-8b").returncode == 0


def test_get_that_is_asked_to_end_leaves_nothing_behind(acme: Hub, home: Home) -> None:
    """SIGTERM is as Ctrl-C; `ps` then shows a job that waits, not one that nobody works on."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    command = [sys.executable, "-m", "windlass", "get", "acme/rope-8b"]
    with subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE, text=True) as process:
        while not acme.asked("cdn"):
            assert process.poll() is None
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "goes on from there" in said
    (job,) = json.loads(home.run("ps", "--json").stdout)
    assert job["phase"] == "queued"


def test_two_quantizations_share_their_projector(acme: Hub, home: Home, server: Server) -> None:
    """Two jobs want the same projector at the same time: it comes once, and both end well."""
    files = {f"Eyes-{quant}.gguf": gguf(2 * MIB, seed) for seed, quant in enumerate(("Q4_K_M", "Q8_0"), 40)}
    acme.add("acme/Eyes-GGUF", {**files, "mmproj-Eyes-F16.gguf": gguf(MIB, 50)})
    gate = threading.Event()
    acme.misbehave("cdn", faults.hold(gate, after=MIB), path="Eyes-Q8_0.gguf", times=ALWAYS)
    first = server.download("acme/Eyes-GGUF", "Q8_0")["job_id"]
    second = server.download("acme/Eyes-GGUF", "Q4_K_M")["job_id"]
    assert server.finished(second)["status"] == "completed"
    gate.set()
    assert server.finished(first)["status"] == "completed"
    assert len(home.visible()) == 3
    assert acme.sent("mmproj-Eyes-F16.gguf") == MIB


def test_a_models_folder_that_is_gone_is_not_made_anew(acme: Hub, home: Home, server: Server) -> None:
    """Its disk is most likely not mounted: the download is refused and the place stays empty."""
    server.finished(server.download("acme/rope-8b")["job_id"])
    shutil.rmtree(home.models)
    answer = server.ask("POST", "/api/v1/models/download", {"model": "acme/rope-8b"})
    assert (answer.status, answer.error["code"]) == (503, "storage_error")
    assert "mounted" in answer.error["message"]
    assert not home.models.exists()


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "x" * 5000, "://", ""])
def test_an_origin_that_cannot_be_read_is_foreign(origin: str, lasting: Lasting) -> None:
    """403, and no bug is met."""
    answer = lasting.server.ask("GET", "/api/v1/models", headers={"Origin": origin})
    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")


def test_a_body_that_is_announced_too_large_is_not_waited_for(server: Server) -> None:
    """413 before a byte of it has come; for cancel too, whose body is optional."""
    for path in ("/api/v1/models/download", "/api/windlass/v1/jobs/job_0123456789/cancel"):
        answer = server.ask("POST", path, b"{" + b" " * 70_000)
        assert (answer.status, answer.error["code"]) == (413, "body_too_large")


def test_no_color_means_no_style(home: Home) -> None:
    """Not dim, not bold: no escape at all in a pipe or with NO_COLOR."""
    ended = home.run("get", "acme/rope-8b", NO_COLOR="1")
    assert "\x1b" not in ended.stderr + ended.stdout
