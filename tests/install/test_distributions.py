"""The wheel and the sdist: all that is wanted, nothing else, and the one from the other."""

import email
import zipfile
from collections.abc import Iterator
from pathlib import Path

import windlass
from install.conftest import ROOT, Built

SOURCE = ("src", "tests", "docs", "scripts", "benchmarks", "packaging", "clients")
AT_THE_ROOT = {
    "Makefile",
    "pyproject.toml",
    "LICENSE",
    "Dockerfile",
    "compose.yaml",
    "mkdocs.yml",
    ".dockerignore",
    ".gitignore",
}


def contents(wheel: Path) -> dict[str, bytes]:
    """Each file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def below(folder: Path) -> Iterator[Path]:
    """Each file that people wrote."""
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_the_wheel_is_the_package_and_nothing_else(built: Built) -> None:
    """Code, the page, migrations and the mark of types as they stand in the tree; no test and no cache."""
    held = contents(built.wheel)
    wanted = {str(path.relative_to(ROOT / "src")): path.read_bytes() for path in below(ROOT / "src" / "windlass")}
    assert {name: content for name, content in held.items() if ".dist-info/" not in name} == wanted
    kinds = {Path(name).suffix for name in wanted}
    assert kinds == {".py", ".typed", ".mako", ".html", ".css", ".js", ".svg", ".bash", ".zsh", ".fish"}


def test_the_wheel_tells_what_it_is(built: Built) -> None:
    """The version is the one that the code says, the licence comes along, and `windlass` is a command."""
    held = contents(built.wheel)
    about = f"windlass-{windlass.__version__}.dist-info"
    metadata = email.message_from_bytes(held[f"{about}/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("windlass", windlass.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert held[f"{about}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"windlass = windlass.cli.main:main" in held[f"{about}/entry_points.txt"]


def test_the_sdist_has_what_make_test_reads(built: Built) -> None:
    """Every file of the folders that are checked and tested, and what stands at the root."""
    wanted = {path.relative_to(ROOT) for folder in SOURCE for path in below(ROOT / folder)}
    held = {path.relative_to(built.unpacked) for path in below(built.unpacked)}
    assert wanted - held == set()
    assert AT_THE_ROOT - {path.name for path in built.unpacked.iterdir()} == set()
    assert {path.name for path in ROOT.glob("*.md")} <= {path.name for path in built.unpacked.iterdir()}


def test_the_sdist_has_nothing_that_a_tool_left(built: Built) -> None:
    """No virtual environment, cache or report of the tree that it was made in."""
    assert not {".venv", ".make", ".git", ".mypy_cache", ".ruff_cache", "dist"} & {
        path.name for path in built.unpacked.iterdir()
    }
    assert not list(built.unpacked.rglob("__pycache__"))


def test_a_wheel_from_the_sdist_is_the_same(built: Built) -> None:
    """Byte for byte: who builds from the sdist gets what others got."""
    assert contents(built.again) == contents(built.wheel)
