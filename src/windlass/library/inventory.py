"""The inventory: walks the shelf, asks the receipts, reads the heads it does not know yet, and names the models."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import xxhash

from windlass import __version__
from windlass.library import gguf, safetensors
from windlass.library.facts import Found, Model, describe
from windlass.library.heads import BESIDE, Head, read_folder, read_gguf
from windlass.library.keys import with_keys
from windlass.library.known import Known, Stamp
from windlass.library.receipts import ModelReceipt, Receipts, read_model
from windlass.library.stock import Oddity, Stock, take_stock
from windlass.library.survey import Books, Gist, survey

# What another Windlass read, or one with another idea of a head, is read anew.
_EDITION = f"{__version__} {' '.join(field.name for field in fields(Head))}"


class Inventory:
    """Takes stock again each time it is asked; only what has changed since is opened. May be asked by many threads.

    The answer of the last time stands as long as the folders look the same, which is known in a third of the time that
    judging anew would take.
    """

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._models_dir = receipts.models_dir
        self._known = Known(receipts.models_dir, receipts.files_folder.with_name("heads.json"), _EDITION)
        self._finished: dict[str, tuple[Stamp, ModelReceipt | None]] = {}
        self._sight: tuple[Stock, Stock, dict[str, Stamp]] | None = None
        self._answer: tuple[list[Model], list[Oddity]] = ([], [])
        self._trouble = False  # whether a file could not be opened this time, which the next may
        self._lock = threading.Lock()

    def take(self) -> tuple[list[Model], list[Oddity]]:
        """The models in order of key, and what is none."""
        with self._lock:
            sight = (
                take_stock(self._models_dir),
                take_stock(self._receipts.files_folder),
                dict(_stamps(self._receipts.models_folder)),
            )
            if sight != self._sight:
                self._trouble = False
                self._answer = self._judge(*sight)
                self._sight = None if self._trouble else sight
            return self._answer

    def _judge(self, stock: Stock, kept: Stock, finished: Mapping[str, Stamp]) -> tuple[list[Model], list[Oddity]]:
        result = survey(stock, self._model_receipts(finished), self._books(stock, kept))
        models = [self._model(found, stock) for found in result.found]
        self._known.keep()
        oddities = {*result.oddities, *(model for model in models if isinstance(model, Oddity))}
        return with_keys(model for model in models if isinstance(model, Model)), sorted(oddities)

    def _model_receipts(self, stamps: Mapping[str, Stamp]) -> list[ModelReceipt]:
        """The receipts of finished models. Kept in memory only: the cache would be no quicker to read than they are."""
        before, self._finished = self._finished, {}
        for path, stamp in stamps.items():
            kept = before.get(path)
            self._finished[path] = kept if kept and kept[0] == stamp else (stamp, read_model(Path(path)))
        return [receipt for _, receipt in self._finished.values() if receipt]

    def _books(self, stock: Stock, kept: Stock) -> Books:
        def gist(shelf_path: str) -> Gist | None:
            stamp = _stamp(kept, f"{shelf_path}.json")
            raw = stamp and self._known.recall(f"receipt {shelf_path}", stamp, partial(self._gist, shelf_path))
            return Gist(Stamp(raw[0], raw[1]), raw[2], raw[3]) if raw else None

        def shards(shelf_path: str) -> tuple[str, ...]:
            stamp = _stamp(stock, shelf_path)
            told = self._ask("index", shelf_path, stamp, lambda: safetensors.shards_of(self._models_dir / shelf_path))
            return tuple(told.get("told", ()))

        return Books(self._models_dir, gist, shards)

    def _gist(self, shelf_path: str) -> list[Any] | None:
        receipt = self._receipts.read(shelf_path)
        if receipt is None:
            return None
        return [receipt.size, receipt.mtime_ns, "" if receipt.damaged else receipt.digest.hex, receipt.adopted]

    def _model(self, found: Found, stock: Stock) -> Model | Oddity:
        """The model with what its head says. One that only its shape vouches for is none if its head does not agree."""
        weights = [file.path for file in found.files if file.role == "weights"]
        told = self._head(found, weights, stock)
        head = Head(**told["told"]) if "told" in told else None
        if found.finished_at:
            return describe(found, head)
        if head is None or head.kind != "model":
            return Oddity(weights[0], f"its head says that it is no model: {head.kind}" if head else told["damaged"])
        for path in weights[1:]:
            if reason := self._damage(path, stock):
                return Oddity(path, reason)
        is_mlx = found.format == "safetensors" and (head.mlx or "mlx" in found.repo.lower())
        return describe(replace(found, format="mlx") if is_mlx else found, head)

    def _head(self, found: Found, weights: list[str], stock: Stock) -> dict[str, Any]:
        """`told`: the fields of the model's `Head`, or `damaged`: why it cannot be read."""
        if not weights:
            return {"damaged": "it has no weights"}
        if found.format == "gguf":
            path = self._models_dir / weights[0]
            return self._ask("head", weights[0], _stamp(stock, weights[0]), lambda: asdict(read_gguf(path)))
        folder, _, name = weights[0].rpartition("/")
        stamps = [_stamp(stock, f"{folder}/{source}") for source in (name, *BESIDE)]
        if not all(stamps[:2]):
            return {"damaged": "it has no config.json"}

        def read() -> dict[str, Any]:
            return asdict(read_folder(self._models_dir / folder, name, is_all=len(weights) == 1))

        return self._ask("head", weights[0], _stamp_of_all(stamps), read)

    def _damage(self, path: str, stock: Stock) -> str | None:
        """Why a further weights file is damaged, None for one that reads."""
        stamp, scan = _stamp(stock, path), gguf.scan if path.lower().endswith(".gguf") else safetensors.scan
        reason = self._ask("part", path, stamp, lambda: bool(scan(self._models_dir / path))).get("damaged")
        return str(reason) if reason else None

    def _ask(self, what: str, path: str, stamp: Stamp | None, read: Callable[[], Any]) -> dict[str, Any]:
        """What reading `told`, or why the file is `damaged`: both are kept, but not that it could not be opened."""
        if stamp is None:
            return {"damaged": "it is not there"}
        try:
            return dict(self._known.recall(f"{what} {path}", stamp, partial(_told, read)))
        except OSError as error:
            self._trouble = True
            return {"damaged": f"it cannot be read: {os.strerror(error.errno or 0)}"}


def _told(read: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"told": read()}
    except gguf.Damaged as error:
        return {"damaged": str(error)}


def _stamp(stock: Stock, shelf_path: str) -> Stamp | None:
    owner, _, rest = shelf_path.partition("/")
    name, _, path = rest.partition("/")
    return stock.stamp(f"{owner}/{name}", path)


def _stamp_of_all(stamps: Sequence[Stamp | None]) -> Stamp:
    """One for several files, each of which changes it, as does one that comes or goes.

    Not the latest time: a template of the same length that is older than the weights would go unnoticed.
    """
    size = sum(stamp.size for stamp in stamps if stamp)
    return Stamp(size, xxhash.xxh3_64_intdigest(repr([stamp and tuple(stamp) for stamp in stamps]).encode()))


def _stamps(folder: Path) -> Iterator[tuple[str, Stamp]]:
    """The JSON files of a folder with their stamps, by name; what cannot be looked at is passed over."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.endswith(".json")]
    except OSError:
        return
    for entry in sorted(found, key=lambda entry: entry.name):
        with suppress(OSError):
            status = entry.stat()
            yield entry.path, Stamp(status.st_size, status.st_mtime_ns)
