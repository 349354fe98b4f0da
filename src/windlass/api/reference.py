"""`/docs`: the description of the API as a page to read, made from `/openapi.json`.

Not Swagger UI or the like: what shows it would have to come from another origin, or be shipped, a megabyte of script. A
page that is only text needs none, and a browser may be told to run none.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 3rem } h3 { margin: 2rem 0 .3rem; font-size: 1rem }
code, pre { font: .9em ui-monospace, monospace } pre { overflow-x: auto; padding: .7rem; border: 1px solid #8884 }
.method { display: inline-block; min-width: 4.5rem; font-weight: bold }
table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {"Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'"}


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Every call, with what it takes and answers."""
    return HTMLResponse(page(request.app.openapi()), headers=_HEADERS)


def page(description: dict[str, Any]) -> str:
    """An OpenAPI description as HTML."""
    title = f"{escape(description['info']['title'])} {escape(description['info']['version'])}"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    note = 'The same for programs: <a href="/openapi.json">/openapi.json</a>.'
    return "".join([head, f"<h1>{title}</h1><p>{note}</p>", *_operations(description), "</html>"])


def _operations(description: dict[str, Any]) -> Iterator[str]:
    heading = ""
    shapes = description.get("components", {}).get("schemas", {})
    for path, operations in sorted(description["paths"].items(), key=lambda each: (_tag(each[1]), each[0])):
        if _tag(operations) != heading:
            heading = _tag(operations)
            yield f"<h2>{escape(heading)}</h2>"
        for method, operation in operations.items():
            yield _operation(method, path, operation, shapes)


def _tag(operations: dict[str, Any]) -> str:
    return str(next(iter(operations.values())).get("tags", ["Other"])[0])


def _operation(method: str, path: str, operation: dict[str, Any], shapes: dict[str, Any]) -> str:
    parts = [f'<h3><span class="method">{method.upper()}</span><code>{escape(path)}</code></h3>']
    parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
    if rows := "".join(map(_parameter, operation.get("parameters", []))):
        parts.append(f"<table>{rows}</table>")
    if body := operation.get("requestBody"):
        parts.append(_shape("takes", body["content"]["application/json"]["schema"], shapes))
    answers = operation["responses"].get("200", {}).get("content", {})
    parts += [_shape("answers", content.get("schema", {}), shapes) for content in answers.values()]
    statuses = ", ".join(status for status in operation["responses"] if status != "200")
    return "".join([*parts, f"<p>Else: {statuses}.</p>"])


def _parameter(parameter: dict[str, Any]) -> str:
    what = parameter.get("description", "")
    return f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(what)}</td></tr>"


def _shape(verb: str, schema: dict[str, Any], shapes: dict[str, Any]) -> str:
    text = json.dumps(example(schema, shapes), indent=2, ensure_ascii=False)
    return f"<p>{verb}</p><pre>{escape(text)}</pre>"


def example(schema: dict[str, Any], shapes: dict[str, Any]) -> Any:
    """What a schema may look like, in JSON: an example that it gives, or the names of its types."""
    if "$ref" in schema:
        return example(shapes[schema["$ref"].rpartition("/")[2]], shapes)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], shapes)
    if "properties" in schema:
        return {name: example(value, shapes) for name, value in schema["properties"].items()}
    if "items" in schema:
        return [example(schema["items"], shapes)]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return schema.get("const", schema.get("type", "…"))
