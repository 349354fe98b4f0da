"""LM Studio's part of the API, field for field. Each endpoint parses, calls one verb, and answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from windlass.api import rows, schemas
from windlass.api.bodies import STATUSES, DownloadRequest, asks_anew, read_download
from windlass.errors import ModelNotFound, NotOffered
from windlass.library.facts import Model
from windlass.library.lists import openai_row, v0_row, v1_row
from windlass.service import Service
from windlass.views import job_body

router = APIRouter()

Body = Annotated[DownloadRequest, Depends(read_download)]


async def service_of(request: Request) -> Service:
    """The service behind the app. A coroutine: FastAPI would send a plain function to a thread, for every request."""
    service: Service = request.app.state.service
    return service


Behind = Annotated[Service, Depends(service_of)]


@router.get("/lmstudio-greeting", tags=["LM Studio"])
async def greeting() -> dict[str, bool]:
    """Say that a server of this kind is here."""
    return {"lmstudio": True}


@router.post(
    "/api/v1/models/download",
    tags=["LM Studio"],
    response_model=schemas.Job,
    openapi_extra=schemas.body_of(schemas.Download) | schemas.ANEW,
    responses=schemas.errors(400, 403, 404, 413, 415, 502, 503, 507),
)
async def download(body: Body, service: Behind, request: Request) -> JSONResponse:
    """Download a model; answers with the job at once. The same request again is the same job."""
    wish = body.model, body.quantization, body.format, body.to
    view, already = await run_in_threadpool(service.download, *wish, anew=asks_anew(request))
    return JSONResponse(job_body(view, "already_downloaded" if already else None))


@router.get("/api/v1/models/download/status", tags=["LM Studio"], response_model=schemas.JobLists)
def statuses(service: Behind) -> JSONResponse:
    """All jobs by status, newest first."""
    lists: dict[str, list[Any]] = {status: [] for status in STATUSES}
    for view in service.jobs():
        lists[view.job.status].append(job_body(view))
    return JSONResponse(lists)


@router.get(
    "/api/v1/models/download/status/{job_id:path}",
    tags=["LM Studio"],
    response_model=schemas.Job,
    responses=schemas.errors(404),
)
async def status(job_id: str, service: Behind) -> JSONResponse:
    """One job as it stands. For one that runs neither the database nor a thread is waited for."""
    view = service.glance(job_id)
    if view is None:
        view = await run_in_threadpool(service.job, job_id)
    return JSONResponse(job_body(view))


@router.get("/api/v1/models", tags=["LM Studio"], response_model=rows.Models)
def models(service: Behind) -> JSONResponse:
    """The models on this machine that are whole."""
    return JSONResponse({"models": [v1_row(model) for model in service.models()]})


@router.get("/api/v0/models", tags=["LM Studio"], response_model=rows.V0List)
def models_v0(service: Behind) -> JSONResponse:
    """The same in the older shape."""
    return JSONResponse({"object": "list", "data": [v0_row(model) for model in service.models()]})


@router.get(
    "/api/v0/models/{model_id:path}",
    tags=["LM Studio"],
    response_model=rows.V0Row,
    responses=schemas.errors(404),
)
def model_v0(model_id: str, service: Behind) -> JSONResponse:
    """One model in the older shape."""
    return JSONResponse(v0_row(_find(service, model_id)))


@router.get("/v1/models", tags=["OpenAI"], response_model=rows.OpenAIList)
def models_openai(service: Behind) -> JSONResponse:
    """The same in OpenAI's shape."""
    return JSONResponse({"object": "list", "data": [openai_row(model) for model in service.models()]})


@router.get("/v1/models/{model_id:path}", tags=["OpenAI"], response_model=rows.OpenAIRow, responses=schemas.errors(404))
def model_openai(model_id: str, service: Behind) -> JSONResponse:
    """One model in OpenAI's shape."""
    return JSONResponse(openai_row(_find(service, model_id)))


async def not_implemented(request: Request) -> JSONResponse:
    """Windlass brings models in; it does not run them."""
    raise NotOffered(
        f"Windlass brings models in, it does not run them, so {request.url.path} is not here.",
        hint="Point llama.cpp, MLX or LM Studio at the models folder: `windlass path MODEL` prints what to hand over.",
    )


for _path in ("/api/v1/models/load", "/api/v1/models/unload", "/api/v1/chat"):
    router.post(_path, tags=["LM Studio"], status_code=501, responses=schemas.errors(501))(not_implemented)
# A 404 here is read as "no such model" by some of OpenAI's clients. Not described: nothing that could be called.
for _path in (
    *(f"/v1/{name}" for name in ("chat/completions", "completions", "embeddings", "responses", "messages")),
    *(f"/api/v0/{name}" for name in ("chat/completions", "completions", "embeddings")),
):
    router.post(_path, include_in_schema=False)(not_implemented)


def _find(service: Service, model_id: str) -> Model:
    """By key or variant. Capitals do not matter: the lists write `Q4_K_M`, and a variant's name has it in small."""
    wanted = model_id.lower()
    for model in service.models():
        if wanted in (model.key.lower(), (model.selected_variant or "").lower()):
            return model
    raise ModelNotFound(f"No model '{model_id}' is on this machine.", hint="GET /v1/models lists those that are.")
