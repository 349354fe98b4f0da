"""The application behind `windlass hub`: one address that is both a Hugging Face endpoint and a catalog."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Lifespan

from windlass.share import hugging_face, lm_studio
from windlass.share.context import Context, address, context_of
from windlass.share.digests import Digests, cache_for
from windlass.share.folder import Folder
from windlass.share.refusals import HANDLERS
from windlass.share.repositories import Repositories


def create_app(folder: Path, digests: Digests | None = None) -> Starlette:
    """The application that serves `folder`.

    Args:
        folder: `owner/repo/files…` and `catalog/owner/name/model.yaml`; a Windlass or LM Studio models folder is one.
        digests: where hashes come from; by default a cache beside the folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = folder.resolve(strict=True)
    digests = digests or Digests(cache_for(root))
    context = Context(Folder(root), Repositories(Folder(root), digests))
    app = Starlette(routes=_routes(), exception_handlers=HANDLERS, lifespan=_hashing(context.repositories, digests))
    app.router.redirect_slashes = False
    app.state.context = context
    return app


def _hashing(repositories: Repositories, digests: Digests) -> Lifespan[Starlette]:
    """Hash everything from the start, beside the requests, and give it up at the end."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        warming = threading.Thread(target=repositories.warm, name="windlass-warm")
        warming.start()
        yield
        await to_thread.run_sync(digests.close)
        await to_thread.run_sync(warming.join)

    return lifespan


async def index(request: Request) -> Response:
    """`GET /`: for the person who opens the address in a browser."""
    context, here = context_of(request), address(request)
    names = await context.ask(context.folder.repositories)
    entries = await context.ask(context.folder.entries)
    lines = ["Windlass serves these models.", "", *names, *(f"{entry} (catalog)" for entry in entries), ""]
    lines += ["To fetch one:", ""]
    lines += [f"  WINDLASS_HF_ENDPOINT={here} WINDLASS_CATALOG_URL={here} windlass get OWNER/REPO"]
    lines += [f"  HF_ENDPOINT={here} hf download OWNER/REPO", ""]
    return PlainTextResponse("\n".join(lines))


def _routes() -> list[Route]:
    repo, entry = "/api/models/{owner}/{repo}", "/{owner}/{name}"
    return [
        Route("/", index),
        Route("/api/whoami-v2", hugging_face.whoami),
        Route("/api/models", hugging_face.search),
        Route(repo, hugging_face.info),
        Route(f"{repo}/revision/{{revision:path}}", hugging_face.info),
        Route(f"{repo}/tree/{{revision}}", hugging_face.tree),
        Route(f"{repo}/tree/{{revision}}/{{path:path}}", hugging_face.tree),
        Route(f"{repo}/paths-info/{{revision:path}}", hugging_face.paths_info, methods=["POST"]),
        Route(f"{repo}/refs", hugging_face.refs),
        Route("/{owner}/{repo}/resolve/{revision}/{path:path}", hugging_face.resolve),
        Route("/api/v1/models", lm_studio.picks),
        Route(f"/api/v1/artifacts{entry}/revision/{{number}}", lm_studio.artifact),
        Route(f"/models{entry}", lm_studio.model_page),
        Route(f"/catalog{entry}/model.yaml", lm_studio.model_yaml),
        Route(f"{entry}/model.yaml", lm_studio.model_yaml),
        Route(f"/catalog{entry}/manifest.json", lm_studio.manifest_json),
        Route(f"{entry}/manifest.json", lm_studio.manifest_json),
    ]
