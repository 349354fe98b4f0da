"""Fixtures of what people install: the wheel and the sdist, built once, and the wheel installed outside the tree."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.conftest import acme, home

__all__ = ["acme", "home"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Built:
    """A wheel and an sdist of the tree, the sdist unpacked, and the wheel that was built from there."""

    wheel: Path
    sdist: Path
    unpacked: Path
    again: Path


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a command says that must succeed. It hears nothing of coverage: what it runs is not under test."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(tree: Path, kind: str, into: Path) -> Path:
    """A distribution of the tree, by the backend itself: pip would fetch another one for it."""
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", into, cwd=tree)
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, as `make dist` makes them."""
    folder = tmp_path_factory.mktemp("built")
    sdist = build(ROOT, "sdist", folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Built(build(ROOT, "wheel", folder / "wheel"), sdist, unpacked, build(unpacked, "wheel", folder / "again"))


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel. It borrows the other packages from the one that runs the tests.

    Not by the network, and not by `--system-site-packages`: that would bring the tests' editable Windlass as well. A
    `.pth` file that names a folder does not have the `.pth` files in it read.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", built.wheel)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder
