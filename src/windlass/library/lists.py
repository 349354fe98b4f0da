"""Models as rows of the three lists, in LM Studio's and OpenAI's exact shapes.

GET /api/v1/models    https://lmstudio.ai/docs/developer/rest/list
GET /api/v0/models    https://lmstudio.ai/docs/developer/rest/endpoints
GET /v1/models        https://platform.openai.com/docs/api-reference/models/list
"""

from collections.abc import Callable
from typing import Any

from windlass.library.facts import Model, ShelfFile
from windlass.library.receipts import Receipt


def v1_row(model: Model) -> dict[str, Any]:
    """A row of `/api/v1/models`.

    Fields that the shape requires are null where nothing is known, but for `max_context_length`: clients read it as a
    number, so an unknown one is 0.
    """
    row: dict[str, Any] = {
        "type": model.type,
        "publisher": model.found.publisher,
        "key": model.key,
        "display_name": model.found.display_name,
        "architecture": model.architecture,
        "quantization": _quantization(model),
        "size_bytes": model.size_bytes,
        "params_string": model.params_string,
        "loaded_instances": [],
        "max_context_length": model.max_context_length or 0,
        "format": _format(model),
    }
    if model.type == "embedding":  # LM Studio's rows of these have no architecture, capabilities, description, variants
        del row["architecture"]
        return row
    row |= {"capabilities": _capabilities(model), "description": model.description}
    if model.variants:
        row |= {"variants": list(model.variants), "selected_variant": model.selected_variant}
    return row


def _format(model: Model) -> str:
    """`gguf` or `mlx`, which is what LM Studio calls any folder of safetensors.

    Null would be true to its documentation for those that are not MLX's, but clients drop the whole list over one row
    whose format they do not know: Zed takes these two words only, lm-tuio any text.
    """
    return "gguf" if model.found.format == "gguf" else "mlx"


def _quantization(model: Model) -> dict[str, Any] | None:
    if model.quantization is None:
        return None
    return {"name": model.quantization, "bits_per_weight": model.bits_per_weight}


def _capabilities(model: Model) -> dict[str, Any]:
    capabilities: dict[str, Any] = {"vision": model.vision, "trained_for_tool_use": model.tool_use}
    if model.reasoning:
        options = ["off", "on"] if model.reasoning == "mixed" else ["on"]
        capabilities["reasoning"] = {"allowed_options": options, "default": "on"}
    return capabilities


def v0_row(model: Model) -> dict[str, Any]:
    """A row of `/api/v0/models`; nothing is ever loaded here, so `state` is always `not-loaded`.

    A context that is not known is left out: 0 is no length, and a client that checks drops the whole list over it.
    """
    row = {
        "id": model.key,
        "object": "model",
        "type": _v0_type(model),
        "publisher": model.found.publisher,
        "arch": model.architecture,
        "compatibility_type": _format(model),
        "quantization": model.quantization,
        "state": "not-loaded",
        "max_context_length": model.max_context_length,
        "capabilities": ["tool_use"] if model.tool_use and model.type == "llm" else None,  # since LM Studio 0.3.16
    }
    return {name: value for name, value in row.items() if value is not None}


def _v0_type(model: Model) -> str:
    if model.type == "embedding":
        return "embeddings"
    return "vlm" if model.vision else "llm"


def detail_row(model: Model, receipt_of: Callable[[str], Receipt | None]) -> dict[str, Any]:
    """One model with all that is known of it: the row of the list, where it stands, and its files.

    Args:
        model: the model.
        receipt_of: what was found of a file when it was verified, by its path on the shelf.
    """
    found = model.found
    files = [_file_row(file, receipt_of(file.path)) for file in found.files]
    # The lists are LM Studio's, and have two words for formats; here it is said what it is.
    extra = {
        "format": found.format,
        "id": found.id,
        "path": str(model.path),
        "verified": model.verified,
        "finished_at": found.finished_at,
    }
    return {**v1_row(model), **{name: value for name, value in extra.items() if value != ""}, "files": files}


def _file_row(file: ShelfFile, receipt: Receipt | None) -> dict[str, Any]:
    row: dict[str, Any] = {"path": file.path, "size_bytes": file.size, "role": file.role, "verified": file.verified}
    if receipt is None:
        return row
    row |= {"digest": f"{receipt.digest.algorithm}:{receipt.digest.hex}", "verified_at": receipt.verified_at}
    row |= {"repository": receipt.repo, "commit": receipt.commit}
    return row | ({"source": receipt.source} if receipt.source else {})


def openai_row(model: Model) -> dict[str, Any]:
    """A row of `/v1/models`, as LM Studio fills it: without `created`, and owned by whoever set up the server."""
    return {"id": model.key, "object": "model", "owned_by": "organization_owner"}
