"""The wheel, installed where the tree is not: what a person has who has only that."""

import re
from pathlib import Path

import pytest

import windlass
from e2e.outside import Home, Server
from install.conftest import ROOT, run
from standin import Hub


@pytest.fixture
def home(acme: Hub, installed: Path, tmp_path: Path) -> Home:
    """A machine whose `windlass` is the installed command, and where Python tells what it loads."""
    return Home(tmp_path, acme.url, {"PYTHONVERBOSE": "1"}, (str(installed / "bin" / "windlass"),))


def test_it_says_its_version(home: Home) -> None:
    """The command is there, and is of the version that the code says."""
    assert home.run("--version", PYTHONVERBOSE="").stdout == f"windlass {windlass.__version__}\n"


def test_nothing_that_it_needs_is_missing(installed: Path) -> None:
    """By its metadata, held by pip against the packages that the tests run with."""
    said = run(installed / "bin" / "python", "-m", "pip", "check")
    assert said == "No broken requirements found.\n"


def test_the_server_has_its_page_and_brings_a_model(home: Home, installed: Path) -> None:
    """Every file of the page, the API's description, a whole download; and no code of it came from the tree."""
    web = {path.name: path.read_bytes() for path in (ROOT / "src" / "windlass" / "web").iterdir()}
    with Server(home) as server:
        assert server.ask("GET", "/").body == web["index.html"]
        assert {name: server.ask("GET", f"/page/{name}").body for name in web} == web
        assert server.ask("GET", "/openapi.json").json["info"]["version"] == windlass.__version__
        assert server.finished(server.download("acme/rope-8b")["job_id"])["status"] == "completed"
        assert server.end() == 0
    assert home.visible() == {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}
    loaded = {Path(path) for path in re.findall(r"(/\S+/windlass/\S+\.py)\b", server.said)}
    assert {path.name for path in loaded} >= {"service.py", "app.py", "pull.py"}
    assert [path for path in loaded if not path.is_relative_to(installed)] == []
