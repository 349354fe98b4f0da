"""Hugging Face's part of the routes.

What its clients rely on (statuses, X-Error-Code, X-Repo-Commit, X-Linked-*, `Link: rel="next"`) follows how
huggingface_hub 2.4 reads answers, and is proven with it in tests/share.
"""

import json
from typing import IO
from urllib.parse import parse_qs, quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from windlass.share.context import Context, address, context_of, flag, number, raw_path
from windlass.share.ranges import PartResponse, part_of, range_headers
from windlass.share.refusals import Refusal, later
from windlass.share.snapshot import File, Json, Snapshot, page

PAGE_SIZE = 1000  # rows of /tree, as the real hub has it
_LARGEST_BODY = 1 << 20


async def _snapshot(request: Request, *, anew: bool = False) -> Snapshot:
    """The repository and revision that the path names; seen `anew`, or as it was when the revision was given out.

    Raises:
        Refusal: there is none, or its name is spelt otherwise.
        StillHashing: it is not ready.
    """
    context = context_of(request)
    asked = "{owner}/{repo}".format(**request.path_params)
    revision = request.path_params.get("revision", "main")
    name = await context.ask(context.repositories.find, asked)
    if name is not None and name != asked:
        raise Refusal(307, f"The repository is called {name}", headers={"Location": _respelt(request, name)})
    known = None if anew else revision
    snapshot = await context.ask(context.repositories.snapshot, name, known) if name else None
    if snapshot is None or not snapshot.files:
        raise Refusal(404, "Repository not found", "RepoNotFound")
    if not snapshot.has(revision):
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return snapshot


def _respelt(request: Request, name: str) -> str:
    """The same request with the repository's right name. Relative: clients follow that, and keep their token on it."""
    path = raw_path(request)
    parts = path.split("/")
    first = 3 if path.startswith("/api/") else 1
    parts[first : first + 2] = quote(name).split("/")
    query = request.url.query
    return "/".join(parts) + (f"?{query}" if query else "")


async def info(request: Request) -> Response:
    """`GET /api/models/{repo}[/revision/{revision}]`."""
    snapshot = await _snapshot(request)
    return JSONResponse(snapshot.info(blobs=flag(request, "blobs")))


async def tree(request: Request) -> Response:
    """`GET /api/models/{repo}/tree/{revision}[/{path}]`, with `recursive`, `expand`, `limit` and `cursor`."""
    limit = number(request, "limit", PAGE_SIZE)
    snapshot = await _snapshot(request)
    under = request.path_params.get("path", "").strip("/")
    rows = snapshot.listing(under, recursive=flag(request, "recursive"))
    if under and not rows:
        raise Refusal(404, f"{under} does not exist on {snapshot.commit}", "EntryNotFound")
    shown, cursor = page(rows, request.query_params.get("cursor", ""), min(limit, PAGE_SIZE))
    if flag(request, "expand"):
        shown = [{**row, "lastCommit": snapshot.last_commit()} for row in shown]
    return JSONResponse(shown, headers=_next_page(request, cursor) if cursor else None)


def _next_page(request: Request, cursor: str) -> dict[str, str]:
    """The Link header (RFC 8288); absolute, because huggingface_hub asks for it as it stands."""
    query = urlencode({**request.query_params, "cursor": cursor})
    return {"Link": f'<{address(request)}{raw_path(request)}?{query}>; rel="next"'}


async def paths_info(request: Request) -> Response:
    """`POST /api/models/{repo}/paths-info/{revision}`: the rows of `/tree` for the paths named, others left out."""
    wanted = set(await _paths(request))
    snapshot = await _snapshot(request)
    return JSONResponse([row for row in snapshot.listing(recursive=True) if row["path"] in wanted])


async def _paths(request: Request) -> list[str]:
    """The `paths` of a body, which huggingface_hub sends as a form and others as JSON."""
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > _LARGEST_BODY:
            raise Refusal(413, "The list of paths is too long")
    if "json" not in request.headers.get("content-type", ""):
        return parse_qs(body.decode("utf-8", "replace")).get("paths", [])
    try:
        return [str(path) for path in json.loads(body)["paths"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refusal(400, "The body is no JSON object with a list of paths") from error


async def refs(request: Request) -> Response:
    """`GET /api/models/{repo}/refs`: one branch, and nothing else."""
    snapshot = await _snapshot(request)
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": snapshot.commit}
    return JSONResponse({"branches": [main], "converts": [], "tags": [], "pullRequests": []})


async def search(request: Request) -> Response:
    """`GET /api/models?search=&filter=&author=&limit=&cursor=`, by name and tag; `full=true` adds the files' names."""
    limit = number(request, "limit", PAGE_SIZE)
    rows = await context_of(request).ask(_matching, context_of(request), request, limit + 1)
    full, headers = flag(request, "full"), None
    if len(rows) > limit:
        rows = rows[:limit]
        headers = _next_page(request, rows[-1]["id"])
    shown = [row if full else {k: v for k, v in row.items() if k != "siblings"} for row in rows]
    return JSONResponse(shown, headers=headers)


def _matching(context: Context, request: Request, limit: int) -> list[Json]:
    query = request.query_params
    words, author = query.get("search", "").lower().split(), query.get("author", "").lower()
    tags = {tag for value in query.getlist("filter") for tag in value.split(",")}
    rows: list[Json] = []
    for name in sorted(context.folder.repositories()):
        if len(rows) == limit:
            break
        by_author = author in {"", name.partition("/")[0].lower()}
        if by_author and name > query.get("cursor", "") and all(word in name.lower() for word in words):
            row = context.repositories.glance(name)
            rows += [row] if row["siblings"] and tags <= set(row["tags"]) else []
    return rows


async def whoami(_: Request) -> Response:
    """`GET /api/whoami-v2`: there are no accounts, and any token will do."""
    token = {"displayName": "any", "role": "read"}
    guest = {"type": "user", "id": "guest", "name": "guest", "fullname": "Guest", "isPro": False, "orgs": []}
    return JSONResponse({**guest, "auth": {"type": "access_token", "accessToken": token}})


async def resolve(request: Request) -> Response:
    """`GET|HEAD /{repo}/resolve/{revision}/{path}`: the bytes, from here: there is no CDN to redirect to."""
    snapshot, file, opened = await _opened(request)
    headers = _file_headers(snapshot, file)
    part = part_of(request.headers, file.size, headers["ETag"])
    headers |= range_headers(part, file.size)
    if request.method == "HEAD" or not part.length:
        opened.close()
        return Response(None, part.status, headers)
    return PartResponse(opened, part, headers, context_of(request).reads)


async def _opened(request: Request) -> tuple[Snapshot, File, IO[bytes]]:
    """The file that is asked for, open, and the snapshot it belongs to.

    A file that changed since the snapshot was taken is looked for in a new one, which has another commit: who asked for
    `main` gets the new bytes, who asked for the old commit learns that it is gone.
    """
    context = context_of(request)
    for anew in (False, True):
        snapshot = await _snapshot(request, anew=anew)
        file = snapshot.files.get(request.path_params["path"])
        if file is None:
            raise Refusal(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": snapshot.commit})
        opened = await context.ask(file.found.open)
        if opened:
            return snapshot, file, opened
    raise later(f"{request.path_params['path']} is being written")


def _file_headers(snapshot: Snapshot, file: File) -> dict[str, str]:
    """What stands on every answer with a file. A browser saves it and never shows it as a page of ours."""
    headers = {
        "ETag": f'"{file.digest}"',
        "X-Repo-Commit": snapshot.commit,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.path.rsplit('/', 1)[-1])}",
        "X-Content-Type-Options": "nosniff",
    }
    return {**headers, "X-Linked-Size": str(file.size), "X-Linked-ETag": headers["ETag"]} if file.large else headers
