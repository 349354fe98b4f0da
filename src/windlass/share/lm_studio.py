"""LM Studio Hub's part of the routes."""

import logging

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from windlass.share.catalog import Entry, UnreadableEntry, read_entries, read_entry
from windlass.share.context import address, context_of, flag
from windlass.share.refusals import Refusal
from windlass.share.snapshot import Json

log = logging.getLogger(__name__)


async def _entry(request: Request) -> Entry:
    context, wanted = context_of(request), request.path_params
    entry = await context.ask(read_entry, context.folder, wanted["owner"], wanted["name"])
    if entry is None:
        raise Refusal(404, "Artifact not found")
    return entry


async def _manifest(request: Request, entry: Entry) -> Json:
    context = context_of(request)
    return entry.manifest(await context.ask(context.folder.repositories))


async def artifact(request: Request) -> Response:
    """`GET /api/v1/artifacts/{owner}/{name}/revision/-1`, with `manifest=true` or `action=readme`."""
    entry = await _entry(request)
    action = request.query_params.get("action")
    if action == "readme":
        return JSONResponse(entry.readme)
    if action:
        raise Refusal(404, f"There is no {action} here")
    manifest = await _manifest(request, entry) if flag(request, "manifest") else None
    return JSONResponse(entry.artifact(address(request), manifest))


async def model_page(request: Request) -> Response:
    """`GET /models/{owner}/{name}`: a page with the model.yaml in it."""
    return HTMLResponse((await _entry(request)).page())


async def model_yaml(request: Request) -> Response:
    """`GET [/catalog]/{owner}/{name}/model.yaml`: the text itself."""
    return PlainTextResponse((await _entry(request)).model_yaml)


async def manifest_json(request: Request) -> Response:
    """`GET [/catalog]/{owner}/{name}/manifest.json`: the one beside, or the one made from model.yaml."""
    return JSONResponse(await _manifest(request, await _entry(request)))


async def picks(request: Request) -> Response:
    """`GET /api/v1/models?action=staff-picks`: every catalog model, since who serves a folder picked them all."""
    context = context_of(request)
    entries = await context.ask(read_entries, context.folder)
    return JSONResponse([row for entry in entries if (row := _row(entry, address(request)))])


def _row(entry: Entry, own_address: str) -> Json | None:
    """None for an entry that cannot be read: one bad file must not take the list away."""
    try:
        return entry.row(own_address)
    except UnreadableEntry as error:
        log.warning("%s", error)
        return None
