"""What is fuzzed: each function hands bytes to one scanner as they would come to it, and holds it to its promise.

It says whether the scanner took them for what they should be. Anything that is raised here is a bug; what the scanners
promise to raise is caught.
"""

import atexit
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from windlass.errors import HubError, ModelNotFound
from windlass.hub.model_yaml import ModelYaml, read_manifest, read_model_yaml, write_manifest, write_model_yaml
from windlass.hub.titles import catalog_title
from windlass.library.facts import Found, ShelfFile, describe
from windlass.library.gguf import Damaged
from windlass.library.heads import Head, knows_tools, read_folder, read_gguf
from windlass.library.keys import with_keys
from windlass.library.known import Known, Stamp
from windlass.library.lists import detail_row, openai_row, v0_row, v1_row
from windlass.library.receipts import Receipt, Receipts, read_model
from windlass.library.safetensors import read_template, shards_of
from windlass.library.shapes import Place, models_in
from windlass.library.survey import found_of
from windlass.transfer import ledger, partial, seal

IDENTITY, SIZE = "sha256:" + "9f" * 32, 5_680_522_464
EDITION = "fuzz"
MTIME = 1_760_000_000_000_000_000
CONFIG = b'{"model_type":"qwen3","quantization":{"bits":4}}'
WEIGHTS = b'\x3c\0\0\0\0\0\0\0{"w":{"dtype":"U32","shape":[4],"data_offsets":[0,16]}}     ' + bytes(16)

_WEIGHTS = ShelfFile("o/M/model.safetensors", 3, "weights", False)
_FOUND = Found("o/M", "o/M", "o", "M", "safetensors", None, (_WEIGHTS,), Path("models"), "o/M")
# One for the process, and in memory where there is such a place: on a disk it is what takes the time.
_KEPT = TemporaryDirectory(prefix="fuzz-", dir=next((path for path in ("/dev/shm",) if os.access(path, os.W_OK)), None))
atexit.register(_KEPT.cleanup)
_FOLDER = Path(_KEPT.name)


def gguf(data: bytes) -> bool:
    """The head of a GGUF file."""
    path = _file("x.gguf", data)
    return _is_listed(lambda: read_gguf(path))


def weights(data: bytes) -> bool:
    """The head of a safetensors file, beside a good config.json."""
    _file("config.json", CONFIG)
    _file("model.safetensors", data)
    return _is_listed(lambda: read_folder(_FOLDER, "model.safetensors", is_all=True))


def config(data: bytes) -> bool:
    """config.json, beside good weights."""
    _file("model.safetensors", WEIGHTS)
    _file("config.json", data)
    return _is_listed(lambda: read_folder(_FOLDER, "model.safetensors", is_all=True))


def template(data: bytes) -> bool:
    """tokenizer_config.json."""
    _file("tokenizer_config.json", data)
    return knows_tools(read_template(_FOLDER))


def index(data: bytes) -> bool:
    """The index of safetensors weights, and which of the files that it names make the model."""
    path = _file("index", data)

    def shards(_: str) -> tuple[str, ...]:
        try:
            return shards_of(path)
        except Damaged:
            return ()

    names = ("config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors")
    files = dict.fromkeys(names, Stamp(3, MTIME))
    models = list(models_in(Place(Path("models"), "o/M", files, files, lambda path: False, shards)))
    assert all(file.path.removeprefix("o/M/") in files for found in models for file in found.files)
    return bool(models)


def model_yaml(data: bytes) -> bool:
    """A model.yaml; what is made of it is one again, and what is kept of it is JSON."""
    try:
        read = read_model_yaml(data.decode("utf-8", "replace"))
    except HubError:
        return False
    _is_used(read)
    kept = json.loads(json.dumps(dict(read.overrides), allow_nan=False))
    _can_be_listed(replace(_FOUND, overrides=kept, catalog=True), None)
    return True


def manifest(data: bytes) -> bool:
    """A manifest.json of the catalog."""
    try:
        _is_used(read_manifest(json.loads(data)))
    except (HubError, ModelNotFound, ValueError, RecursionError):  # as who asks the catalog does
        return False
    return True


def receipt(data: bytes) -> bool:
    """What was found of a file when it was verified."""
    receipts = Receipts(_FOLDER)
    path = receipts.path("o/M/model.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    read = receipts.read("o/M/model.safetensors")
    if read:
        _can_be_sent(detail_row(with_keys([describe(_FOUND, None)])[0], receipts.read))
        receipts.write("o/M/again", read)
        assert receipts.read("o/M/again") == read
    return read is not None


def model_receipt(data: bytes) -> bool:
    """Which files make a model that was brought in."""
    read = read_model(_file("model.json", data))
    if read:
        files = [ShelfFile(file.shelf_path, file.size, file.role, False) for file in read.manifest.files]
        _can_be_listed(found_of(read, tuple(files), _FOLDER), None)
    return read is not None


def cache(data: bytes) -> bool:
    """What heads told the last time: believed as it was written, or not at all."""
    _file("heads.json", data)
    told = Known(_FOLDER, _FOLDER / "heads.json", EDITION).recall("x", Stamp(1, 2), lambda: "read")
    assert told in {"read", "kept"}
    return bool(told == "kept")


def ledger_(data: bytes) -> bool:
    """What of a partial has come: it can be written as it was read, and its pieces lie within the file."""
    text = _ascii(data)
    read = ledger.parse(text, IDENTITY, SIZE)
    if read:
        assert 0 <= read.received <= SIZE
        assert ledger.parse(ledger.dump(read), IDENTITY, SIZE) == read
    return read is not None


def seal_(data: bytes) -> bool:
    """What is known of a whole partial."""
    part = _file("x.part", b"abc")
    os.utime(part, ns=(MTIME, MTIME))
    _file("x.whole", data)
    read = partial.read_seal(part)
    if read:
        assert (read.size, read.mtime_ns) == (3, MTIME)
        assert seal.parse(seal.dump(read)) == read
    return read is not None


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "gguf": gguf,
    "weights": weights,
    "config": config,
    "template": template,
    "index": index,
    "model_yaml": model_yaml,
    "manifest": manifest,
    "receipt": receipt,
    "model_receipt": model_receipt,
    "cache": cache,
    "ledger": ledger_,
    "seal": seal_,
}


def _file(name: str, data: bytes) -> Path:
    path = _FOLDER / name
    path.write_bytes(data)
    return path


def _ascii(data: bytes) -> str:
    """As a ledger's file is read: what is not ASCII is nothing."""
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        return ""


def _is_used(read: ModelYaml) -> None:
    """All that is made of a catalog's texts."""
    catalog_title("m", read.overrides)
    assert read_model_yaml(write_model_yaml("o/m", read.bases)) is not None
    assert read_manifest(json.loads(write_manifest("o", "m", read.bases))) is not None


def _is_listed(read: Callable[[], Head]) -> bool:
    try:
        head = read()
    except Damaged:
        return False
    _can_be_listed(_FOUND, head)
    return True


def _can_be_listed(found: Found, head: Head | None) -> None:
    """A model of these facts has its row in every list, and can be handed over."""
    if head:
        json.dumps(asdict(head))  # as the cache keeps it
    [model] = with_keys([describe(found, head)])
    _can_be_sent([v1_row(model), v0_row(model), openai_row(model), detail_row(model, _no_receipt)])
    assert model.path.is_relative_to(found.models_dir)


def _can_be_sent(value: object) -> None:
    """As the server does it: whole characters, numbers that JSON knows."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _no_receipt(_: str) -> Receipt | None:
    return None
