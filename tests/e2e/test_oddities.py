"""`windlass ls --all` over a models folder that many programs have been at: it ends, soon, and says all of it."""

import json
import os
from pathlib import Path

import pytest

from e2e.conftest import MIB, gguf
from e2e.outside import Home


@pytest.fixture
def attic(home: Home) -> Home:
    """Two models, one with a key that looks like markup, and what is none."""
    for path in ("a[/b]/B-Q8_0.gguf", "c/b]/B-Q8_0.gguf", "o/Cut/Cut-Q8_0.gguf", "Lost.gguf"):
        place = home.models / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gguf(MIB, 3) if "Cut" not in path else b"GGUF")
    os.mkfifo(home.models / "o" / "Cut" / "pipe.gguf")
    (home.models / os.fsdecode(b"o/Cut/\xff.gguf")).write_bytes(b"x")
    (home.models / "o" / "loop").symlink_to(home.models)
    return home


ODD = {
    "Lost.gguf": "it does not stand in a folder owner/repo; `windlass import` moves it to one",
    "o/Cut/Cut-Q8_0.gguf": "it is cut short",
    "o/Cut/\\udcff.gguf": "its name cannot be shown",
    "o/Cut/pipe.gguf": "it is a pipe",
    "o/loop": "it leads back to a folder that it stands in",
}


def test_all_that_stands_there_as_json(attic: Home) -> None:
    """An object with both lists; without `--all` the plain list of models, as ever."""
    ended = attic.run("ls", "--all", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert list(told) == ["models", "oddities"]
    assert told["oddities"] == [{"path": path, "reason": ODD[path]} for path in sorted(ODD)]
    assert told["models"] == json.loads(attic.run("ls", "--json").stdout)
    assert {row["key"] for row in told["models"]} == {"a[/b]", "c/b]"}


def test_all_that_stands_there_as_tables(attic: Home) -> None:
    """The models first, as without `--all`, then each of the others with its reason."""
    shown = attic.run("ls", "--all")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(attic.run("ls").stdout)
    assert "a[/b]" in shown.stdout
    for path, reason in ODD.items():
        assert any(path in line and reason in line for line in shown.stdout.splitlines())


def test_a_terminal_of_few_letters(attic: Home) -> None:
    """What it cannot show is escaped there."""
    (attic.models / "o" / "Ä.gguf").write_bytes(b"x")
    shown = attic.real.run("ls", "--all", PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "o/\\xc4.gguf" in shown.stdout


def test_nothing_stands_there(home: Home) -> None:
    """Two words on stderr; on stdout nothing, or what is nothing in JSON."""
    empty = home.run("ls", "--all")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "Nothing else stands there." in empty.stderr
    assert json.loads(home.run("ls", "--all", "--json").stdout) == {"models": [], "oddities": []}


def test_a_models_folder_that_is_a_file(home: Home, tmp_path: Path) -> None:
    """It is told as what it is."""
    (tmp_path / "file").write_bytes(b"x")
    told = home.run("ls", "--all", "--json", WINDLASS_MODELS_DIR=str(tmp_path / "file"))
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["oddities"] == [{"path": ".", "reason": "it cannot be read: Not a directory"}]
