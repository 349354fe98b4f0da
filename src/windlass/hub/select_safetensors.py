"""Which files make an MLX or another safetensors model: the weights of one folder and the data beside them. Pure.

LM Studio fetches such a repository whole; we leave out what no loader of MLX or safetensors reads (pickles, other
formats, pictures, prose), which can be more than half of the bytes.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from windlass.errors import NoModelFiles, QuantizationNotFound
from windlass.hub.listing import HubFile, Listing
from windlass.hub.selection import Chosen, Selection, Wish, offered, size_of
from windlass.hub.sets import file_sets
from windlass.manifest import Format
from windlass.quantization import choose, is_decoy, label_in, shard_of

CONFIG = "config.json"

_DATA = re.compile(r"[^.].*\.(?:json|model|tiktoken|txt|jinja|py)")
_NOT_DATA = re.compile(r"consolidated.*|.*\.(?:bin|h5|msgpack|onnx)\.index\.json|tf_model.*|flax_model.*")
_NOT_WEIGHTS = re.compile(r"consolidated.*|adapter.*|.*lora.*", re.IGNORECASE)
_PRECISION = re.compile(r".*\.(?:fp16|fp32|bf16|int8)\.safetensors")
# Sentence-transformers keep small modules in numbered folders: `1_Pooling/config.json`, `2_Dense/model.safetensors`.
_MODULE = re.compile(r"\d+_[A-Za-z]+/(?:config\.json|model\.safetensors)|additional_chat_templates/[^/]+\.jinja")
_INDEX = ".safetensors.index.json"
_MODEL_INDEX = f"model{_INDEX}"

Texts = Mapping[str, bytes]


def safetensors_weights(files: Iterable[HubFile]) -> list[HubFile]:
    """The files of a folder's own level that may be a model's weights; adapters and second copies are none."""
    return [
        file
        for file in files
        if "/" not in file.path
        and file.path.endswith(".safetensors")
        and file.size
        and not _NOT_WEIGHTS.fullmatch(file.path)
        and not is_decoy(file.path)
    ]


def texts_needed(files: Sequence[HubFile]) -> list[str]:
    """The small files whose content decides: the index, and the configuration, where they are there."""
    paths = {file.path for file in files}
    return [path for path in (_index_path(paths), CONFIG) if path in paths]


def _index_path(paths: Iterable[str]) -> str:
    found = sorted(p for p in paths if p.endswith(_INDEX) and "/" not in p and not _NOT_WEIGHTS.fullmatch(p))
    return _MODEL_INDEX if _MODEL_INDEX in found or not found else found[0]


def select_safetensors(listing: Listing, files: Sequence[HubFile], texts: Texts, wish: Wish) -> Selection:
    """The weights and data among `files` (paths relative to the folder that was asked for).

    Raises:
        NoModelFiles: a shard of the set is missing.
        QuantizationNotFound: a quantization was asked for that this is not.
    """
    weights, reason = _weights(listing.repo, files, _weight_map(texts.get(_index_path(texts))))
    data = [file for file in files if _is_data(file)]
    config = _mapping(texts.get(CONFIG))
    format_ = _format(listing, config)
    label = label_in(listing.repo.rpartition("/")[2]) or _stated(config)
    size = size_of(weights) + size_of(data)
    if wish.quantization:
        label = _agreed(wish.quantization, label, listing.repo)
    chosen = (*(Chosen(file) for file in weights), *(Chosen(file, "data") for file in data))
    alternatives = {label: size} if label else {}
    return Selection(chosen, format_, label, alternatives, f"{reason} Data files that go along: {len(data)}.")


def _agreed(wish: str, label: str | None, repo: str) -> str:
    agreed = choose(wish, [label] if label else [])
    if agreed is None:
        raise QuantizationNotFound(f"{repo} does not come in {wish}. {offered({label: 0} if label else {})}")
    return agreed


def _weights(repo: str, files: Sequence[HubFile], named: set[str]) -> tuple[list[HubFile], str]:
    """The weights, and the rule that took them. An index that names files which are not there is stale: without it."""
    by_path = {file.path: file for file in files}
    if named and named <= by_path.keys():
        return [by_path[path] for path in sorted(named)], f"The index names {len(named)} files of weights."
    candidates = safetensors_weights(files)
    whole = [file for file in candidates if shard_of(file.path) is None]
    if any(file.path == "model.safetensors" for file in whole):
        whole = [file for file in whole if not _PRECISION.fullmatch(file.path)]
        return sorted(whole, key=_path), "model.safetensors holds the weights."
    if shards := _complete_set(candidates):
        return shards, f"They are a set of {len(shards)} shards."
    if not whole:
        missing = ", ".join(sorted(named - by_path.keys())[:3]) or "see its file names"
        raise NoModelFiles(f"{repo} lacks shards of its weights: {missing}.", hint="Ask its publisher to complete it.")
    return sorted(whole, key=_path), "All safetensors of the folder are its weights."


def _path(file: HubFile) -> str:
    return file.path


def _complete_set(candidates: Iterable[HubFile]) -> list[HubFile]:
    """The largest complete set of shards, empty if there is none."""
    complete = [list(one.files) for one in file_sets(candidates) if one.count > 1 and one.whole]
    return max(complete, key=size_of, default=[])


def _weight_map(text: bytes | None) -> set[str]:
    """The files that an index names (`weight_map`: tensor → file)."""
    weight_map = _mapping(text).get("weight_map")
    names = weight_map.values() if isinstance(weight_map, dict) else ()
    return {name for name in names if isinstance(name, str)}


def _mapping(text: bytes | None) -> dict[str, Any]:
    """A JSON object; anything else counts as an empty one: the file decides less then, and is checked by its hash."""
    try:
        value = json.loads(text or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_data(file: HubFile) -> bool:
    if "/" in file.path:
        return bool(_MODULE.fullmatch(file.path))
    return bool(_DATA.fullmatch(file.path)) and not _NOT_DATA.fullmatch(file.path)


def _format(listing: Listing, config: Mapping[str, Any]) -> Format:
    """MLX if the repository says so, or its configuration has MLX's own form of `quantization`."""
    quantization = config.get("quantization")
    marked = "mlx" in listing.tags or listing.library_name == "mlx"
    return "mlx" if marked or (isinstance(quantization, dict) and "group_size" in quantization) else "safetensors"


def _stated(config: Mapping[str, Any]) -> str | None:
    """The label that an MLX configuration states: its mode where it is a format of its own, else its bits."""
    quantization = config.get("quantization")
    if not isinstance(quantization, dict):
        return None
    mode, bits = quantization.get("mode"), quantization.get("bits")
    if isinstance(mode, str) and (label := label_in(mode)):
        return label
    return f"{bits}bit" if isinstance(bits, int) and 1 <= bits <= 32 else None
