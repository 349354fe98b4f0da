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
from windlass.quantization import choose, is_decoy, label_in, label_of, shard_of

CONFIG = "config.json"

_DATA = re.compile(r"[^.].*\.(?:json|model|tiktoken|txt|jinja|py|spm|codes)")
_NOT_DATA = re.compile(r".*\.(?:bin|h5|msgpack|onnx)\.index\.json|tf_model.*|flax_model.*")
_NOT_WEIGHTS = re.compile(r"adapter.*|(?:.*[-_.])?lora(?:[-_.].*)?", re.IGNORECASE)
_CONSOLIDATED = re.compile(r"consolidated.*")  # Mistral's own form: a second copy, but where there is no other
_PRECISION = re.compile(r".*\.(?:fp16|fp32|bf16|int8)\.safetensors")
# Sentence-transformers keep small modules in numbered folders: `1_Pooling/config.json`, `2_Dense/model.safetensors`.
_MODULE = re.compile(r"\d+_[A-Za-z]+/(?:config\.json|model\.safetensors)|additional_chat_templates/[^/]+\.jinja")
_INDEX = ".safetensors.index.json"
_MODEL_INDEX = f"model{_INDEX}"

Texts = Mapping[str, bytes]


def safetensors_weights(files: Iterable[HubFile]) -> list[HubFile]:
    """The files of a folder's own level that may be a model's weights; adapters and second copies are none."""
    found = [
        file
        for file in files
        if "/" not in file.path
        and file.path.endswith(".safetensors")
        and file.size
        and not _NOT_WEIGHTS.fullmatch(file.path)
        and not is_decoy(file.path)
    ]
    return [file for file in found if not _CONSOLIDATED.fullmatch(file.path)] or found


def texts_needed(files: Sequence[HubFile]) -> list[str]:
    """The small files whose content decides: the index, and the configuration, where they are there."""
    paths = {file.path for file in files}
    return [path for path in (_index_path(paths), CONFIG) if path in paths]


def _index_path(paths: Iterable[str]) -> str:
    found = sorted(p for p in paths if p.endswith(_INDEX) and "/" not in p and not _NOT_WEIGHTS.fullmatch(p))
    found = [path for path in found if not _CONSOLIDATED.fullmatch(path)] or found
    return _MODEL_INDEX if _MODEL_INDEX in found or not found else found[0]


def select_safetensors(listing: Listing, folder: str, files: Sequence[HubFile], texts: Texts, wish: Wish) -> Selection:
    """The weights and data among `files`, whose paths are relative to `folder`.

    Raises:
        NoModelFiles: a shard of the set is missing.
        QuantizationNotFound: a quantization was asked for that this is not.
    """
    weights, reason = _weights(listing.repo, files, _weight_map(texts.get(_index_path(texts))))
    second = not any(_CONSOLIDATED.fullmatch(file.path) for file in weights)
    data = [file for file in files if _is_data(file) and not (second and _CONSOLIDATED.fullmatch(file.path))]
    config = _mapping(texts.get(CONFIG))
    format_ = _format(listing, config)
    said = (label_of(folder.rstrip("/")), label_in(listing.repo.rpartition("/")[2]), _stated(config))
    stated = [label for label in said if label]
    label = stated[0] if stated else None
    size = size_of(weights) + size_of(data)
    if wish.quantization and not any(choose(wish.quantization, [one]) for one in stated):
        offer = offered({label: 0} if label else {})
        raise QuantizationNotFound(f"{listing.repo} does not come in {wish.quantization}. {offer}")
    chosen = (*(Chosen(file) for file in weights), *(Chosen(file, "data") for file in data))
    alternatives = {label: size} if label else {}
    return Selection(chosen, format_, label, alternatives, f"{reason} Data files that go along: {len(data)}.")


def _weights(repo: str, files: Sequence[HubFile], named: set[str]) -> tuple[list[HubFile], str]:
    """The weights, and the rule that took them.

    An index that names what is not there, or only a part of a set, is stale: without it.
    """
    by_path = {file.path: file for file in files}
    if named and named <= by_path.keys() and _closed(named, by_path.values()):
        return [by_path[path] for path in sorted(named)], f"The index names {len(named)} files of weights."
    candidates = safetensors_weights(files)
    alone = [file for file in candidates if shard_of(file.path) is None and not _PRECISION.fullmatch(file.path)]
    if any(file.path == "model.safetensors" for file in alone):
        return sorted(alone, key=_path), "model.safetensors holds the weights."
    sets = [one for one in file_sets(candidates) if shard_of(one.files[0].path)]
    if shards := max((one.files for one in sets if one.whole), key=size_of, default=()):
        more = f" {len(alone)} other files go along." if alone else ""
        return [*shards, *sorted(alone, key=_path)], f"They are a set of {len(shards)} shards.{more}"
    if sets:
        missing = ", ".join(sorted(named - by_path.keys())[:3]) or "see its file names"
        raise NoModelFiles(f"{repo} lacks shards of its weights: {missing}.", hint="Ask its publisher to complete it.")
    return sorted(alone or candidates, key=_path), "All safetensors of the folder are its weights."


def _closed(named: set[str], files: Iterable[HubFile]) -> bool:
    """Whether no shard of a set is left out."""
    return all(one.whole for one in file_sets(file for file in files if file.path in named))


def _path(file: HubFile) -> str:
    return file.path


def _weight_map(text: bytes | None) -> set[str]:
    """The files that an index names (`weight_map`: tensor → file)."""
    weight_map = _mapping(text).get("weight_map")
    names = weight_map.values() if isinstance(weight_map, dict) else ()
    return {name for name in names if isinstance(name, str) and name.endswith(".safetensors")}


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
    quantization = config.get("quantization") or config.get("quantization_config")
    if not isinstance(quantization, dict):
        return None
    mode, bits = quantization.get("mode"), quantization.get("bits")
    if isinstance(mode, str) and (label := label_in(mode)):
        return label
    return f"{bits}bit" if isinstance(bits, int) and 1 <= bits <= 32 else None
