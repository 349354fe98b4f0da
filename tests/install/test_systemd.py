"""The units, as systemd itself reads them, and the command in them, as Windlass does."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from e2e.outside import PATIENCE, Home, Server
from install.conftest import ROOT

SYSTEM = ROOT / "packaging" / "systemd" / "windlass.service"
USER = ROOT / "packaging" / "systemd" / "user" / "windlass.service"
NEIGHBOURS = ("basic", "multi-user", "network-online", "shutdown", "sysinit")  # targets that every system has
EXPOSURE = 20  # tenths, as systemd counts: 0 is shut in, 100 is free. Versions differ by a few.


def analyze(*arguments: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """What systemd says, which need not run for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt install systemd")
    command = ["systemd-analyze", *arguments]
    environment = {"PATH": os.environ["PATH"], **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


def told(unit: Path, key: str) -> str:
    """The value of a key that is there once."""
    (value,) = re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    return str(value)


def put_command(path: Path) -> None:
    """Something to run, where a unit looks for it."""
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A system's root with the service and no other: what is installed here has no say."""
    put_command(tmp_path / "opt" / "windlass" / "bin" / "windlass")
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    shutil.copy(SYSTEM, units)
    for name in NEIGHBOURS:
        (units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n", encoding="utf-8")
    return tmp_path


def test_systemd_has_nothing_to_say_about_the_service(machine: Path) -> None:
    """Not even that it passes over a word: one misspelt would take a restriction away, and the service would start."""
    verified = analyze("verify", "--man=no", f"--root={machine}", "windlass.service")
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_systemd_has_nothing_to_say_about_a_persons_service(tmp_path: Path) -> None:
    """The same of the unit for one user, whose command is where pipx puts it."""
    put_command(tmp_path / ".local" / "bin" / "windlass")
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    verified = analyze("verify", "--user", "--man=no", USER, **home)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_the_service_may_do_little(machine: Path) -> None:
    """By systemd's own count of what is left to it: the network, and reading the system."""
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", f"--root={machine}", "windlass.service")
    assert judged.returncode == 0, judged.stdout


def test_their_command_serves(home: Home) -> None:
    """What both run is a command of Windlass, and SIGTERM, which systemd sends, ends it with success."""
    ((verb, *arguments),) = {tuple(told(unit, "ExecStart").split()[1:]) for unit in (SYSTEM, USER)}
    assert verb == "serve"
    with Server(home, *arguments) as server:
        assert server.ask("GET", "/api/windlass/v1/health").status == 200
        assert server.end() == 0


def test_a_setting_that_cannot_be_is_not_tried_again(home: Home) -> None:
    """What Windlass ends with then is what both say not to restart for."""
    refused = home.run("serve", WINDLASS_HOST="0.0.0.0")
    assert "no token has been made" in refused.stderr
    assert {told(unit, "RestartPreventExitStatus") for unit in (SYSTEM, USER)} == {str(refused.returncode)}
