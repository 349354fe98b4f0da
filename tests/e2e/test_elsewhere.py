"""What is on this machine already is not fetched: counted at the hub, and what is theirs is left as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from e2e.conftest import MIB, gguf
from e2e.outside import Home, Server, sha256
from standin import Hub

CONTENT = gguf(20 * MIB, 5)
NAME = "Thing-Q4_K_M.gguf"


@pytest.fixture
def thing(acme: Hub) -> str:
    acme.add("acme/Thing-GGUF", {NAME: CONTENT})
    return f"{acme.url}/acme/Thing-GGUF"


class Seen(NamedTuple):
    """A file as its owner knows it."""

    content: bytes
    mtime_ns: int


def seen(folder: Path) -> dict[str, Seen]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): Seen(path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def name_of(content: bytes, tmp_path: Path) -> str:
    return sha256(put(tmp_path / "to-be-hashed", content))


@pytest.mark.parametrize("how", ["hf", "ollama", "extra", "lmstudio", "shelf"])
def test_what_another_program_has_is_not_fetched(
    acme: Hub, home: Home, thing: str, how: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Planned as nothing to fetch; comes without a byte from the hub; theirs has the same content and time after."""
    theirs = tmp_path_factory.mktemp("theirs")
    if how == "hf":
        theirs = home.root / "hf"
        client = str(Path(sys.executable).with_name("hf"))
        environment = {**home.environment, "HF_ENDPOINT": acme.url, "HF_HUB_DISABLE_XET": "1"}
        command = [client, "download", "acme/Thing-GGUF", NAME]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    elif how == "ollama":
        put(theirs / "blobs" / f"sha256-{name_of(CONTENT, home.root)}")
        home.more["OLLAMA_MODELS"] = str(theirs)
    elif how == "extra":
        put(theirs / "some" / "where.bin")
        home.more["WINDLASS_EXTRA_DIRS"] = f"/nonexistent{os.pathsep}{theirs}"
    elif how == "lmstudio":
        theirs = home.models
        put(theirs / "old" / "Place-GGUF" / NAME)
        home.more["WINDLASS_MODELS_DIR"] = str(home.root / "elsewhere")
    else:
        theirs = home.models / "old"
        put(theirs / "Place-GGUF" / NAME)
    before, sent = seen(theirs), acme.sent(NAME)
    place = Path(home.more.get("WINDLASS_MODELS_DIR", home.models)) / "acme" / "Thing-GGUF" / NAME
    with Server(home) as server:
        plan = server.ask("POST", "/api/windlass/v1/plan", {"model": thing}).json
        assert (plan["bytes_to_fetch"], plan["files"][0]["state"]) == (0, "elsewhere")
        job = server.finished(server.download(thing)["job_id"])
        assert job["status"] == "completed"
        assert place.read_bytes() == CONTENT
        detail = server.ask("GET", f"/api/windlass/v1/jobs/{job['job_id']}").json
        assert any("taken from" in line["text"] for line in detail["log"])
        assert server.download(thing)["status"] == "already_downloaded"
    assert acme.sent(NAME) == sent
    assert seen(theirs) == before


def test_what_is_not_what_it_should_be_is_not_taken(acme: Hub, home: Home, thing: str, tmp_path: Path) -> None:
    """It has the right name and the right size: it is hashed, left, and the right one is fetched."""
    theirs = tmp_path / "ollama"
    wrong = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    put(theirs / "blobs" / f"sha256-{name_of(CONTENT, home.root)}", wrong)
    home.more["OLLAMA_MODELS"] = str(theirs)
    before = seen(theirs)
    assert home.run("get", thing).returncode == 0
    assert (home.models / "acme" / "Thing-GGUF" / NAME).read_bytes() == CONTENT
    assert acme.sent(NAME) >= len(CONTENT)
    assert seen(theirs) == before
    assert list((home.models / ".windlass" / "partial").iterdir()) == []


@pytest.mark.parametrize("links", ["yes", "no"])
def test_what_is_damaged_later_is_mended_in_ours_alone(
    acme: Hub, home: Home, thing: str, tmp_path: Path, links: str
) -> None:
    """With hard links it is the same file: mending makes it two, and theirs is not written to."""
    theirs = put(tmp_path / "extra" / "thing.bin")
    home.more |= {"WINDLASS_EXTRA_DIRS": str(theirs.parent), "WINDLASS_HARD_LINKS": links}
    place = home.models / "acme" / "Thing-GGUF" / NAME
    assert home.run("get", thing).returncode == 0
    assert (place.stat().st_ino == theirs.stat().st_ino) is (links == "yes")
    with place.open("r+b") as file:
        file.seek(5)
        file.write(b"?")
    before = theirs.read_bytes()
    shutil.move(theirs, tmp_path / "kept")
    mended = home.run("verify", "thing", "--repair")
    assert mended.returncode == 0, mended.stderr
    assert place.read_bytes() == CONTENT
    assert (tmp_path / "kept").read_bytes() == before
    assert 0 < acme.sent(NAME) <= 32 * MIB
