"""The page at `/`: files of the package, as they stand in `web/`. Nothing is built, and nothing comes from elsewhere.

The page knows the REST API and nothing else; it needs no token itself, and asks for one when the API does.
"""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

import windlass

router = APIRouter(include_in_schema=False)

_FOLDER = Path(windlass.__file__).parent / "web"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@router.get("/")
def page(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


@router.get("/favicon.ico")
def icon(request: Request) -> Response:
    """What browsers ask for unasked."""
    return _answer(request, "icon.svg")


@router.get("/page/{name}")
def part(name: str, request: Request) -> Response:
    """A file of the page. Raises HTTPException."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    """The file, or 304. Asked for anew each time: a page of yesterday must not meet a server of today."""
    if name not in _files():
        raise HTTPException(404)
    content, tag = _files()[name]
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_KINDS[Path(name).suffix], headers=headers)


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """All files with their tags, read once."""
    found = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _KINDS}
    return {name: (content, f'"{hashlib.sha256(content).hexdigest()[:16]}"') for name, content in found.items()}
