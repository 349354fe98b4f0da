"""The command line from outside: what it prints where, and with which code it ends."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from e2e.conftest import MIB
from e2e.outside import PATIENCE, POLL, Home, Server, sha256
from standin import ALWAYS, Hub, faults

T = TypeVar("T")


@pytest.fixture
def home(home: Home) -> Home:
    """A machine on which each command is started as a person does it."""
    return home.real


def test_get_without_a_server(acme: Hub, home: Home) -> None:
    """The path alone on stdout, all else on stderr; the file is what the hub has."""
    ended = home.run("get", "acme/rope-8b")
    assert ended.returncode == 0, ended.stderr
    path = Path(ended.stdout.strip())
    assert path == home.models / "acme" / "Rope-8B-GGUF" / "rope-8b-Q4_K_M.gguf"
    assert sha256(path) == acme.repositories["acme/rope-8b-gguf"].file(path.name).sha256
    assert "3.15 MB" in ended.stderr


def test_get_with_a_server(home: Home, server: Server) -> None:
    """The server at WINDLASS_URL does it, and knows the job."""
    ended = home.run("get", "acme/rope-8b", "--json", WINDLASS_URL=server.url)
    assert ended.returncode == 0, ended.stderr
    job = json.loads(ended.stdout)
    assert job["status"] == "completed"
    assert Path(job["path"]).is_file()
    assert server.status(job["job_id"])["status"] == "completed"


def test_get_finds_the_server_on_its_state(home: Home, server: Server) -> None:
    """With no server at WINDLASS_URL, the one that runs on the same state is used: two never run one job."""
    job = json.loads(home.run("get", "acme/rope-8b", "--json").stdout)
    assert server.status(job["job_id"])["status"] == "completed"


def test_get_of_what_is_here(home: Home) -> None:
    """Says so, prints the path, and ends with 0."""
    first = home.run("get", "acme/rope-8b")
    again = home.run("get", "acme/rope-8b")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "already" in again.stderr


def test_detached(acme: Hub, home: Home, server: Server) -> None:
    """With a server, `--detach` prints the job's id and leaves; `ps` shows it."""
    gate = threading.Event()
    acme.misbehave("cdn", faults.hold(gate), times=ALWAYS)
    ended = home.run("get", "acme/rope-8b", "--detach", WINDLASS_URL=server.url)
    job_id = ended.stdout.strip()
    listed = json.loads(home.run("ps", "--json", WINDLASS_URL=server.url).stdout)
    assert [job["job_id"] for job in listed] == [job_id]
    assert job_id in home.run("ps", WINDLASS_URL=server.url).stdout
    gate.set()
    assert server.finished(job_id)["status"] == "completed"


def _screen(tmux: list[str]) -> list[str]:
    shown = subprocess.run([*tmux, "capture-pane", "-p"], stdout=subprocess.PIPE, text=True, check=False)
    return shown.stdout.splitlines()


def test_ctrl_c_leaves_a_job_to_go_on_with(acme: Hub, home: Home) -> None:
    """130; what has come is kept, and the next `get` is the same job and fetches the rest."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    command = [sys.executable, "-m", "windlass", "get", "acme/rope-8b"]
    with subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE, text=True) as process:
        (listed,) = _eventually(lambda: json.loads(home.run("ps", "--json").stdout), _one_with_bytes)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "goes on from there" in said
    acme.behave()
    ended = home.run("get", "acme/rope-8b", "--json")
    assert json.loads(ended.stdout)["job_id"] == listed["job_id"]
    assert acme.sent("rope-8b-Q4_K_M.gguf") <= 3 * MIB + MIB // 4


def _one_with_bytes(jobs: list[dict[str, Any]]) -> bool:
    return len(jobs) == 1 and jobs[0]["downloaded_bytes"] >= MIB


def _eventually(ask: Callable[[], T], holds: Callable[[T], bool]) -> T:
    end = time.monotonic() + PATIENCE
    while not holds(found := ask()):
        assert time.monotonic() < end
        time.sleep(POLL)
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("get", "just-a-word"), 2, "owner/name"),
        (("get", "just a word"), 2, "windlass search 'just a word'"),
        (("get", "acme/rope-8b@Q2_K"), 3, "Q8_0"),
        (("get", "acme/none"), 3, "acme/none"),
        (("get", "acme/Gated-GGUF"), 4, "HF_TOKEN"),
        (("get", "acme/rope-8b", "--gguf", "--mlx"), 2, "exclude"),
        (("get",), 2, "model"),
        (("nonsense",), 2, "nonsense"),
        (("path", "acme/rope-8b"), 3, "acme/rope-8b"),
        (("pause", "job_0123456789"), 3, "job_0123456789"),
        (("hub", "/nowhere/at/all"), 2, "/nowhere/at/all"),
        (("serve", "--port", "99999"), 2, "port"),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int, says: str, home: Home) -> None:
    """Each kind of failure has its code; the words are on stderr, stdout is empty."""
    ended = home.run(*arguments)
    assert ended.returncode == code, ended.stderr
    assert says in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_no_space_and_no_hub_have_their_codes(home: Home) -> None:
    """5 and 6."""
    full = str(shutil.disk_usage(home.root).total)
    assert home.run("get", "acme/rope-8b", WINDLASS_MIN_FREE=full).returncode == 5
    nowhere = {"WINDLASS_HF_ENDPOINT": "http://127.0.0.1:9", "WINDLASS_CATALOG_URL": "http://127.0.0.1:9"}
    assert home.run("get", "acme/rope-8b", **nowhere).returncode == 6


def test_ls_and_path(home: Home) -> None:
    """What is here, as a table and as JSON, and what to hand to llama.cpp or MLX."""
    home.run("get", "acme/Big-GGUF")
    home.run("get", "acme/Rope-8B-MLX-4bit")
    rows = json.loads(home.run("ls", "--json").stdout)
    assert {(row["key"], row["format"]) for row in rows} == {("big", "gguf"), ("rope-8b-mlx-4bit", "mlx")}
    table = home.run("ls").stdout
    assert all(row["key"] in table for row in rows)
    first = home.models / "acme" / "Big-GGUF" / "Big-Q4_K_M-00001-of-00003.gguf"
    assert home.run("path", "acme/Big-GGUF").stdout.strip() == str(first)
    assert home.run("path", "rope-8b-mlx-4bit").stdout.strip() == str(home.models / "acme" / "Rope-8B-MLX-4bit")


def test_config_tells_where_a_setting_came_from(home: Home) -> None:
    """Values and origins; secrets only as set or not."""
    shown = json.loads(home.run("config", "--json", HF_TOKEN="hf_secret", WINDLASS_MAX_JOBS="7").stdout)
    assert shown["max_jobs"] == {"value": 7, "from": "WINDLASS_MAX_JOBS"}
    assert shown["hf_token"] == {"value": "set", "from": "HF_TOKEN"}
    assert shown["connections"] == {"value": 8, "from": "default"}


def test_the_demo(home: Home) -> None:
    """From models made on the spot to a verified one on disk, over a killed server, in under a minute."""
    begun = time.monotonic()
    ended = home.run("demo")
    assert ended.returncode == 0, ended.stderr
    assert time.monotonic() - begun < 60
    assert "went on by itself" in ended.stderr
    assert "windlass-demo/tiny-llama" in ended.stdout


def _drawn(tmux: list[str]) -> tuple[int, int]:
    """How many lines tell of the time left, and how many have a bar."""
    lines = _screen(tmux)
    return sum("left" in line for line in lines), sum("━" in line for line in lines)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_the_bar_in_a_real_terminal(acme: Hub, home: Home) -> None:
    """In a terminal of 80 columns there is a bar with bytes, speed and time left, and no line is wider.

    In one that is made narrower and wider again it is drawn anew, once: nothing of the old one is left. After Ctrl-C
    the next line begins on its own.
    """
    acme.rate = 150_000
    socket = str(home.root / "tmux")
    command = f"{sys.executable} -m windlass get acme/rope-8b; echo ended with $?; sleep 60"
    tmux = ["tmux", "-S", socket]
    options = ["new-session", "-d", "-x", "80", "-y", "24", command]
    environment = {**home.environment, "TERM": "xterm-256color"}
    subprocess.run([*tmux, *options], env=environment, check=True)
    try:
        lines = _eventually(lambda: _screen(tmux), lambda lines: any("left" in line for line in lines))
        for width, bars in (("44", 0), ("100", 1)):
            subprocess.run([*tmux, "resize-window", "-x", width], check=True)
            _eventually(partial(_drawn, tmux), (1, bars).__eq__)
        subprocess.run([*tmux, "send-keys", "C-c"], check=True)
        ended = _eventually(lambda: _screen(tmux), lambda lines: "ended with 130" in lines)
        assert any(line.startswith("Stopped. What has come is kept") for line in ended)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    bar = next(line for line in lines if "left" in line)
    assert "acme/rope-8b" in bar
    assert "3.15 MB" in bar
    assert "/s" in bar
    assert all(len(line) <= 80 for line in lines)
