"""From the files on the shelf to models: by the receipts of what Windlass brought, and by shape for what others did.

Pure: what stands there is in the stock, what receipts and indexes say is asked through `Books`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from windlass.library.facts import Found, ShelfFile
from windlass.library.known import Stamp
from windlass.library.receipts import ModelReceipt
from windlass.library.shapes import Place, handed_over, models_in
from windlass.library.stock import Files, Oddity, Stock
from windlass.manifest import Manifest, ManifestFile


@dataclass(frozen=True, slots=True)
class Gist:
    """What a list wants of a file's receipt; `hex` is empty where the file was found damaged."""

    stamp: Stamp
    hex: str
    adopted: bool


@dataclass(frozen=True, slots=True)
class Books:
    """What is written down of the files: the gist of a receipt, and the shards that an index wants, by shelf path."""

    models_dir: Path
    gist: Callable[[str], Gist | None]
    shards: Callable[[str], tuple[str, ...]]


@dataclass(slots=True)
class Survey:
    """What was found: models, still without their heads, and what is none."""

    found: list[Found] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)


def survey(stock: Stock, receipts: Iterable[ModelReceipt], books: Books) -> Survey:
    """All models on the shelf: those with a model receipt first, then what stands there besides.

    A file that a receipt names is never a model by its shape: a vision model without its projector, or an MLX folder
    without its tokenizer, is not whole, though it looks like one.
    """
    result = Survey(oddities=list(stock.oddities))
    claimed: dict[str, set[str]] = defaultdict(set)
    for receipt in receipts:
        if any(file.role == "weights" for file in receipt.manifest.files):
            _claim(receipt, stock, books, result)
        for file in receipt.manifest.files:
            claimed[file.repo].add(file.path)
    result.found = _without_doubles(result.found)
    odd = {"/".join(oddity.path.split("/")[:2]) for oddity in result.oddities}
    for repo, files in stock.repos.items():
        unclaimed = files.keys() - claimed[repo] if repo in claimed else files.keys()
        if not unclaimed:
            continue
        before = len(result.oddities)
        place = _place(repo, files, unclaimed, books, result)
        found = list(models_in(place))
        result.found.extend(found)
        if place.free and not found and not (repo in claimed or repo in odd or len(result.oddities) > before):
            result.oddities.append(Oddity(repo, _why_none(place)))
    return result


def _why_none(place: Place) -> str:
    """Why a folder of which nothing was said yet holds no model."""
    if any(path.endswith(".safetensors") and "/" not in path for path in place.free):
        return "it has safetensors weights, but no config.json that tells what they are"
    return "nothing in it is a model's weights: no GGUF, and no safetensors beside a config.json"


def _claim(receipt: ModelReceipt, stock: Stock, books: Books, result: Survey) -> None:
    """A model that Windlass brought, if all its files are still there; a part of one is odd, nothing of it is not."""
    manifest = receipt.manifest
    stamps = [stock.stamp(file.repo, file.path) for file in manifest.files]
    files = [_shelf_file(file, stamp, books) for file, stamp in zip(manifest.files, stamps, strict=True)]
    whole = [file for file in files if file is not None]
    if len(whole) == len(files):
        result.found.append(found_of(receipt, tuple(whole), books.models_dir))
    elif any(stamps):
        lost = [file.path for file, found in zip(manifest.files, files, strict=True) if found is None]
        result.oddities.append(Oddity(manifest.files[0].repo, _not_whole(manifest, lost)))


def _shelf_file(file: ManifestFile, stamp: Stamp | None, books: Books) -> ShelfFile | None:
    """The manifest's file as it stands; None where there is none, or one that has other bytes for certain."""
    if stamp is None or stamp.size != file.size:
        return None
    gist = books.gist(file.shelf_path)
    verified = gist is not None and gist.stamp == stamp
    if verified and gist and gist.hex != file.digest.hex:
        return None
    return ShelfFile(file.shelf_path, file.size, file.role, verified)


def found_of(receipt: ModelReceipt, files: tuple[ShelfFile, ...], models_dir: Path) -> Found:
    """A model as its receipt presents it, of those of its files that are handed in."""
    manifest = receipt.manifest
    return Found(
        id=manifest.id,
        repo=manifest.files[0].repo,
        publisher=manifest.publisher,
        display_name=manifest.display_name,
        format=manifest.format,
        quantization=manifest.quantization,
        files=files,
        models_dir=models_dir,
        hand=handed_over(manifest.format, files),
        catalog=manifest.catalog is not None,
        overrides=receipt.overrides,
        finished_at=receipt.finished_at,
    )


def _not_whole(manifest: Manifest, lost: list[str]) -> str:
    label = f"{manifest.id}@{manifest.quantization}" if manifest.quantization else manifest.id
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return f"{label} is not whole: {', '.join(lost[:3])}{more} missing or changed"


def _without_doubles(found: list[Found]) -> list[Found]:
    """One of those with the same weights: the catalog's name before the repository's, then the one with more files."""
    best: dict[frozenset[str], Found] = {}
    for model in sorted(found, key=lambda model: (not model.catalog, -len(model.files), model.finished_at)):
        weights = frozenset(file.path for file in model.files if file.role == "weights")
        best.setdefault(weights or frozenset(file.path for file in model.files), model)
    return list(best.values())


def _place(repo: str, files: Files, unclaimed: Iterable[str], books: Books, result: Survey) -> Place:
    """One folder, its hidden files left out, and those that Windlass fetched for a model that is not finished.

    What a person put in the place of such a file no longer agrees with its receipt, and counts as theirs.
    """
    gists = {path: books.gist(f"{repo}/{path}") for path in unclaimed}
    pending = {path for path, gist in gists.items() if gist and not gist.adopted and gist.stamp == files[path]}
    if pending:
        result.oddities.append(Oddity(repo, f"{len(pending)} files here are of a download that is not finished"))

    def is_verified(path: str) -> bool:
        gist = books.gist(f"{repo}/{path}")
        return gist is not None and gist.stamp == files[path] and gist.hex != ""

    return Place(
        models_dir=books.models_dir,
        repo=repo,
        files=files,
        free={path: files[path] for path in gists if path not in pending and not _is_hidden(path)},
        is_verified=is_verified,
        shards=lambda path: books.shards(f"{repo}/{path}"),
        oddities=result.oddities,
    )


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")
