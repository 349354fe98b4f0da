"""Events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from windlass.api import schemas
from windlass.api.guard import LOOK_AGAIN
from windlass.api.lmstudio import Behind
from windlass.errors import WindlassError
from windlass.events import BEAT, Event, Events

HEARTBEAT = 15.0  # seconds after which something is sent in any case, so that nobody in between ends the connection
_AGAIN = 2000  # milliseconds after which a browser comes back

router = APIRouter(prefix="/api/windlass/v1", tags=["Windlass"])


class _Stream(StreamingResponse):
    """A stream of events; the text of the description comes from here."""

    media_type = "text/event-stream"


@router.get("/events", response_class=_Stream, responses={200: schemas.EVENTS})
async def events(request: Request, service: Behind) -> _Stream:
    """Follow all jobs: `job` is a whole job, at most four times a second each; `removed` names one that is gone."""
    return _answer(service.events, request, None)


@router.get("/jobs/{job_id}/events", response_class=_Stream, responses={200: schemas.EVENTS, **schemas.errors(404)})
async def events_of_job(job_id: str, request: Request, service: Behind) -> _Stream:
    """Follow one job."""
    await run_in_threadpool(service.job, job_id)
    return _answer(service.events, request, job_id)


def _answer(events: Events, request: Request, job_id: str | None) -> _Stream:
    last = request.headers.get("last-event-id", "")
    moved = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the second is for nginx
    return _Stream(_follow(events, moved, job_id, request.scope.get(LOOK_AGAIN)), headers=headers)


async def _follow(
    events: Events, moved: int | None, job_id: str | None, look: Callable[[], None] | None
) -> AsyncIterator[str]:
    """Until the reader goes, which ends this where it waits, or is not let in any more, or the server ends."""
    with events.reading():
        yield f"retry: {_AGAIN}\n\n"
        told, place = await run_in_threadpool(events.begin, moved)
        silent = 0.0
        while not events.closed and _may(look):
            text = "".join(_text(event) for event in told if job_id is None or _is_of(event, job_id))
            if text or silent >= HEARTBEAT:
                yield text or ": still here\n\n"
                silent = 0.0
            await asyncio.sleep(BEAT)
            silent += BEAT
            later = events.after(place)
            told, place = await run_in_threadpool(events.begin, None) if later is None else later


def _may(look: Callable[[], None] | None) -> bool:
    try:
        return look is None or look() is None
    except WindlassError:
        return False


def _text(event: Event) -> str:
    return f"id: {event.moved}\nevent: {event.kind}\ndata: {event.data}\n\n"


def _is_of(event: Event, job_id: str) -> bool:
    return bool(json.loads(event.data)["job_id"] == job_id)
