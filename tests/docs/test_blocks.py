"""What the pages hold besides commands: blocks that a parser reads, and nothing that escapes the tests."""

import configparser
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from docs.pages import PAGES, ROOT, Block, blocks_of, commands_of, prose_of
from windlass.cli.main import app
from windlass.errors import InvalidRequest
from windlass.settings import load


def reads_as_settings(text: str) -> None:
    """A config.toml that Windlass takes."""
    names = tomllib.loads(text)
    assert names
    home = ROOT / "nowhere"
    load(names, {"WINDLASS_HOME": str(home)}, home)


def reads_as_unit(text: str) -> None:
    """A unit of systemd: sections of settings, of which some may come twice."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    assert parser.sections()


def is_made(text: str) -> None:
    """A diagram that a script of ours has written; a test of its own holds it."""
    assert "stateDiagram" in text


def is_shown(text: str) -> None:
    """What somebody sees: compared where it follows a command."""
    assert text.strip()


READ: Mapping[str, Callable[[str], Any]] = {
    "sh": is_shown,
    "python": lambda text: compile(text, "page", "exec"),
    "text": is_shown,
    "json": json.loads,
    "toml": reads_as_settings,
    "yaml": yaml.safe_load,
    "ini": reads_as_unit,
    "mermaid": is_made,
}
"""The languages that there are, and what reads each. `sh` and `python` are run by the other module."""
BLOCKS = [(page, block) for page in PAGES for block in blocks_of(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_is_of_a_known_language_and_reads_well(page: Path) -> None:
    """A block without a language is none that a reader knows how to take."""
    for block in blocks_of(page.read_text(encoding="utf-8")):
        assert block.language in READ, f"{page.name}, line {block.line}: {block.language!r}"
        READ[block.language](block.text)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("json", "{"),
        ("toml", 'max_jobs = "many"'),
        ("toml", "no_such_setting = 1"),
        ("yaml", "a: [1"),
        ("ini", "no section"),
        ("python", "if:"),
        ("text", "\n"),
    ],
)
def test_a_block_that_does_not_read_is_found(language: str, text: str) -> None:
    """Else the test above would prove nothing."""
    with pytest.raises(
        (ValueError, AssertionError, SyntaxError, InvalidRequest, KeyError, yaml.YAMLError, configparser.Error)
    ):
        READ[language](text)


@pytest.mark.parametrize("page", [*ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_no_command_stands_outside_of_a_fence(page: Path) -> None:
    """Indented blocks are read by no test."""
    indented = re.findall(r"\n\n {4}\S.*", prose_of(page.read_text(encoding="utf-8")))
    assert indented == []


def _examples() -> list[str]:
    (page,) = (page for page in PAGES if page.name == "command-line.md")
    return [line for block in commands_of(page) for line in block.text.splitlines()]


@pytest.mark.parametrize("line", _examples())
def test_the_examples_of_verbs_are_understood(line: str) -> None:
    """By the parser, which is asked for each `windlass …` of the line and runs nothing."""
    calls = re.findall(r"windlass ((?:[^\s\"$();|&]+ ?)+)", line)
    assert calls
    for call in calls:
        _parse(shlex.split(call))


def test_an_example_that_is_not_understood_is_found() -> None:
    """Else the test above would prove nothing."""
    for words in (["get", "--no-such-option"], ["nonsense"], ["token", "create", "--scope"]):
        with pytest.raises(Exception, match=r"(?i)no such|requires an argument"):
            _parse(words)


def _parse(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("windlass", [*words], resilient_parsing=False)
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def test_blocks_are_found_as_they_are_written() -> None:
    """Output belongs to the block right before it; a comment names another machine."""
    text = "a\n\n<!-- on: laptop -->\n```sh\nls\n```\n\n```text\nx\n```\n\nb\n\n```text\ny\n```\n"
    first, second = blocks_of(text)
    assert first == Block("sh", "ls\n", 4, "laptop", "x\n")
    assert second == Block("text", "y\n", 14)
