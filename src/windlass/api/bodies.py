"""Request bodies: read with a bound, and checked by hand so that each mistake gets the contract's own answer."""

import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from windlass.api.errors import refuse
from windlass.manifest import Format

LARGEST = 64 * 1024


class Refused(Exception):
    """The body is not one to read; `answer` says why."""

    def __init__(self, answer: JSONResponse) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """`{"model": string, "quantization"?: string, "format"?: "gguf" | "mlx"}`; the last is Windlass's own."""

    model: str
    quantization: str | None
    format: Format | None = None


async def read_download(request: Request) -> DownloadRequest:
    """The body of a download or plan request.

    Raises:
        Refused: it is not one.
    """
    raw = await read_object(request)
    if "model" not in raw:
        raise Refused(refuse(400, "Missing required field 'model'", "invalid_model", param="model"))
    model, quantization = raw["model"], raw.get("quantization")
    if not isinstance(model, str) or not model.strip():
        message = (
            "'model' is a text: a catalog name such as qwen/qwen3-4b-2507, or a link to lmstudio.ai or huggingface.co"
        )
        raise Refused(refuse(400, message, "invalid_model", param="model"))
    if not isinstance(quantization, str | None):
        raise Refused(refuse(400, "'quantization' is a text, such as Q4_K_M", "invalid_request", param="quantization"))
    wanted = raw.get("format")
    if wanted not in (None, "gguf", "mlx", "safetensors"):
        raise Refused(refuse(400, "'format' is gguf, mlx or safetensors", "invalid_request", param="format"))
    return DownloadRequest(model, (quantization or "").strip() or None, wanted)


async def read_object(request: Request, *, optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object; an `optional` one that is empty is an empty object.

    Raises:
        Refused: it is too large, not JSON, or no object.
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
        raise Refused(refuse(400, "The body is not a JSON object", "invalid_model", param="model"))
    return raw


def _too_large() -> Refused:
    return Refused(refuse(413, f"The body is larger than {LARGEST} bytes", "body_too_large"))


def _not_json() -> Refused:
    message = "Send the request as JSON, with the header 'Content-Type: application/json'"
    return Refused(refuse(415, message, "unsupported_media_type"))


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
