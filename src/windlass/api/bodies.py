"""What requests say: read with a bound, and checked by hand so that each mistake gets the contract's own answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import Request

from windlass.errors import BodyTooLarge, InvalidModel, InvalidRequest, UnsupportedMediaType
from windlass.hub.offers import Query
from windlass.manifest import Format

LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """`{"model": string, "quantization"?: string, "format"?: "gguf" | "mlx"}`; the last is Windlass's own."""

    model: str
    quantization: str | None
    format: Format | None = None


async def read_download(request: Request) -> DownloadRequest:
    """The body of a download or plan request.

    Raises:
        InvalidModel, InvalidRequest: it is not one.
        BodyTooLarge, UnsupportedMediaType: it is not read.
    """
    raw = await read_object(request)
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
    return DownloadRequest(model, (quantization or "").strip() or None, wanted)


def read_search(params: Mapping[str, str]) -> tuple[Query, str | None]:
    """What `?q=&format=&limit=&cursor=` asks for, and the cursor.

    Raises:
        InvalidRequest: it does not fit.
    """
    limit, wanted = params.get("limit") or "20", params.get("format")
    if not limit.isdecimal():
        raise InvalidRequest("'limit' is a whole number", param="limit")
    formats = {"formats": (cast("Format", wanted),)} if wanted else {}
    return Query(params.get("q", ""), limit=int(limit[:9]), **formats), params.get("cursor")


async def read_object(request: Request, *, optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object; an `optional` one that is empty is an empty object.

    Raises:
        BodyTooLarge, UnsupportedMediaType: it is not read.
        InvalidModel: it is no JSON object.
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
        raise InvalidModel("The body is not a JSON object")
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
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST:
            raise _too_large()
        pieces.append(piece)
    return b"".join(pieces)
