"""Windlass's own part of the API (docs/rest.md)."""

from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from windlass import __version__
from windlass.api import rows, schemas
from windlass.api.bodies import read_changes, read_flag, read_list, read_object, read_search
from windlass.api.lmstudio import Behind, Body
from windlass.limits import limits_body
from windlass.plan import plan_body
from windlass.service import Service
from windlass.views import job_detail, job_row, search_body

router = APIRouter(prefix="/api/windlass/v1", tags=["Windlass"])


@router.get("/health", response_model=schemas.Health)
def health(service: Behind) -> JSONResponse:
    """Whether the server is well, in one line."""
    return JSONResponse({"status": "ok", "version": __version__, **service.health()})


@router.post(
    "/plan",
    response_model=rows.Plan,
    openapi_extra=schemas.body_of(schemas.Download),
    responses=schemas.errors(400, 403, 404, 413, 415, 502, 503),
)
async def plan(body: Body, service: Behind) -> JSONResponse:
    """What a download would do, and what else there is to choose from. Creates nothing."""
    planned = await run_in_threadpool(service.plan, body.model, body.quantization, body.format, body.to)
    return JSONResponse(plan_body(planned))


@router.get(
    "/search", response_model=schemas.Found, responses=schemas.errors(400, 502, 503), openapi_extra=schemas.SEARCH
)
def search(request: Request, service: Behind) -> JSONResponse:
    """Models of the catalog and of Hugging Face, page by page."""
    query, cursor = read_search(request.query_params)
    return JSONResponse(search_body(service.search(query, cursor)))


@router.get("/jobs", response_model=schemas.JobPage, responses=schemas.errors(400), openapi_extra=schemas.LIST)
def jobs(request: Request, service: Behind) -> JSONResponse:
    """Jobs, newest first, page by page."""
    asked = read_list(request.query_params)
    found = service.jobs(asked.states, asked.limit + 1, asked.before)
    page = found[: asked.limit]
    more = {"next_cursor": str(page[-1].job.number)} if len(found) > len(page) else {}
    return JSONResponse({"jobs": [job_row(view) for view in page], **more})


@router.get("/jobs/{job_id}", response_model=schemas.JobDetail, responses=schemas.errors(404))
def job(job_id: str, service: Behind) -> JSONResponse:
    """One job with its files, connections, retries and source."""
    return JSONResponse(job_detail(service.detail(job_id)))


@router.post("/jobs/{job_id}/pause", response_model=schemas.JobDetail, responses=schemas.errors(404, 409))
def pause(job_id: str, service: Behind) -> JSONResponse:
    """Stop a job where it is; again is the same."""
    return JSONResponse(job_detail(service.pause(job_id)))


@router.post("/jobs/{job_id}/resume", response_model=schemas.JobDetail, responses=schemas.errors(404, 409))
def resume(job_id: str, service: Behind) -> JSONResponse:
    """Let a paused or failed job go on; again is the same."""
    return JSONResponse(job_detail(service.resume(job_id)))


@router.post(
    "/jobs/{job_id}/cancel",
    response_model=schemas.JobDetail,
    responses=schemas.errors(404, 409, 413, 415),
    openapi_extra=schemas.body_of(schemas.Cancel, required=False),
)
async def cancel(job_id: str, service: Behind, request: Request) -> JSONResponse:
    """End a job for good; its partial files go too, unless `{"keep_partial": true}` is sent."""
    keep = read_flag(await read_object(request, optional=True), "keep_partial")
    return JSONResponse(job_detail(await run_in_threadpool(service.cancel, job_id, keep_partial=keep)))


@router.patch(
    "/jobs/{job_id}",
    response_model=schemas.JobDetail,
    responses=schemas.errors(400, 404, 413, 415),
    openapi_extra=schemas.body_of(schemas.Change),
)
async def change(job_id: str, service: Behind, request: Request) -> JSONResponse:
    """Change a job's priority, or its own limit; what runs feels it at once."""
    changes = read_changes(await read_object(request))
    return JSONResponse(job_detail(await run_in_threadpool(partial(service.change, job_id, **changes))))


@router.delete("/jobs/{job_id}", response_model=schemas.Removed, responses=schemas.errors(404, 409))
def forget(job_id: str, service: Behind) -> JSONResponse:
    """Forget a job that is over; the model that it brought stays."""
    service.forget(job_id)
    return JSONResponse({"job_id": job_id, "removed": True})


@router.get("/limits", response_model=schemas.LimitsNow)
def limits(service: Behind) -> JSONResponse:
    """How much may run at once, and how fast, at which hours."""
    return JSONResponse(_limits(service))


@router.put(
    "/limits",
    response_model=schemas.LimitsNow,
    responses=schemas.errors(400, 413, 415),
    openapi_extra=schemas.body_of(schemas.LimitChanges),
)
async def set_limits(service: Behind, request: Request) -> JSONResponse:
    """Change limits, at once and for the next start as well; what is not named stays."""
    raw = await read_object(request)
    await run_in_threadpool(lambda: service.set_limits(raw))
    return JSONResponse(_limits(service))


def _limits(service: Service) -> dict[str, Any]:
    body = limits_body(service.limits, datetime.now())  # noqa: DTZ005 - the schedule goes by the clock on the wall
    return {name: value for name, value in body.items() if value is not None}
