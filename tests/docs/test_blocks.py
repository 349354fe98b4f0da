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

from docs import tables
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


def _calls(line: str) -> list[str]:
    """What is said to `windlass`, where that is a command and no name of something else."""
    return re.findall(r"(?:^|\$\(|bin/|exec windlass |--rm )windlass ([a-z-][^)|;&\"\\]*)", line)


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


def _lines() -> list[str]:
    pages = [page for page in PAGES if page.name in tables.READ_ONLY]
    return [line for page in pages for block in commands_of(page) for line in block.text.splitlines()]


@pytest.mark.parametrize("line", [line for line in _lines() if _calls(line)])
def test_what_is_not_run_is_understood(line: str) -> None:
    """By the parser of the command line, which runs nothing."""
    for call in _calls(line):
        _parse(shlex.split(call))


def test_what_is_not_run_names_what_is_there() -> None:
    """Files of the repository, and targets of its Makefile."""
    text = "\n".join(_lines())
    named = re.findall(r"(?<![\w/])(?:packaging|scripts|docs)/[\w./-]+", text)
    assert len(named) > 2
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [line for line in _lines() if line.startswith("make ") and not tables.NOT_RUN["make"].holds(line)] == []


def test_an_example_that_is_not_understood_is_found() -> None:
    """Else the test above would prove nothing."""
    for words in (["get", "--no-such-option"], ["nonsense"], ["token", "create", "--scope"]):
        with pytest.raises(Exception, match=r"(?i)no such|requires an argument"):
            _parse(words)


def _parse(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("windlass", [*words], resilient_parsing=False)
    while hasattr(command, "commands") and (left := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)


def test_blocks_are_found_as_they_are_written() -> None:
    """Output belongs to the block right before it; a comment names another machine."""
    text = "a\n\n<!-- on: laptop -->\n```sh\nls\n```\n\n```text\nx\n```\n\nb\n\n```text\ny\n```\n"
    first, second = blocks_of(text)
    assert first == Block("sh", "ls\n", 4, "laptop", "x\n")
    assert second == Block("text", "y\n", 14)
