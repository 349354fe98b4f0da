"""What a request asks, and the right answer: pure functions, from RFC 9110 and the real hub's observed answers."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

from standin.content import Bytes, Content, Slice, gzipped
from standin.repository import File, Repository
from standin.wire import Manner, Reply, Request

_COMPRESSIBLE = (".json", ".txt", ".md", ".yaml", ".jinja")
_REPO, _REVISION = "(?P<repo>[^/]+/[^/]+)", "(?P<revision>[^/]+)"
_ROUTES = {
    "whoami": "/api/whoami-v2",
    "search": "/api/models",
    "info": f"/api/models/{_REPO}(?:/revision/{_REVISION})?",
    "tree": f"/api/models/{_REPO}/tree/{_REVISION}(?:/(?P<file>.+))?",
    "small": f"/api/resolve-cache/models/{_REPO}/{_REVISION}/(?P<file>.+)",
    "picks": "/api/v1/models",
    "artifact": f"/api/v1/artifacts/{_REPO}/revision/-1",
    "page": f"/models/{_REPO}",
    "yaml": f"(?:/catalog)?/{_REPO}/model.yaml",
    "resolve": f"/{_REPO}/resolve/{_REVISION}/(?P<file>.+)",
}


def classified(request: Request) -> Request:
    """The request with what it asks for, read from its path; `refs%2Fpr%2F1` is one part of it."""
    for kind, pattern in _ROUTES.items():
        if match := re.fullmatch(pattern, request.path):
            parts = {name: unquote(value or "") for name, value in match.groupdict().items()}
            revision = parts.get("revision") or "main"
            return replace(
                request, kind=kind, repo=parts.get("repo", ""), revision=revision, file=parts.get("file", "")
            )
    return request


def has_tag(row: Mapping[str, Any], tag: str) -> bool:
    """Whether a row of the search has it; the hub tags a repository by its files' endings, too."""
    return not tag or tag in row["tags"] or any(one["rfilename"].endswith(f".{tag}") for one in row["siblings"])


def policy_of(request: Request) -> str:
    """Which of the hub's two limits counts a request."""
    return "api" if request.kind in {"info", "tree", "search", "whoami"} else "resolvers"


def refused(repository: Repository | None, request: Request, signed_in: bool) -> Reply | None:
    """Why this caller may not have it: the 401-for-missing rule, gates, disabled repositories."""
    granted = repository is not None and request.token in repository.granted
    if repository is None or (repository.private and not granted):
        return missing(signed_in)
    if repository.disabled:
        return error(403, "Access to this resource is disabled.")
    if repository.gated and not granted and request.kind in {"resolve", "small"}:
        return error(403 if signed_in else 401, "Access to this model is restricted.", "GatedRepo")
    return None


def missing(signed_in: bool) -> Reply:
    """A repository that is not there, or not for this caller: who has no token is not told which."""
    if signed_in:
        return error(404, "Repository not found", "RepoNotFound")
    return error(401, "Invalid username or password.")


def error(status: int, message: str, code: str | None = None) -> Reply:
    headers = {"Content-Type": "application/json", "X-Error-Message": message}
    body = Bytes(json.dumps({"error": message}).encode())
    return Reply(status, {**headers, "X-Error-Code": code} if code else headers, body)


def json_reply(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json; charset=utf-8"}, Bytes(json.dumps(value).encode()))


def renamed(request: Request, name: str) -> Reply:
    """The relative redirect to the repository's right name, the query kept."""
    return Reply(307, {"Location": request.target.replace(quote(request.repo), quote(name), 1)})


def small_reply(request: Request, file: File, headers: Mapping[str, str]) -> Reply:
    """A small file's bytes; text comes compressed, without a length, to a client that did not forbid it."""
    if file.path.endswith(_COMPRESSIBLE) and "gzip" in request.headers.get("accept-encoding", ""):
        packed = {**headers, "Content-Encoding": "gzip"}
        return Reply(200, packed, gzipped(file.content), manner=Manner(framing="chunked"))
    return file_reply(request, file.content, headers)


def file_reply(request: Request, content: Content, headers: Mapping[str, str]) -> Reply:
    """200 with all, 206 with the range asked for, or 416 (RFC 9110 §14). `headers` has the ETag."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    asked = request.headers.get("range")
    if asked is None or request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        return Reply(200, headers, content)
    span = parse_range(asked, content.size)
    if span == "unsatisfiable":
        return Reply(416, {**headers, "Content-Range": f"bytes */{content.size}"})
    if span is None:
        return Reply(200, headers, content)
    stated = {**headers, "Content-Range": f"bytes {span.first}-{span.last}/{content.size}"}
    return Reply(206, stated, Slice(content, span.first, span.last - span.first + 1), offset=span.first)


class Span(NamedTuple):
    """First and last byte, both included."""

    first: int
    last: int


def parse_range(header: str, size: int) -> Span | Literal["unsatisfiable"] | None:
    """The one range asked for; None for what a server may ignore: another unit, several ranges, nonsense (§14.2)."""
    match = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", header.strip())
    if match is None:
        return None
    first, last, suffix = (int(group) if group else None for group in match.groups())
    if first is None:
        return Span(max(0, size - (suffix or 0)), size - 1) if suffix and size else "unsatisfiable"
    if first >= size:
        return "unsatisfiable"
    if last is not None and last < first:
        return None
    return Span(first, size - 1 if last is None else min(last, size - 1))
