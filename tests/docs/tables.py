"""What the docs' commands need, and which of them are not run, and why."""

import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs.pages import ROOT

REPOSITORIES = (
    ("lmstudio-community", "Qwen3-4B-Instruct-2507", ("Q4_K_M", "Q6_K", "Q8_0")),
    ("lmstudio-community", "Qwen3-4B", ("Q4_K_M", "Q8_0")),
    ("nomic-ai", "nomic-embed-text-v1.5", ("Q4_K_M", "Q8_0")),
)
GATED = "google/gemma-3-4b-it-qat-q4_0-gguf"
HUB_TOKEN = "hf_" + "x" * 8  # as the pages write it

SERVED = re.compile(r"(?:127\.0\.0\.1|localhost):1234|job_493c7c9ded")
"""What a page needs a server for; one that starts it itself gets none beforehand."""
DISKS = re.compile(r"(?<![\w./])/(media|mnt|srv)/")
DOWNLOADED = re.compile(r"~/Downloads/([\w.-]+\.gguf)")


@dataclass(frozen=True)
class NotRun:
    """Why a command is not run, and what is looked at instead: whether what it names is there."""

    reason: str
    holds: Callable[[str], bool]


def _target(words: str) -> bool:
    """Whether the Makefile has it."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words.split()[1:])


def _extra(words: str) -> bool:
    """Whether pyproject.toml has what is in the brackets; a clone is what is installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    match = re.fullmatch(r"pipx? install \.(?:\[(\w+)\])?", words)
    return match is not None and (not match[1] or match[1] in extras)


def _unit(words: str) -> bool:
    """Whether it is about our unit, or a command of ours for its user."""
    return bool(re.search(r"\bwindlass(?:\.service)?\b", words) or words.endswith("daemon-reload"))


NOT_RUN: Mapping[str, NotRun] = {
    "make": NotRun("it is what runs this test, or takes minutes", _target),
    "pip": NotRun("it would change the environment that the tests run in", _extra),
    "pipx": NotRun("it would install into the home of who runs the tests", _extra),
    "sudo": NotRun("it changes the machine: units, users, their folders", _unit),
    "systemctl": NotRun("there is no systemd in a container", _unit),
    "journalctl": NotRun("there is no systemd in a container", _unit),
}
"""By the first word. A shell function of that name notes the call."""

READ_ONLY: Mapping[str, str] = {
    "command-line.md": "the guides run the same verbs, on models that are there",
    "install.md": "they install, into this machine or an image; tests/install does what can be done without a network",
}
"""Pages whose commands are not run: what they tell `windlass` is read by its parser, and files they name are there."""

READERS = {
    "llama-server": "llama.cpp is not here",
    "mlx_lm.generate": "MLX runs on Apple silicon alone",
}
"""Programs of others: what they are handed as a model (`-m`, `--model`) must be there."""


def functions() -> list[str]:
    """The shell functions that stand in the place of what is not run."""
    noted = [f'{name}() {{ not_run {name} "$@"; }}' for name in NOT_RUN]
    return noted + [f'{name}() {{ takes_model "$@"; }}' for name in READERS]


def program(name: str) -> str:
    """Where it is."""
    path = shutil.which(name)
    assert path, f"{name} is not installed"
    return str(Path(path))
