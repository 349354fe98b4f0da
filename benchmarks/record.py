"""A database as a busy server has it after a while: many jobs, most of them completed.

Written by the store's own code, move by move, so that it is what the store would have left.
"""

import itertools
import random
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.content import COMMIT, GIB, KIB, MIB
from windlass.jobs.states import CANCEL, FAIL, FINISH, PAUSE, START, Edge, Phase
from windlass.jobs.store import Store
from windlass.manifest import CatalogEntry, Digest, Manifest, ManifestFile

_APART = 900.0  # seconds between two moves

# How a hundred jobs end. None of them is queued or runs: a server that is to stand idle would begin with it.
_FATES = {FINISH: 90, CANCEL: 4, FAIL: 4, PAUSE: 2}

# Files beside the weights of an MLX model.
_DATA = ("config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "vocab.json")


def write_record(database: Path, count: int) -> None:
    """Write so many jobs, the same every time but for their ids and times."""
    chance = random.Random(count)
    times = itertools.count(time.time() - 3 * count * _APART, _APART)
    fates = [fate for fate, share in _FATES.items() for _ in range(share)]
    database.parent.mkdir(parents=True, exist_ok=True)
    with Store(f"sqlite:///{database}", lambda: next(times)) as store:
        for number in range(count):
            manifest = _manifest(number, chance)
            fate = fates[number * 37 % 100]  # so that those that are rare do not stand together
            job = store.add(manifest)
            store.move(job.id, START, owner="a-process-of-old")
            store.move(job.id, fate, **_changes(fate, manifest.total_size))


def _changes(fate: Edge, size: int) -> dict[str, Any]:
    """What the runner tells the store with such a move."""
    if fate is FINISH:
        return {"downloaded": size}
    kept = {"downloaded": size // 2, "phase": Phase.TRANSFERRING}
    message = "The source answered 503 again and again, and nothing more came for a while."
    return {**kept, "error_code": "source_error", "error_message": message} if fate is FAIL else kept


def _manifest(number: int, chance: random.Random) -> Manifest:
    """One in five is an MLX model, two are GGUF in shards, the others a single GGUF; half have a catalog entry."""
    kind, owner, name = number % 5, f"owner-{number % 97}", f"model-{number}"
    repo = f"{owner}/{name}-{'MLX-4bit' if kind == 0 else 'GGUF'}"
    if kind == 0:
        files = [_file(repo, path, chance.randint(KIB, MIB)) for path in _DATA]
        files += [_file(repo, f"model-{part:05}-of-00004.safetensors", 4 * GIB) for part in range(1, 5)]
    elif kind < 3:
        files = [_file(repo, f"{name}-Q4_K_M-{part:05}-of-00003.gguf", 9 * GIB) for part in range(1, 4)]
    else:
        files = [_file(repo, f"{name}-Q4_K_M.gguf", chance.randint(GIB, 9 * GIB))]
    return Manifest(
        id=f"{owner}/{name}",
        publisher=owner,
        display_name=name.title(),
        url=f"https://lmstudio.ai/models/{owner}/{name}",
        format="gguf" if kind else "mlx",
        quantization="Q4_K_M" if kind else "4bit",
        files=tuple(files),
        catalog=_entry(owner, name) if number % 2 else None,
        why="The catalog's first choice for this machine.",
    )


def _file(repo: str, path: str, size: int) -> ManifestFile:
    digest = Digest("sha256", sha256(f"{repo}/{path}".encode()).hexdigest())
    return ManifestFile(repo, COMMIT, path, size, digest, "data" if path in _DATA else "weights")


def _entry(owner: str, name: str) -> CatalogEntry:
    """Two texts as long as those of the catalog; nobody reads them here."""
    return CatalogEntry(owner, name, f"model: {owner}/{name}\n".ljust(2 * KIB), "{}".ljust(KIB // 2))
