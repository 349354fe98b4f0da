"""What `--help` says: every verb has a sentence and an example that its own parser takes."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from windlass.cli.main import app

# Contract §4, and those that came since.
VERBS = {
    *("serve", "get", "plan", "ls", "ps", "pause", "resume", "cancel", "rm", "path", "search", "verify", "import"),
    *("forget", "token", "hub", "demo", "config", "attach", "check", "completion", "doctor", "export", "update"),
}


def verbs(group: Any, name: str = "windlass") -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = dict(verbs(get_command(app)))


def test_all_verbs_are_there() -> None:
    """And `--help` shows them in groups."""
    assert {name.split()[1] for name in COMMANDS} == VERBS
    shown = subprocess.run([sys.executable, "-m", "windlass", "--help"], capture_output=True, text=True, check=True)
    assert {word for word in VERBS if re.search(rf"^\W*{word}\s", shown.stdout, re.MULTILINE)} == VERBS
    for panel in ("Models", "Jobs", "Server", "This machine"):
        assert f" {panel} " in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_verb_has_an_example_that_it_takes(name: str) -> None:
    """`Example:` and a command line that is this verb's, with options and arguments that it knows."""
    command = COMMANDS[name]
    [example] = re.findall(r"^Example: (.+)$", command.help or "", re.MULTILINE)
    within = re.search(rf"{name}[^\"')]*", example)
    assert within, example
    words = shlex.split(within.group())[len(name.split()) :]
    context = command.make_context(name, words, resilient_parsing=False)
    assert context.params.keys() == {parameter.name for parameter in command.params if parameter.expose_value}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_explained(name: str) -> None:
    """So is each argument; `--json` is wherever something is printed for reading."""
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", "")] == []
