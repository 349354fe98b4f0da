"""What requests say: read with a bound, and checked by hand so that each mistake gets an answer of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request

from windlass.errors import BodyTooLarge, InvalidModel, InvalidRequest, UnsupportedMediaType
from windlass.hub.offers import Query
from windlass.jobs.states import State, Status, states_of
from windlass.manifest import Format
from windlass.service import Changes

LARGEST = 64 * 1024
STATUSES: tuple[Status, ...] = ("downloading", "paused", "completed", "failed")

_MOST_JOBS = 1000


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """`{"model": string, "quantization"?: string, "format"?: "gguf" | "mlx" | "safetensors", "to"?: string}`.

    The last two are ours.
    """

    model: str
    quantization: str | None
    format: Format | None = None
    to: str | None = None


async def read_download(request: Request) -> DownloadRequest:
    """The body of a download or plan request.

    Raises:
        InvalidModel, InvalidRequest: it is not one.
        BodyTooLarge, UnsupportedMediaType: it is not read.
    """
    raw = await read_object(request, wrong=InvalidModel)
    if "model" not in raw:
        raise InvalidModel("Missing required field 'model'")
    model, quantization = raw["model"], raw.get("quantization")
    if not isinstance(model, str) or not model.strip():
        raise InvalidModel(
            "'model' is a text: a catalog name such as qwen/qwen3-4b-2507, or a link to lmstudio.ai or huggingface.co"
        )
    if not isinstance(quantization, str | None):
        raise InvalidRequest("'quantization' is a text, such as Q4_K_M", param="quantization")
    wanted = raw.get("format")
    if wanted not in (None, "gguf", "mlx", "safetensors"):
        raise InvalidRequest("'format' is gguf, mlx or safetensors", param="format")
    to = raw.get("to")
    if not isinstance(to, str | None):
        raise InvalidRequest("'to' is a text: the path of a models folder", param="to")
    return DownloadRequest(model, (quantization or "").strip() or None, wanted, to)


def asks_anew(request: Request) -> bool:
    """Whether nothing counts that was told before: `Cache-Control: no-cache` (RFC 9111, 5.2.1.4)."""
    directives = request.headers.get("cache-control", "").lower().split(",")
    return "no-cache" in [directive.strip() for directive in directives]


def read_search(params: Mapping[str, str]) -> tuple[Query, str | None]:
    """What `?q=&format=&limit=&cursor=` asks for, and the cursor.

    Raises:
        InvalidRequest: it does not fit.
    """
    wanted = params.get("format")
    formats = {"formats": (cast("Format", wanted),)} if wanted else {}
    return Query(params.get("q", ""), limit=_whole(params, "limit", 20), **formats), params.get("cursor")


@dataclass(frozen=True, slots=True)
class ListRequest:
    """`?status=&limit=&cursor=`; the cursor is a job's number."""

    states: frozenset[State]
    limit: int
    before: int | None


def read_list(params: Mapping[str, str]) -> ListRequest:
    """Which jobs are asked for.

    Raises:
        InvalidRequest: it does not fit.
    """
    status = params.get("status")
    if status and status not in STATUSES:
        raise InvalidRequest(f"'status' is one of {', '.join(STATUSES)}", param="status")
    limit = _whole(params, "limit", 100)
    if not 1 <= limit <= _MOST_JOBS:
        raise InvalidRequest(f"'limit' is a whole number from 1 to {_MOST_JOBS}", param="limit")
    states = states_of(status) if status else frozenset(State)
    return ListRequest(states, limit, _whole(params, "cursor", 0) or None)


def _whole(params: Mapping[str, str], name: str, otherwise: int) -> int:
    text = params.get(name) or str(otherwise)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(f"'{name}' is a whole number", param=name)
    return int(text)


def read_changes(raw: Mapping[str, Any]) -> Changes:
    """What of a job is to be changed; `service.change` looks at the values.

    Raises:
        InvalidRequest: something that cannot be.
    """
    for name in raw:
        if name not in Changes.__annotations__:
            raise InvalidRequest(f"{name!r} of a job cannot be changed; priority and limit_rate can", param=name)
    return cast("Changes", dict(raw))


def read_flag(raw: Mapping[str, Any], name: str) -> bool:
    """Yes or no; no where nothing is said.

    Raises:
        InvalidRequest: it is something else.
    """
    value = raw.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"'{name}' is true or false", param=name)
    return value


async def read_object(
    request: Request, *, optional: bool = False, wrong: type[InvalidRequest] = InvalidRequest
) -> dict[str, Any]:
    """The body as a JSON object; an `optional` one that is empty is an empty object.

    Raises:
        BodyTooLarge, UnsupportedMediaType: it is not read.
        InvalidRequest: it is no JSON object; of the class that is handed in.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not optional:
        raise _not_json()
    text = await _read_bounded(request)
    if optional and not text:
        return {}
    if kind != "application/json":
        raise _not_json()
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise wrong("The body is not a JSON object")
    return raw


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {LARGEST} bytes")


def _not_json() -> UnsupportedMediaType:
    return UnsupportedMediaType("Send the request as JSON, with the header 'Content-Type: application/json'")


async def _read_bounded(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > LARGEST:
        raise _too_large()
    size, pieces = 0, []
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > LARGEST:
                raise _too_large()
            pieces.append(piece)
    except ClientDisconnect as error:  # nobody is there to be told, and it is no fault of ours for the log
        raise InvalidRequest("The request ended before its body did") from error
    return b"".join(pieces)
