"""What a model's files say of it, whatever their format: the one value that the lists are made from."""

import re
from dataclasses import dataclass
from pathlib import Path

from windlass.library import gguf, safetensors

_CONFIG = "config.json"
_MODULES = "modules.json"  # sentence-transformers' own
BESIDE = (_CONFIG, *safetensors.TEMPLATES, _MODULES)
"""What `read_folder` looks at beside the weights; of these config.json alone must be there."""

# general.file_type → label (llama.h, enum llama_ftype). Absent numbers are of formats that were taken out again.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
}  # fmt: skip
# Architectures that turn text into a vector and nothing else. A decoder that embeds names its pooling instead.
_ENCODERS = re.compile(r"bert|mpnet|embedding|t5encoder")
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True, slots=True)
class Head:
    """What a model's files say of it; None where they do not.

    Attributes:
        kind: `model`, or what else it turned out to be (`projector`, `adapter`, `imatrix`).
        quantization: by the head; the file's name, which tells `Q4_K_L` from `Q4_K_M`, goes before it.
        parameters: how many, where they can be counted cheaply.
        mlx: whether safetensors weights were written by MLX.
    """

    kind: str = "model"
    architecture: str | None = None
    name: str | None = None
    size_label: str | None = None
    quantization: str | None = None
    context_length: int | None = None
    parameters: int | None = None
    tool_use: bool = False
    embedding: bool = False
    vision: bool = False
    mlx: bool = False


def read_gguf(path: Path) -> Head:
    """The head of a GGUF file, of the first shard where there are several.

    Raises:
        Damaged: it cannot be read as one.
        OSError: it cannot be read at all.
    """
    head = gguf.scan(path)
    split = head.split is not None and head.split[1] > 1
    return Head(
        kind=_kind(head),
        architecture=head.architecture,
        name=head.name,
        size_label=head.size_label,
        quantization=FILE_TYPES.get(head.file_type) if head.file_type is not None else None,
        context_length=head.context_length,
        parameters=None if split else head.parameters or None,
        tool_use=head.tool_template or knows_tools(head.chat_template),
        embedding=head.pooling or is_encoder(head.architecture),
    )


def _kind(head: gguf.GgufHead) -> str:
    if head.architecture == "clip" or head.kind == "mmproj":
        return "projector"
    return head.kind if head.kind in {"adapter", "imatrix"} else "model"


def read_folder(folder: Path, weights: str, *, is_all: bool) -> Head:
    """The head of a folder with config.json and safetensors weights.

    Args:
        folder: where config.json stands.
        weights: the name of the first weights file there.
        is_all: whether it is the only one; else the parameters are not counted.

    Raises:
        Damaged: config.json or the weights file cannot be read as what it is.
        OSError: one of them cannot be read at all.
    """
    config = _config(folder / _CONFIG)
    first = safetensors.scan(folder / weights)
    return Head(
        architecture=config.model_type,
        quantization=_quantization(config),
        context_length=config.context_length,
        parameters=_parameters(first, config.bits) if is_all else None,
        tool_use=knows_tools(safetensors.read_template(folder)),
        embedding=is_encoder(config.model_type) or (folder / _MODULES).is_file(),
        vision=config.vision,
        mlx=config.mlx or first.format == "mlx",
    )


def _config(path: Path) -> safetensors.Config:
    try:
        return safetensors.read_config(path)
    except gguf.Damaged as error:  # what is odd is the weights' path
        raise gguf.Damaged(f"the config.json beside it is none: {error}") from error


def _quantization(config: safetensors.Config) -> str | None:
    if config.bits:
        fp = config.mode if config.mode in {"mxfp4", "mxfp8", "nvfp4"} else None
        return fp.upper() if fp else f"{config.bits}bit"
    return _DTYPES.get(config.dtype or "")


def _parameters(head: safetensors.WeightsHead, bits: int | None) -> int | None:
    packed = head.elements.get("U32", 0) * 32 // bits if bits else 0
    count = packed + sum(count for dtype, count in head.elements.items() if dtype != "U32")
    return count if 0 < count < 2**60 else None


def knows_tools(template: str | None) -> bool:
    """Whether a chat template has a place for tools, which is how LM Studio and llama.cpp judge it too."""
    return bool(template and re.search(r"\btools\b|\btool_calls?\b", template))


def is_encoder(architecture: str | None) -> bool:
    """Whether the architecture only embeds, as `nomic-bert`, `xlm-roberta` and `gemma-embedding` do."""
    return bool(architecture and _ENCODERS.search(architecture.lower()))
