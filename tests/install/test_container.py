"""The image and compose.yaml, as far as they can be held without building an image: the commands in them, run."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from e2e.outside import PATIENCE, Home, Server
from install.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
WINDLASS = COMPOSE["services"]["windlass"]
NOBODY = "http://127.0.0.1:9"


def listed(instruction: str) -> Any:
    """What an instruction of the image has at its end: a list, so that no shell stands between."""
    (found,) = re.findall(rf"^{instruction} .*?(\[.*\])$", DOCKERFILE, re.MULTILINE)
    return json.loads(found)


def environment() -> dict[str, str]:
    """What the image sets."""
    (line,) = re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in line.split())


@pytest.fixture
def home(home: Home) -> Home:
    """A machine that listens where the image has it listen, but for the port: that is taken on some machines."""
    home.more["WINDLASS_HOST"] = environment()["WINDLASS_HOST"]
    return home


def is_healthy(port: str) -> bool:
    """What the image's own check says, where downloads go through a proxy."""
    _, *arguments = listed("HEALTHCHECK")
    proxies = {"http_proxy": NOBODY, "HTTP_PROXY": NOBODY}
    command = [sys.executable, *arguments]
    checked = subprocess.run(
        command, env={"WINDLASS_PORT": port, **proxies}, timeout=PATIENCE, check=False, stderr=subprocess.DEVNULL
    )
    return checked.returncode == 0


def test_compose_starts_a_server_that_is_found_healthy(home: Home) -> None:
    """Its command serves, and the image's check tells a server that answers from one that has ended."""
    verb, *arguments = WINDLASS["command"]
    assert verb == "serve"
    with Server(home, *arguments) as server:
        port = server.url.rpartition(":")[2]
        assert is_healthy(port)
        assert server.end() == 0
    assert not is_healthy(port)


def test_the_image_alone_lets_nobody_in_without_a_token(home: Home) -> None:
    """`docker run --publish 1234:1234` opens nothing to a network by oversight."""
    refused = home.run(*listed("CMD"))
    assert refused.returncode == 2
    assert "no token has been made" in refused.stderr


def test_compose_asks_no_token_only_where_this_machine_alone_gets_in() -> None:
    """`--insecure` and publishing to others do not meet."""
    assert "--insecure" in WINDLASS["command"]
    inside = environment()["WINDLASS_PORT"]
    assert [port.rpartition(":") for port in WINDLASS["ports"]] == [("127.0.0.1:1234", ":", inside)]


def test_what_is_to_last_is_on_volumes() -> None:
    """The state and the models: the folders that the image names to Windlass are the volumes of both files."""
    named = {environment()["WINDLASS_HOME"], environment()["WINDLASS_LMSTUDIO_HOME"]}
    assert named == set(listed("VOLUME")) == {volume.partition(":")[2] for volume in WINDLASS["volumes"]}
    assert {volume.partition(":")[0] for volume in WINDLASS["volumes"]} == set(COMPOSE["volumes"])


def test_the_builder_is_sent_what_it_copies_and_nothing_else() -> None:
    """.dockerignore lets through exactly what the Dockerfile names."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored
    assert [name for name in copied if not (ROOT / name).exists()] == []
