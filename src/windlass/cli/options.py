"""What several verbs take, and the settings and the console that they work with."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from windlass.cli.completion import model_names, names_to_get
from windlass.settings import Settings, load

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[
    str,
    typer.Argument(
        help="A catalog name, a link to lmstudio.ai or huggingface.co, or owner/repo; @QUANT chooses.",
        autocompletion=names_to_get,
    ),
]
ModelHere = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="As `windlass ls` shows it, or as it was asked for.", autocompletion=model_names
    ),
]
Quantization = Annotated[str | None, typer.Option("-q", "--quantization", help="Q4_K_M, 4bit, …")]
# A text, for typer reads paths with pydantic, which every `get` would wait for.
To = Annotated[str | None, typer.Option("--to", help="The models folder that it is to stand in.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Ask nothing.")]


def settings() -> Settings:
    """What Windlass was told, by the environment and config.toml."""
    return load()


def folder_of(to: str | None) -> str | None:
    """The folder that was named, as a server takes it, which has another working folder."""
    return str(Path(to).expanduser().absolute()) if to else None


def confirm(question: str) -> None:
    """Go on only with a yes. Not Typer's own, which writes a blank to stdout, and that is for data.

    Raises:
        Abort: it was anything else.
    """
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        sys.stderr.write("Nothing was changed. With -y nothing is asked.\n")
        raise typer.Abort


def console() -> Any:
    """Where words for people go."""
    from windlass.cli.tables import console

    return console(stderr=True)
