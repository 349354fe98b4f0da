"""Writes docs/command-line.md from what the command line itself declares: verbs, arguments, options, examples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from windlass.cli import exits
from windlass.cli.main import app
from windlass.codes import BY_CODE

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"

_HEAD = """\
<!-- Made by `make docs` from src/windlass/cli: change the words there. -->

# The command line

`windlass --help` lists the verbs, `windlass VERB --help` shows one. What is asked for goes to stdout, everything else
(progress, questions, errors) to stderr, so `$(windlass path …)` and pipes are safe. `--json` prints JSON on one line.
Where there is no terminal no bar is drawn and nothing is coloured; with `NO_COLOR` set nothing is coloured anywhere.

A verb that brings something in, or asks for jobs, uses the server at `WINDLASS_URL` if one answers there, else the one
that runs on the same `WINDLASS_HOME`, and works by itself if there is none.
"""

_ABOUT_CODES = {
    exits.DONE: "done",
    exits.FAILED: "failed",
    exits.USAGE: "the command, a setting or a name cannot be understood",
    exits.NOT_FOUND: "not found",
    exits.NO_ACCESS: "no access",
    exits.NO_SPACE: "no room on the disk",
    exits.NOT_REACHABLE: "the hub cannot be reached, or limits us",
    exits.INTERRUPTED: "interrupted, or answered with no",
}


def render() -> str:
    """The whole page, in Markdown."""
    command: Any = typer.main.get_command(app)
    verbs = [*_verbs("windlass", command)]
    links = ", ".join(f"[`{name.removeprefix('windlass ')}`](#{name.replace(' ', '-')})" for name, _ in verbs)
    options = _options([one for one in command.params if not one.hidden])
    begin = [_HEAD, f"Verbs: {links}.\n", "Without a verb:\n", *options, *_exit_codes()]
    lines = [*begin, *(line for name, verb in verbs for line in _section(name, verb))]
    return "\n".join(lines).rstrip() + "\n"


def _verbs(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, in the order in which they were declared."""
    for word, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _verbs(f"{name} {word}", command)
        else:
            yield f"{name} {word}", command


def _exit_codes() -> list[str]:
    rows = [f"| {code} | {what} | {_errors_of(code)} |" for code, what in _ABOUT_CODES.items()]
    return ["## Exit codes\n", "| code | what | error codes |", "| --- | --- | --- |", *rows, ""]


def _errors_of(code: int) -> str:
    """The stable codes that end a command so; 1 is for all the others."""
    if code == exits.FAILED:
        return "[all others](errors.md)"
    return ", ".join(f"[`{name}`](errors.md#{name})" for name in BY_CODE if exits.exit_code_of(name) == code) or "–"


def _section(name: str, verb: Any) -> list[str]:
    """One verb: what it does, how it is called, its words and options, an example."""
    said, _, example = (verb.help or "").partition("Example: ")
    shown = [one for one in verb.params if not one.hidden]
    words = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option"]
    call = " ".join([name, *map(_word, words), *([" ".join(map(_asked, options))] if options else [])])
    lines = [f"## {name}\n", said.strip(), "", "```text", call, "```", ""]
    rows = [f"| `{_word(one)}` | {_cell(one.help)} |" for one in words]
    lines += [*_table("argument", rows), *_options(options)]
    return [*lines, *(["For example:\n", "```sh", example.strip(), "```", ""] if example else [])]


def _options(options: list[Any]) -> list[str]:
    return _table("option", [f"| {_names(one)} | {_cell(one.help)}{_default(one)} |" for one in options])


def _table(what: str, rows: list[str]) -> list[str]:
    return [f"| {what} | meaning |", "| --- | --- |", *rows, ""] if rows else []


def _word(argument: Any) -> str:
    """An argument as a call shows it: in brackets where it may be missing, with dots where there may be several."""
    text = argument.name.upper().replace("_", "-") + ("…" if argument.nargs == -1 else "")
    return text if argument.required else f"[{text}]"


def _asked(option: Any) -> str:
    """An option as a call shows it, by its long name."""
    text = _long(option) + ("" if option.is_flag else f" {_value(option)}")
    return text if option.required else f"[{text}]"


def _long(option: Any) -> str:
    return str(max(option.opts, key=len))


def _value(option: Any) -> str:
    return str(option.metavar or option.name.upper().replace("_", "-"))


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {_value(option)}"
    many = "; may be given several times" if option.multiple else ""
    return ", ".join(f"`{name}{value}`" for name in option.opts) + many


def _default(option: Any) -> str:
    told = option.default is not None and not option.is_flag and option.default != ()
    return f" (default: `{option.default}`)" if told else ""


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
