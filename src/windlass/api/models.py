"""What is done with models that are here (docs/rest.md). A key may hold slashes and `@`, plain or percent-encoded."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from windlass.api import schemas
from windlass.api.bodies import read_flag, read_object
from windlass.api.lmstudio import Behind
from windlass.errors import InvalidModel, ModelNotFound, QuantizationNotFound
from windlass.keeping import Checkup, checkup_body, removal_body
from windlass.library.facts import Model
from windlass.library.lists import detail_row
from windlass.service import Service
from windlass.update import update_body
from windlass.views import job_row

router = APIRouter(prefix="/api/windlass/v1", tags=["Windlass"])

_LOOK = 1.0  # seconds between looks whether the one who asked is still there


@router.get("/models/{key:path}", response_model=schemas.ModelDetail, responses=schemas.errors(404))
def model(key: str, service: Behind) -> JSONResponse:
    """One model with its files, and what is newer in its repository, as far as that is known soon."""
    found = _find(service.find, key)
    place = service.places.holding(found)
    update = service.updating(place).glance(found)
    row = detail_row(found, place.shelf.receipts.read)
    return JSONResponse(row | ({"update": update_body(update)} if update else {}))


@router.delete("/models/{key:path}", response_model=schemas.RemovedModel, responses=schemas.errors(404, 409))
def remove(key: str, service: Behind) -> JSONResponse:
    """Delete a model; files that another model needs stay."""
    found = _find(service.find_part, key)
    return JSONResponse(removal_body(found, service.keeping.remove(found)))


@router.post(
    "/models/{key:path}/verify",
    response_model=schemas.Checkup,
    responses=schemas.errors(404, 409, 413, 415, 507),
    openapi_extra=schemas.body_of(schemas.Verify, required=False),
)
async def verify(key: str, service: Behind, request: Request) -> JSONResponse:
    """Hash a model's files again. The answer comes when that is done: a second for each gigabyte or so.

    With `{"repair": true}` a job fetches what is damaged, and nothing else; the answer has that job. Whoever goes away
    meanwhile ends it.
    """
    repair = read_flag(await read_object(request, optional=True), "repair")
    found = await run_in_threadpool(_find, service.find_part, key)
    checkup = await _checked(found, service, request)
    if checkup.whole or not repair:
        return JSONResponse(checkup_body(checkup))
    job = await run_in_threadpool(service.repair, checkup)
    return JSONResponse(checkup_body(checkup, job_row(job)))


def _find(find: Callable[[str], Model], key: str) -> Model:
    """The model of that key. A quantization is a part of the key here, and a name that fits several is no key."""
    try:
        return find(key)
    except (QuantizationNotFound, InvalidModel) as error:
        raise ModelNotFound(error.message, hint=error.hint) from error


async def _checked(found: Model, service: Service, request: Request) -> Checkup:
    """On a thread of its own kind: many who verify must not take those that answer everybody else."""
    stop = threading.Event()
    work = partial(service.keeping.verify, found, None, stop.is_set)
    running = asyncio.get_running_loop().run_in_executor(service.background, work)
    try:
        while not (await asyncio.wait([running], timeout=_LOOK))[0]:
            if await request.is_disconnected():
                stop.set()
        return running.result()
    finally:
        stop.set()
