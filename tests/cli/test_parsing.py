"""The command line's words are read as ever, and without pydantic where there is nothing to read."""

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from windlass.cli.parsing import Verb, Verbs, _AsItComes

Seen = dict[str, Any]


@pytest.fixture
def seen() -> Seen:
    return {}


@pytest.fixture
def app(seen: Seen) -> typer.Typer:
    app = typer.Typer(cls=Verbs, pretty_exceptions_enable=False)

    @app.callback()
    def root(flag: bool = False) -> None:
        seen["flag"] = flag

    @app.command(cls=Verb)
    def verb(
        text: str,
        more: Annotated[str | None, typer.Option("-m")] = None,
        number: int | None = None,
        path: Path | None = None,
        yes: Annotated[bool, typer.Option("--yes")] = False,
    ) -> None:
        seen.update(text=text, more=more, number=number, path=path, yes=yes)

    return app


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["verb", "a"], {}),
        (["verb", ""], {"text": ""}),
        (["verb", "7", "-m", "8"], {"text": "7", "more": "8"}),
        (["--flag", "verb", "a", "--yes"], {"flag": True, "yes": True}),
        (["verb", "a", "--number", "7", "--path", "b/c"], {"number": 7, "path": Path("b/c")}),
        (["verb", "--", "--yes"], {"text": "--yes"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_word_becomes_its_value(app: typer.Typer, seen: Seen, words: list[str], changes: Seen) -> None:
    """Texts stay texts, flags are set or are not, numbers and paths are read."""
    app(words, standalone_mode=False)
    given = {"flag": False, "text": "a", "more": None, "number": None, "path": None, "yes": False}
    assert seen == {**given, **changes}


@pytest.mark.parametrize(
    "words",
    [
        ["verb"],
        ["verb", "a", "-m"],
        ["verb", "a", "--number", "x"],
        ["verb", "a", "--yes=1"],
        ["verb", "a", "b"],
        ["x"],
    ],
    ids=" ".join,
)
def test_what_does_not_fit_is_an_error_of_use(
    app: typer.Typer, seen: Seen, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Told on stderr, with the code for it; the verb does not run."""
    with pytest.raises(SystemExit) as caught:
        app(words)
    assert caught.value.code == 2
    assert "Error" in capsys.readouterr().err
    assert "text" not in seen


def test_whatever_else_typer_asks_it_is_told() -> None:
    """A later Typer may want more of what reads a parameter than to read: that is made then, by Typer itself."""

    class Made:
        label = "as made"

    made: list[Made] = []

    def make() -> Made:
        made.append(Made())
        return made[-1]

    reader = _AsItComes(make)
    assert reader.coerce("text", param=None, ctx=None) == "text"
    assert made == []
    assert reader.label == "as made"
