"""A download in many languages, as LM Studio's page has it: start it, ask until it is over, list what is here.

Each program reads the answers as strictly as people do in its language, and prints what it was told as JSON.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import PLAIN, add_plain, fill
from e2e.outside import Home, Server
from standin import Hub

HERE = Path(__file__).parent
_JACKSON = ":".join(f"/usr/share/java/jackson-{part}.jar" for part in ("annotations", "core", "databind"))
_NET = ("-r:System.Net.Http", "-r:System.Runtime.Serialization")
_CRATES = ("--offline", "--config", "rust/debian.toml", "--manifest-path", "rust/Cargo.toml")
BUILDS = {"C#": ["mcs", "-out:flow.exe", *_NET, "Flow.cs"], "Rust": ["cargo", "build", *_CRATES]}
COMMANDS = {
    "C#": ["mono", "flow.exe"],
    "curl, jq, wget": ["sh", "flow.sh"],
    "Emacs": ["emacs", "-Q", "--batch", "-l", "flow.el"],
    "Go": ["go", "run", "flow.go"],
    "Java": ["java", "-cp", _JACKSON, "Flow.java"],
    "Lua": ["lua5.4", "flow.lua"],
    "Node.js": ["node", "flow.mjs"],
    "Perl": ["perl", "flow.pl"],
    "PHP": ["php", "flow.php"],
    "R": ["Rscript", "flow.R"],
    "Ruby": ["ruby", "-w", "flow.rb"],
    "Rust": ["rust/target/debug/flow"],
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One that has a model, and a hub that is slow enough for a client to see the download of another under way."""
    with Hub(rate=2_000_000) as hub:
        add_plain(fill(hub))
        with Server(Home(tmp_path, hub.url)) as server:
            server.finished(server.download(PLAIN)["job_id"])
            yield server


@pytest.mark.parametrize("language", COMMANDS)
def test_a_download_in(language: str, server: Server, tmp_path: Path) -> None:
    """From the first answer to the list; and the message of an error, with letters that not everybody has."""
    folder = shutil.copytree(HERE, tmp_path / "clients")  # compilers leave things where they work
    if language in BUILDS:
        run(BUILDS[language], folder)
    assert json.loads(run([*COMMANDS[language], server.url, "acme/rope-8b"], folder)) == {
        "first": "downloading",
        "last": "completed",
        "whole": True,
        "keys": ["acme/rope-8b", "plain-transformer"],
        "error": "Download job with id 'job_é' not found",
    }


def run(command: list[str], folder: Path) -> str:
    """What it prints, once it has ended well."""
    if "/" not in command[0] and shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: sh scripts/system-packages clients")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
