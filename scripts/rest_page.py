"""Writes docs/rest.md from the description that the app itself makes (`/openapi.json`), with a call to try of each."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from windlass.api.app import create_app
from windlass.api.guard import is_free, scope_of
from windlass.api.reference import example
from windlass.service import Service
from windlass.settings import load

PAGE = Path(__file__).parents[1] / "docs" / "rest.md"

Json = dict[str, Any]

_SERVER = "http://127.0.0.1:1234"
_NAMES = {"job_id": "job_493c7c9ded", "model_id": "qwen/qwen3-4b-2507", "key": "qwen/qwen3-4b-2507"}
_WORDS: Mapping[str, str] = {"string": "text", "integer": "whole number", "boolean": "true or false"}
_NEVER = {"422"}  # FastAPI describes it for each path with a parameter; ours are texts, which nothing can be wrong with
_HEAD = """\
<!-- Made by `make docs` from src/windlass/api: change the words there. -->

# REST API

What `windlass serve` answers at `http://127.0.0.1:1234`. The server has the same as a page at `/docs` and for programs
at `/openapi.json`. The web page at `/` uses these calls and no others.

- Bodies are JSON, at most 64 KiB, with `Content-Type: application/json`.
- Times are UTC in ISO 8601, sizes are bytes. A field that has no value is left out, but where LM Studio has null.
- Where a token was made (`windlass token create`), a call needs one with the scope that stands behind it:
  `Authorization: Bearer sk-lm-…`.
- An answer that is no success is `{"error": {"type", "message", "hint", "code", "param"}}`; `code` is one of the
  [error codes](errors.md). Each call may answer 400, 401, 403, 408, 500 and 503; what else, stands behind it.
- Wherever there is GET, there is HEAD.

Calls of LM Studio's own API have its paths and shapes; clients of it need nothing but the address. What Windlass adds
stands under `/api/windlass/v1`.
"""


def render() -> str:
    """The whole page, in Markdown."""
    description = described()
    shapes = description["components"]["schemas"]
    lines = [_HEAD]
    heading = ""
    for tag, method, path, operation in _calls(description):
        lines += [f"## {tag}\n"] if tag != heading else []
        heading = tag
        lines += _section(method, path, operation, shapes)
    lines += ["## Shapes\n", "What the answers are made of. A field with ? may be missing.\n"]
    used = _used(description)
    return "\n".join([*lines, *(line for name in sorted(used) for line in _shape(name, shapes[name]))]).rstrip() + "\n"


def described() -> Json:
    """What `/openapi.json` says, without a server."""
    nowhere = load({"home": "/nonexistent/windlass", "models_dir": "/nonexistent/models"}, {}, Path("/nonexistent"))
    description: Json = create_app(Service(nowhere)).openapi()
    return description


def _calls(description: Json) -> list[tuple[str, str, str, Json]]:
    """Group, method, path and description of each call, as they were declared; what deletes comes last in its group."""
    calls = [
        (operation["tags"][0], method.upper(), path, operation)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    ]
    order = list(dict.fromkeys(tag for tag, *_ in calls))
    return sorted(calls, key=lambda call: (order.index(call[0]), call[1] == "DELETE"))


def _section(method: str, path: str, operation: Json, shapes: Json) -> Iterator[str]:
    scope = "needs no token" if is_free(path) else f"scope `{scope_of(method, path.replace('{', '').replace('}', ''))}`"
    yield f"### {method} {path}\n"
    yield f"{' '.join(operation['description'].split())}\n"
    yield from _parameters(operation.get("parameters", []))
    body = operation.get("requestBody")
    if body:
        yield f"Body{'' if body['required'] else ' (may be left out)'}:\n"
        yield from _fields(_json(body), method)
    yield f"Answers {_answers(operation)}; {scope}.\n"
    if "200" in operation["responses"]:
        yield from ["```sh", _curl(method, path, operation, shapes), "```", ""]


def _parameters(parameters: list[Json]) -> Iterator[str]:
    """Those that are no part of the path."""
    rows = [
        f"| `{one['name']}` ({one['in']}) | {_type(one['schema'])} | {_about(one, one['schema'])} |"
        for one in parameters
        if one["in"] != "path"
    ]
    if rows:
        yield from ["| parameter | type | meaning |", "| --- | --- | --- |", *rows, ""]


def _answers(operation: Json) -> str:
    """What it answers when all is well, and the statuses that only some calls have."""
    good = operation["responses"].get("200")
    everywhere = {"200", "400", "401", "403", "408", "500", "503"} | _NEVER
    rest = ", ".join(sorted(operation["responses"].keys() - everywhere))
    if good is None:
        return f"{rest}, always"
    content = next(iter(good["content"].items()))
    what = _type(content[1].get("schema", {})) if content[0] == "application/json" else f"`{content[0]}`"
    note = "" if good["description"] == "Successful Response" else f": {good['description'].rstrip('.')}"
    return f"{what}{note}{f'; else {rest}' if rest else ''}"


def _curl(method: str, path: str, operation: Json, shapes: Json) -> str:
    """A call that can be made as it stands."""
    for name, value in _NAMES.items():
        path = path.replace(f"{{{name}}}", value)
    query = {one["name"]: ex[0] for one in operation.get("parameters", []) if (ex := one["schema"].get("examples"))}
    address = f"{_SERVER}{path}" + (f"?{urlencode(query)}" if query else "")
    words = ["curl"]
    words += ["-N"] if "text/event-stream" in operation["responses"]["200"].get("content", {}) else []
    words += ["-X", method] if method not in {"GET", "POST"} or (method == "POST" and not _body(operation)) else []
    words.append(f"'{address}'" if query else address)
    if not _body(operation):
        return " ".join(words)
    sent = json.dumps(_sent(_json(operation["requestBody"]), shapes))
    return f"{' '.join(words)} -H 'Content-Type: application/json' \\\n  -d '{sent}'"


def _body(operation: Json) -> bool:
    return bool(operation.get("requestBody", {}).get("required"))


def _sent(schema: Json, shapes: Json) -> Json:
    """A body with the fields that must be there and those that have an example."""
    required = schema.get("required", [])
    fields = {name: field for name, field in schema["properties"].items() if name in required or "examples" in field}
    return {name: example(field, shapes) for name, field in fields.items()}


def _json(body: Json) -> Json:
    schema: Json = body["content"]["application/json"]["schema"]
    return schema


def _shape(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield f"{schema['description'].strip()}\n"
    yield from _fields(schema, "GET")


def _fields(schema: Json, method: str) -> Iterator[str]:
    """Of an answer (GET), where what has no value is left out, or of a body; what is not sent to change stays."""
    required = schema.get("required", [])
    yield from ["| field | type | meaning |", "| --- | --- | --- |"]
    for name, field in schema["properties"].items():
        shown = field if name in required or method != "GET" else _valued(field)
        shown = {**shown, "default": None} if method != "POST" else shown
        yield f"| `{name}`{'' if name in required else ' ?'} | {_type(shown)} | {_about(field, shown)} |"
    yield ""


def _valued(field: Json) -> Json:
    """Without null, which such a field is never sent with."""
    kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
    return {"anyOf": kinds} if kinds else field


def _about(one: Json, schema: Json) -> str:
    """The meaning, with the default where there is one that tells something."""
    default = schema.get("default")
    told = default not in (None, [], "")
    text = " ".join(str(one.get("description", "")).split())
    return f"{text}{f' Default: `{json.dumps(default)}`.' if told else ''}".strip()


def _type(schema: Json) -> str:
    """In words; a shape that has a section is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return _enum([value for value in schema["enum"] if value != ""])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "properties" in schema:
        return "object of " + ", ".join(f"`{name}`" for name in schema["properties"])
    kind = str(schema.get("type", "anything"))
    return _WORDS.get(kind, kind)


def _enum(values: list[str]) -> str:
    """The values; of codes there are too many."""
    return "[a code](errors.md)" if len(values) > 10 else ", ".join(f"`{value}`" for value in values)


def _used(description: Json) -> set[str]:
    """The shapes that answers lead to, one from another."""
    shapes, found = description["components"]["schemas"], set[str]()
    todo = [
        answer
        for operations in description["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status not in _NEVER
    ]
    while todo:
        names = {ref.rpartition("/")[2] for ref in _references(todo.pop())} - found
        found |= names
        todo += [shapes[name] for name in names]
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
