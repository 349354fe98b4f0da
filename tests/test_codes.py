"""The closed set of codes: each is documented, each is one class's own, and the code uses no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import windlass
from scripts import error_page
from windlass import errors
from windlass.api import schemas
from windlass.api.errors import place_of
from windlass.cli import exits
from windlass.codes import BY_CODE, ENTRIES, codes_in
from windlass.errors import Cancelled, Stopped, WindlassError

SOURCES = Path(windlass.__file__).parent
ROOT = Path(__file__).parents[1]


def classes(root: type[WindlassError] = WindlassError) -> Iterator[type[WindlassError]]:
    """The tree, the root first; without what tests have made."""
    if root.__module__ == errors.__name__:
        yield root
    for child in root.__subclasses__():
        yield from classes(child)


TREE = {cls.__name__: cls for cls in classes()}
CODED = {cls for cls in TREE.values() if "code" in vars(cls)}


def constructed(module: str, tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each class of the tree that a module makes an error of, by whatever name it knows the tree; with the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TREE:
                yield module, name


def literals(tree: ast.AST) -> Iterator[str]:
    """Codes that are written out where an error's class should be asked: `error_code` and `code` as key or keyword."""
    for node in ast.walk(tree):
        named: list[tuple[str | None, ast.expr]] = []
        if isinstance(node, ast.Dict):
            named = [(text_of(key), value) for key, value in zip(node.keys, node.values, strict=True)]
        elif isinstance(node, ast.Call):
            named = [(keyword.arg, keyword.value) for keyword in node.keywords]
        yield from (text for name, value in named if name in {"error_code", "code"} and (text := text_of(value)))


def text_of(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def trees() -> dict[str, ast.AST]:
    paths = {".".join(path.relative_to(SOURCES).with_suffix("").parts): path for path in SOURCES.rglob("*.py")}
    return {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in paths.items()}


MADE = {made for module, tree in trees().items() for made in constructed(module, tree)}


def test_each_code_has_its_entry_and_no_other_has() -> None:
    """A class that gets a code gets its words in `windlass.codes` with it."""
    assert {cls.__name__ for cls in CODED} == {cls.__name__ for cls in ENTRIES}


def test_no_two_classes_share_a_code() -> None:
    """Who reads a code knows what happened."""
    assert sorted(cls.code for cls in CODED) == sorted({cls.code for cls in CODED}) == list(BY_CODE)


@pytest.mark.parametrize("code", BY_CODE)
def test_each_entry_is_for_people(code: str) -> None:
    """What happened, what is kept and what to do: whole sentences, and a place where one may meet it."""
    entry = BY_CODE[code]
    assert entry.places
    for text in (entry.happened, entry.kept, entry.advice):
        assert text[:1].isupper() or text[:1] == "`"
        assert text.endswith(".")
        assert len(text) > 15


def test_the_page_has_all_there_is_to_know() -> None:
    """A heading for each code, its line of the table, and the words of its entry."""
    page = error_page.render()
    for code, entry in BY_CODE.items():
        section = page.partition(f"## `{code}`\n")[2].partition("\n## ")[0]
        assert entry.happened in section
        assert entry.kept in section
        assert entry.advice in section
    assert "| [`insufficient_storage`](#insufficient_storage) | 507 | yes | 5 |" in page
    assert "| [`server_unreachable`](#server_unreachable) | – | – | 1 |" in page


def test_people_find_the_page() -> None:
    """From the README."""
    assert "(docs/errors.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_codes_are_written_in_one_place_only() -> None:
    """Everything else asks the class: a code cannot be misspelt, and none can be outside the set."""
    found = {module: list(literals(tree)) for module, tree in trees().items()}
    assert {module: codes for module, codes in found.items() if codes} == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"error_code": "brand_new"}',
        'f(error_code="brand_new")',
        'f(1, code="brand_new")',
        '{**a, "code": "brand_new"}',
    ],
)
def test_a_code_that_is_written_out_is_seen(text: str) -> None:
    """The silence of the test above means something."""
    assert list(literals(ast.parse(text))) == ["brand_new"]


def test_an_error_that_is_made_is_seen() -> None:
    """By its name, and through the module."""
    text = "raise HubError('x')\nreturn e.HubUnreachable('x')\nraise ValueError"
    assert list(constructed("m", ast.parse(text))) == [("m", "HubError"), ("m", "HubUnreachable")]


def test_what_has_no_code_stays_inside() -> None:
    """Groups are not raised; `Stopped` only where a check that was told to stop unwinds."""
    without = {(module, name) for module, name in MADE if TREE[name] not in CODED}
    assert without == {("library.digests", Stopped.__name__), ("library.cloning", Stopped.__name__)}
    assert {cls.code for cls in TREE.values() if cls not in CODED} == {WindlassError.code}


def test_a_bug_is_said_where_bugs_are_caught() -> None:
    """Nobody else may raise the root: `internal_error` tells a person nothing."""
    assert {module for module, name in MADE if name == WindlassError.__name__} == {"runner", "api.app"}


def test_each_code_can_be_met() -> None:
    """The page has nothing that never happens; a cancelled job's end is the one that nobody raises."""
    assert {cls.__name__ for cls in CODED} - {name for _, name in MADE} == {Cancelled.__name__}


def test_what_a_pull_raises_may_end_a_job() -> None:
    """All that the recipe and what it works with raise; finding a name on the shelf, import and export are no part."""
    inside = {"transfer", "library", "pull", "space"}
    outside = {"library.keys", "library.imports", "library.exports", "library.exporting", "library.unpacking"}
    raised = {name for module, name in MADE if module.split(".")[0] in inside and module not in outside}
    assert raised >= {"ChecksumMismatch", "SourceFailure", "StorageUnavailable"}
    assert {TREE[name].code for name in raised if TREE[name] in CODED} <= set(codes_in("job"))


def test_what_may_be_an_answer_has_its_status() -> None:
    """None falls through to 500 by oversight: that is for bugs."""
    answered = {cls.code: place_of(cls) for cls, entry in ENTRIES.items() if "answer" in entry.places}
    fallen = {code for code, (status, _) in answered.items() if status == 500}
    assert fallen == {"internal_error"}


def test_exit_codes_are_given_to_codes_of_the_set() -> None:
    """And to no others."""
    assert set(exits._BY_CODE) <= set(BY_CODE)


def test_the_api_describes_the_set() -> None:
    """Programs find it in `/openapi.json`."""
    assert schemas.ErrorDetail.model_json_schema()["properties"]["code"]["enum"] == codes_in("answer")
    assert schemas.Job.model_json_schema()["properties"]["error_code"]["enum"] == codes_in("job")
