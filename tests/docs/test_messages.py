"""What the pages quote as seen is what the code says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import windlass
from docs.pages import PAGES

SOURCES = Path(windlass.__file__).parent


def said() -> str:
    """Every text in the code, a line each; where a value goes in, the text ends."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES.rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


SAID = said()


def quoted(page: Path) -> Iterator[str]:
    """What stands as a message in a first column that is headed "you see" or "the log says"."""
    headed = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            headed = False
        elif line.startswith(("| you see", "| the log says")):
            headed = True
        elif headed:
            yield from (text for text in re.findall(r"`([^`]+)`", line.split(" | ")[0]) if " " in text)


def unknown(message: str) -> list[str]:
    """The parts of it, between `…`, that nothing in the code says."""
    parts = (part.strip(" ,.:;'") for part in re.split(r"…", message.removeprefix("error: ")))
    return [part for part in parts if part and part not in SAID]


QUOTES = [(page.name, message) for page in PAGES for message in quoted(page) if not message.startswith("windlass ")]


@pytest.mark.parametrize(("page", "message"), QUOTES)
def test_a_message_that_is_quoted_is_one_that_is_said(page: str, message: str) -> None:
    """Whoever looks for what stands on the screen finds it."""
    assert unknown(message) == [], page


def test_a_message_that_nobody_says_is_found() -> None:
    """Else the test above would prove nothing."""
    assert unknown("The moon … made of cheese") == ["The moon", "made of cheese"]
    assert len(QUOTES) > 20
