"""Writes docs/python.md from the docstrings and signatures of the Python client."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from windlass.client.asynchronous import AsyncClient
from windlass.client.calls import Event
from windlass.client.client import Client

PAGE = Path(__file__).parents[1] / "docs" / "python.md"

_HEAD = """\
<!-- Made by `make docs` from the docstrings in src/windlass/client: change the words there. -->

# Python client

`pip install` brings it with the command. It talks to a server (`windlass serve`) over the [REST API](rest.md) and
nothing else, so the server may run on another machine.

```sh
windlass serve
```

```text
Listening on http://127.0.0.1:1234
```

```python
from windlass import Client

with Client() as client:
    job = client.download("qwen/qwen3-4b-2507", on_progress=lambda job: print(job["downloaded_bytes"]))
    print(client.model("qwen/qwen3-4b-2507")["path"], job["status"])
```

With asyncio:

```python
import asyncio

from windlass import AsyncClient


async def main() -> None:
    async with AsyncClient() as client:
        job = await client.download("qwen/qwen3-4b-2507", on_progress=lambda job: print(job["phase"]))
        print(job["status"])


asyncio.run(main())
```

What calls answer are dictionaries, the JSON of the [REST API](rest.md#shapes); `windlass.client.shapes` has their
types. A field that has no value is not there: ask with `job.get("completed_at")`.

## Errors

Each error of the server is a `ServerFailure` with `status`, `code`, `message` and `hint`, and also of the class of its
[code](errors.md), so either can be caught:

```python
from windlass import Client
from windlass.errors import ModelNotFound, ServerFailure

with Client() as client:
    try:
        client.download("qwen/no-such-model")
    except ModelNotFound as error:
        print("not there:", error.message)
    except ServerFailure as error:
        print(error.status, error.code, error.hint)
```

Where nobody answers it is `ServerUnreachable`, which is a `ServerFailure` too.

## Client

"""


def render() -> str:
    """The whole page, in Markdown."""
    lines = [_HEAD + _call("Client", Client.__init__), "", *_told(Client)]
    for name, method in _methods(Client):
        lines += [f"### {name}\n", _call(name, method), "", *_told(method)]
    missing = {name for name, _ in _methods(Client)} - {name for name, _ in _methods(AsyncClient)}
    lines += ["## AsyncClient\n", *_told(AsyncClient)]
    lines.append("It has the same methods, to be awaited; `events` is gone through with `async for`.")
    lines.append(f"It has no {', '.join(f'`{name}`' for name in sorted(missing))}.\n" if missing else "")
    lines += ["## Event\n", f"`({', '.join(Event._fields)})`\n", *_told(Event)]
    return "\n".join(lines).rstrip() + "\n"


def _methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public ones, in the order of the source."""
    return ((name, member) for name, member in vars(cls).items() if callable(member) and not name.startswith("_"))


def _call(name: str, function: Callable[..., Any]) -> str:
    """The signature without `self`."""
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    answer = signature.return_annotation
    shown = inspect.Signature(parameters, return_annotation=signature.empty if answer is None else answer)
    text = re.sub(r"\b(?:typing|collections\.abc|windlass\.client\.\w+)\.", "", str(shown))
    return f"```text\n{name}{text}\n```"


def _told(subject: Any) -> list[str]:
    """A docstring as Markdown: what it is, then what it takes and raises as lists."""
    text, *sections = re.split(r"\n\n(?=(?:Args|Raises):\n)", inspect.getdoc(subject) or "")
    lines = [text, ""]
    for section in sections:
        heading, _, body = section.partition("\n")
        entries = re.findall(r"^    (\S.*?): ((?:.|\n {8})*)", body, re.MULTILINE)
        lines += [f"{'Takes' if heading == 'Args:' else 'Raises'}:\n"]
        lines += [f"- `{name}`: {' '.join(what.split())}" for name, what in entries] + [""]
    return lines
