"""What the runs took place on: a figure without it means nothing."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.content import GIB
from benchmarks.tools import find_program


def machine(folder: Path) -> dict[str, str]:
    """Processor, memory, kernel, the disk below `folder`, and how busy it all is now."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores for clients and nginx together",
        "memory": _memory(),
        "system": f"{_distribution()}, Linux {platform.release()}",
        "disk": _disk(folder),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " (1, 5, 15 minutes)",
    }


def versions() -> dict[str, str]:
    """What each tool says of itself; one that is missing is named so."""
    libcurl = [sys.executable, "-c", "import pycurl; print(pycurl.version)"]
    return {
        "windlass": _said([find_program("windlass") or "windlass", "--version"]),
        "libcurl in windlass": _said(libcurl),
        "curl": _said(["curl", "--version"]),
        "aria2c": _said(["aria2c", "--version"]),
        "hf": _said([find_program("hf") or "hf", "version"], r"[\d.]+[\w.]*\d"),
        "sha256sum": _said(["sha256sum", "--version"]),
        "nginx": _said([shutil.which("nginx") or "/usr/sbin/nginx", "-v"]),
        "Python": platform.python_version(),
    }


def _said(words: list[str], pattern: str = r".+") -> str:
    """The first text in what a command writes that fits."""
    environment = {**os.environ, "NO_COLOR": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    try:
        ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return "missing"
    match = re.search(pattern, ended.stdout + ended.stderr)
    return match[0] if match and ended.returncode == 0 else "unknown"


def _processor() -> str:
    return labelled(Path("/proc/cpuinfo"), "model name") or platform.machine()


def _memory() -> str:
    said = labelled(Path("/proc/meminfo"), "MemTotal")
    return f"{int(said.split()[0]) * 1024 / GIB:.0f} GiB" if said else "not known"


def _distribution() -> str:
    return labelled(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"')


def labelled(path: Path, label: str, mark: str = ":") -> str:
    """What stands behind a label, as in most files below /proc; empty where there is no such line, or file."""
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(mark)
        if name.strip() == label:
            return value.strip()
    return ""


def _disk(folder: Path) -> str:
    """Device and file system of the mount that holds the folder (proc(5), `mounts`)."""
    path, mounts = str(folder.resolve()), [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if f"{path}/".startswith(mount[1].rstrip("/") + "/")]
    device, _, kind = max(holding, key=lambda mount: len(mount[1]))
    return f"{device}, {kind}, {shutil.disk_usage(folder).free / GIB:.0f} GiB free"
