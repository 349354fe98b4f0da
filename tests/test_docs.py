"""The docs are held to the code: each promise has its test, each setting and metric is there, no link leads nowhere."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from scripts.pages import WRITTEN
from scripts.rest_page import described
from windlass.api.schemas import ErrorDetail
from windlass.cli.main import app
from windlass.client.client import Client
from windlass.settings import TABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def names_in(path: Path) -> set[str]:
    """The tests of a file: functions, and classes that a name was given to."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return named | {target.id for target in targets if isinstance(target, ast.Name)}


def test_each_promise_of_safety_has_its_test() -> None:
    """Each line of a table in docs/security.md names at least one, and all that are named are there."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]
    assert len(rows) > 20
    missing = []
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert tests, f"no test is named for: {row}"
        missing += [f"{path}::{name}" for path, name in tests if name not in names_in(ROOT / path)]
    assert missing == []


def test_the_references_leave_nothing_out() -> None:
    """Each setting, verb, call and method has its heading on the page that is made of them."""
    command: Any = typer.main.get_command(app)
    wanted = {
        "settings.md": {", ".join(known.variables) for known in TABLE.values()},
        "command-line.md": {f"windlass {name}" for name in command.commands if name != "token"},
        "rest.md": {f"{method.upper()} {path}" for path, calls in described()["paths"].items() for method in calls},
        "python.md": {name for name in vars(Client) if not name.startswith("_")},
    }
    missing = {page: names - headings_of(ROOT / "docs" / page) for page, names in wanted.items()}
    assert {page: names for page, names in missing.items() if names} == {}


@pytest.mark.parametrize("page", ["rest.md", "errors.md"])
def test_the_shape_of_an_error_is_told_whole(page: str) -> None:
    """Each field that every answer may have."""
    fields = ", ".join(f'"{name}"' for name in ErrorDetail.model_fields)
    assert f'`{{"error": {{{fields}}}}}`' in (ROOT / "docs" / page).read_text(encoding="utf-8")


def headings_of(page: Path) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE))


def test_each_metric_is_on_its_page() -> None:
    """And no other is: the table and the code name the same."""
    code = (ROOT / "src/windlass/api/metrics.py").read_text(encoding="utf-8")
    kinds = {"counter": "_total", "counters": "_total", "gauge": "", "gauges": ""}
    made = {f"windlass_{name}{kinds[kind]}" for kind, name in re.findall(r'yield _(\w+)\("(\w+)"', code)}
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    told = {name for line in page.splitlines() for name in re.findall(r"`(windlass_\w+)`", line.partition(" | ")[0])}
    assert len(made) > 10
    assert made == told


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_what_is_made_from_the_code_is_what_the_code_says(path: Path) -> None:
    """`make docs` writes it; who changes a setting, a verb, a call or a docstring runs that."""
    assert path.read_text(encoding="utf-8") == WRITTEN[path](), "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the project, and where they name a heading, to one that is there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} leads to {link}"
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
            assert heading in slugs, f"{page.name} leads to {link}"
