"""Models that no receipt names, told by the shape of a repository's folder: LM Studio or a person put them there.

Pure: what stands there comes in as names and stamps, what an index and the receipts say through `Place`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from windlass.library.facts import Found, ShelfFile
from windlass.library.stock import Files, Oddity
from windlass.manifest import Format, Role
from windlass.quantization import is_decoy, is_gguf, is_projector, label_in, label_of, shard_of

INDEX = "model.safetensors.index.json"
_DATA = re.compile(r".+\.(?:json|txt|jinja|py|tiktoken)|tokenizer\.model", re.IGNORECASE)
_GGUF_SUFFIX = re.compile(r"[-_.]gguf\Z", re.IGNORECASE)
_PROJECTOR_ORDER = {"F16": 0, "FP16": 0, "BF16": 1}


@dataclass(frozen=True, slots=True)
class Place:
    """One repository's folder.

    Attributes:
        repo: `owner/repo`.
        files: all that stands there, by path in the repository.
        free: those of them that belong to no receipt and no download under way.
        is_verified: whether a receipt agrees with the file at this path in the repository.
        shards: the names that the index at this path wants; none for an index that cannot be read.
        oddities: what is found to be no model is added here.
    """

    models_dir: Path
    repo: str
    files: Files
    free: Files
    is_verified: Callable[[str], bool]
    shards: Callable[[str], tuple[str, ...]]
    oddities: list[Oddity] = field(default_factory=list)

    def note(self, path: str, reason: str) -> None:
        """Add an oddity."""
        self.oddities.append(Oddity(f"{self.repo}/{path}", reason))


def models_in(place: Place) -> Iterator[Found]:
    """The models of one folder: each GGUF file or set of shards, and config.json with safetensors weights beside it."""
    weights = [path for path in place.free if is_gguf(path) and not is_projector(path) and not is_decoy(path)]
    for shards in _sets(place, weights):
        roles: dict[str, Role] = dict.fromkeys(shards, "weights")
        if projector := _projector(shards[0], place.files):
            roles[projector] = "projector"
        yield _found(place, "gguf", label_of(shards[0]), roles)
    if "config.json" in place.free and (parts := _weights_of_folder(place)):
        roles = dict.fromkeys(parts, "weights")
        roles |= {path: "data" for path in sorted(place.free) if "/" not in path and _DATA.fullmatch(path)}
        # Whether MLX wrote it is in the weights' head, which is read later.
        yield _found(place, "safetensors", label_in(place.repo.partition("/")[2]), roles)


def _sets(place: Place, paths: Iterable[str]) -> Iterator[list[str]]:
    """Files that are a model together, first shard first. Sets with a gap and empty files are odd."""
    sets: dict[tuple[str, int], list[str]] = defaultdict(list)
    for path in sorted(paths):
        shard = shard_of(path)
        sets[(shard.stem, shard.count) if shard else (path, 1)].append(path)
    for (_, count), found in sets.items():
        empty = [path for path in found if not place.files[path].size]
        for path in empty:
            place.note(path, "it is empty")
        if len(found) != count:
            place.note(found[0], f"{count - len(found)} of the {count} shards that make the model are missing")
        elif not empty:
            yield found


def _projector(weights: str, files: Files) -> str | None:
    """The projector that stands beside the weights, else one at the repository's root: F16, else BF16, else any."""
    there = [path for path in files if is_projector(path) and files[path].size]
    for folder in (PurePosixPath(weights).parent, PurePosixPath()):
        beside = [path for path in there if PurePosixPath(path).parent == folder]
        if beside:
            return min(beside, key=lambda path: (_PROJECTOR_ORDER.get(label_in(path) or "", 2), path))
    return None


def _weights_of_folder(place: Place) -> list[str]:
    """The safetensors files at the root that are the model: those that the index wants, else those that are whole."""
    if INDEX not in place.free:
        weights = [path for path in place.free if path.endswith(".safetensors") and "/" not in path]
        # consolidated*: the same weights again, in their maker's own layout.
        weights = [path for path in weights if not path.startswith(("consolidated", "adapter"))]
        return [path for group in _sets(place, weights) for path in group]
    wanted = place.shards(INDEX)
    lost = [path for path in wanted if path not in place.free or not place.free[path].size]
    if lost:
        place.note(INDEX, f"{len(lost)} of the {len(wanted)} weights files that it wants are missing")
    elif not wanted:
        place.note(INDEX, "it cannot be read, so nobody knows which weights make the model")
    return [] if lost else list(wanted)


def _found(place: Place, kind: Format, label: str | None, roles: Mapping[str, Role]) -> Found:
    owner, _, name = place.repo.partition("/")
    files = tuple(
        ShelfFile(f"{place.repo}/{path}", place.files[path].size, role, place.is_verified(path))
        for path, role in roles.items()
    )
    return Found(
        id=place.repo,
        repo=place.repo,
        publisher=owner,
        display_name=re.sub(r"[-_]+", " ", _GGUF_SUFFIX.sub("", name)),
        format=kind,
        quantization=label,
        files=files,
        models_dir=place.models_dir,
        hand=handed_over(kind, files),
    )


def handed_over(kind: Format, files: Iterable[ShelfFile]) -> str:
    """What a program that runs the model is to be given: the first shard of a GGUF, else the folder of the weights."""
    first = min(files, key=lambda file: (file.role != "weights", file.path)).path
    return first if kind == "gguf" else first.rpartition("/")[0]
