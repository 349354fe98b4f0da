"""What a folder of MLX or safetensors weights says of itself: config.json, the index, and the head of a weights file.

The head is a u64 (little-endian) and as many bytes of JSON: tensor name → dtype, shape, place
(https://github.com/huggingface/safetensors, "Format"). The format allows 100 MB; models' heads are below 2 MB, so more
than 16 MB is not read here. Nor is that enough of a bound: Python needs up to thirty times a JSON text's size to hold
it, half a gigabyte then. So the values in it are counted before it is read.
"""

import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass.library.gguf import MAX_TEMPLATE, Damaged
from windlass.library.opening import open_file, read_file

MAX_HEAD = 16 * 1024 * 1024
MAX_JSON = 16 * 1024 * 1024  # tokenizer_config.json of a large vocabulary has a few
TEMPLATES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")  # where it is looked for, in order
MAX_VALUES = 500_000  # in one JSON text: four times the entries of the largest index, or 50,000 tensors of a head


@dataclass(frozen=True, slots=True)
class Config:
    """What config.json says; None where it does not, or says nonsense.

    Attributes:
        model_type: the architecture as transformers and MLX name it.
        context_length: `max_position_embeddings`, the text model's where there are several.
        bits: of MLX's `quantization`, or of transformers' `quantization_config`.
        mode: of MLX's `quantization`: `affine`, `mxfp4` …
        mlx: whether the weights are quantized the way MLX does it.
    """

    model_type: str | None = None
    architectures: tuple[str, ...] = ()
    context_length: int | None = None
    bits: int | None = None
    group_size: int | None = None
    mode: str | None = None
    dtype: str | None = None
    mlx: bool = False
    vision: bool = False


@dataclass(frozen=True, slots=True)
class WeightsHead:
    """What the head of one weights file says.

    Attributes:
        elements: by dtype (`BF16`, `U32` …): how many. MLX packs quantized weights into `U32`.
        format: `__metadata__.format`: `mlx` or `pt`, as the writer has it.
    """

    elements: dict[str, int] = field(default_factory=dict)
    format: str | None = None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of at most 16 MB.

    Raises:
        Damaged: it is no JSON object, or larger.
        OSError: the file cannot be read.
    """
    text = read_file(path, MAX_JSON)
    if text is None:
        raise Damaged(f"it is larger than the {MAX_JSON} bytes that are read of such a file")
    return _object(text)


def _object(text: bytes) -> dict[str, Any]:
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:  # those in its strings too, of which there are few
        raise Damaged(f"it holds more than the {MAX_VALUES} values that are read of such a file")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise Damaged("it holds no JSON") from error
    if not isinstance(value, dict):
        raise Damaged("it holds no JSON object")
    return value


def read_config(path: Path) -> Config:
    """What config.json says; raises as `read_json` does."""
    raw = read_json(path)
    text_model, mlx = _dict(raw.get("text_config")), _dict(raw.get("quantization"))
    scheme = mlx or _dict(raw.get("quantization_config"))
    architectures = raw.get("architectures")
    return Config(
        model_type=_word(raw.get("model_type")),
        architectures=tuple(filter(None, map(_word, architectures))) if isinstance(architectures, list) else (),
        context_length=_number(raw.get("max_position_embeddings") or text_model.get("max_position_embeddings")),
        bits=_number(scheme.get("bits")),
        group_size=_number(scheme.get("group_size")),
        mode=_word(scheme.get("mode") or scheme.get("quant_method")),
        dtype=_word(raw.get("dtype") or raw.get("torch_dtype") or text_model.get("torch_dtype")),
        mlx=bool(mlx),
        vision=bool(_dict(raw.get("vision_config")) or _dict(raw.get("visual"))),
    )


def shards_of(index: Path) -> tuple[str, ...]:
    """The weights files that `model.safetensors.index.json` wants, in order of name; raises as `read_json` does."""
    weights = read_json(index).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights.values()):
        raise Damaged("it maps no weights to files")
    return tuple(sorted(set(weights.values())))


def read_template(folder: Path) -> str | None:
    """The chat template, wherever it stands: in a file of its own, else in tokenizer_config.json."""
    try:
        with open_file(folder / TEMPLATES[0]) as file:
            return (file.read(4 * MAX_TEMPLATE) or b"").decode("utf-8", "replace")[:MAX_TEMPLATE]
    except OSError:
        pass
    for name in TEMPLATES[1:]:
        try:
            template = read_json(folder / name).get("chat_template")
        except (OSError, Damaged):
            continue
        if template:
            # Several templates stand in a list of {name, template}; their text together tells what they know.
            return (template if isinstance(template, str) else json.dumps(template))[:MAX_TEMPLATE]
    return None


def scan(path: Path) -> WeightsHead:
    """Read the head of a *.safetensors file.

    Raises:
        Damaged: it is no such file, or cut short.
        OSError: the file cannot be read.
    """
    with open_file(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > MAX_HEAD or 8 + length > size:
            raise Damaged("it does not begin as a safetensors file does, or is cut short")
        head = _object(file.read(length))
    return _head(head, size - 8 - length)


def _head(head: dict[str, Any], data: int) -> WeightsHead:
    metadata = head.pop("__metadata__", None)
    elements: dict[str, int] = {}
    for tensor in head.values():
        dtype, count, end = _tensor(tensor)
        elements[dtype] = elements.get(dtype, 0) + count
        if end > data:
            raise Damaged("it is cut short")
    return WeightsHead(elements, _word(_dict(metadata).get("format")))


def _tensor(raw: Any) -> tuple[str, int, int]:
    """A tensor's dtype, its number of elements, and where in the data it ends."""
    try:
        dtype, shape, (_, end) = raw["dtype"], raw["shape"], raw["data_offsets"]
        if isinstance(dtype, str) and isinstance(end, int) and len(shape) <= 16 and all(map(_is_count, shape)):
            return dtype[:16], math.prod(shape), end
    except (TypeError, KeyError, ValueError):
        pass
    raise Damaged("a tensor in it has no readable dtype, shape and place")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**48


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value.isprintable() and value.strip() else None


def _number(value: Any) -> int | None:
    return value if _is_count(value) and not isinstance(value, bool) and value else None
