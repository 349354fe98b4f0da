"""The whole product in one recipe: stage → fetch → verify → publish.

`pull` takes a manifest and ends with a whole, verified model under its final name, or with an error that says why not.
It may be cancelled at any moment, and the process may be killed at any moment: the next `pull` of the same manifest
goes on where this one stopped.
"""

import asyncio
import resource
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from windlass import words
from windlass.errors import StorageUnavailable
from windlass.jobs.states import Phase
from windlass.library.arrivals import Arrival
from windlass.library.cloning import clone
from windlass.library.digests import ShouldStop, digest_file
from windlass.library.elsewhere import Elsewhere
from windlass.library.receipts import Receipt
from windlass.library.shelf import Shelf, State
from windlass.manifest import Manifest, ManifestFile
from windlass.transfer.batch import fetch_all
from windlass.transfer.ledger import Piece
from windlass.transfer.meter import Meter
from windlass.transfer.partial import SMALL, claimed, clear, discard, discard_idle, disk_errors, exists, kept_bytes
from windlass.transfer.seal import Seal
from windlass.transfer.takeover import hand_in, take_over
from windlass.transfer.target import Staged, Target, Tools

_TRIES = 20  # one is enough but where jobs share files, and then a few are
_MOST_AT_ONCE = 512  # files that are published together; more would save nothing

T = TypeVar("T")


@dataclass(slots=True)
class Progress:
    """How far a pull is; it turns the counters, anyone may read them."""

    base: int
    files: dict[str, Meter]
    phase: Phase = Phase.RESOLVING

    @property
    def kept(self) -> dict[str, int]:
        """Bytes that are here for good, of each file."""
        return {path: meter.kept for path, meter in self.files.items()}

    @property
    def downloaded(self) -> int:
        """Bytes that are here for good, the catalog's texts among them."""
        return self.base + sum(meter.kept for meter in self.files.values())


@dataclass(frozen=True, slots=True)
class Means:
    """What a pull works with: where models stand, how bytes come in, and the hub's address and (secret) headers.

    `elsewhere` is where else on this machine the same content may be; `hard_links`, whether it may be that very file.
    """

    shelf: Shelf
    tools: Tools
    endpoint: str
    clock: Callable[[], float]
    headers: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    hard_links: bool = True


async def pull(manifest: Manifest, means: Means, progress: Progress) -> None:
    """Bring a model in.

    Raises:
        WindlassError: why it could not be brought in. What has come so far is kept.
    """
    for _ in range(_TRIES):
        missing = await _stage(manifest, means, progress)
        staged = await _fetch(missing, means, progress)
        progress.phase = Phase.VERIFYING
        # On a thread that is not to be stopped half way: it is soon done, for all bytes are on the disk already.
        if await _on_thread(partial(_publish, manifest, staged, means)):
            return
        # Another job took one of the files out of our hands, or has it right now: look again at what is missing.
    raise StorageUnavailable(
        f"Files of {manifest.id} vanish from {means.shelf.private_dir} as soon as they are there.",
        hint="Does another program tidy up there? Keep it out of that folder, then resume.",
    )


def progress_of(manifest: Manifest, shelf: Shelf) -> Progress:
    """How far a manifest is by what is on disk: cheap, hashes nothing."""
    texts = manifest.total_size - manifest.weights_size
    return Progress(texts, {file.shelf_path: _meter(file, shelf) for file in manifest.files})


def in_place(manifest: Manifest, shelf: Shelf) -> int:
    """Bytes that the disk needs no more room for: those here for good, and files that only wait to be hashed."""
    waiting = (file for file in manifest.files if shelf.state_of(file) is State.UNVERIFIED)
    return progress_of(manifest, shelf).downloaded + sum(file.size for file in waiting)


def hand_over(manifest: Manifest, shelf: Shelf) -> Path:
    """What to hand to llama.cpp (the first shard) or to MLX and transformers (the folder)."""
    weights = (file for file in manifest.files if file.role == "weights")
    path = shelf.path_of(next(weights, manifest.files[0]))  # a projector may have been asked for alone
    return path if manifest.format == "gguf" else path.parent


def partial_names(manifest: Manifest) -> frozenset[str]:
    """The names of the partials that a pull of this manifest makes or goes on with."""
    return frozenset(_target(file).partial_name for file in manifest.files)


def discard_partials(names: Iterable[str], shelf: Shelf) -> None:
    """Remove partials by name. No pull may be at work on them."""
    for name in names:
        discard(_partials(shelf), name)


def take_apart(file: ManifestFile, shelf: Shelf, right: Iterable[Piece]) -> None:
    """Take a damaged file off the shelf; a pull goes on with what in it is right, by its digests.

    Raises:
        StorageFailure: the disk refuses.
    """
    path = shelf.path_of(file)
    if file.size > SMALL:
        take_over(path, _partials(shelf), _target(file), right)
    else:
        with disk_errors(path):
            path.unlink(missing_ok=True)
    shelf.receipts.forget(file.shelf_path)


def publish_model(manifest: Manifest, shelf: Shelf) -> None:
    """Note that all files of a manifest stand on the shelf and are one model, with its catalog entry if it has one.

    What had come of them before somebody brought them by another way serves nobody any more, and is removed.
    """
    overrides: dict[str, Any] = {}
    if manifest.catalog:
        from windlass.hub.model_yaml import read_model_yaml

        shelf.publish_catalog(manifest.catalog)
        overrides = dict(read_model_yaml(manifest.catalog.model_yaml).overrides)
    shelf.finish(manifest, overrides)
    for name in partial_names(manifest):
        discard_idle(_partials(shelf), name)


async def _stage(manifest: Manifest, means: Means, progress: Progress) -> list[ManifestFile]:
    """What is to be fetched. A file of the right size that nobody has verified is hashed first: it may be the one.

    So is one elsewhere on this machine that may have the same content; it then waits as if it had been fetched.
    """
    progress.phase = Phase.VERIFYING
    return await _on_thread(partial(_missing, manifest, means, progress))


def _missing(manifest: Manifest, means: Means, progress: Progress, should_stop: ShouldStop) -> list[ManifestFile]:
    missing = []
    for file in manifest.files:
        meter = progress.files[file.shelf_path]
        if _is_here(file, means.shelf, meter, should_stop):
            meter.kept = meter.checked = file.size
        else:
            missing.append(file)
            meter.checked = 0  # what was hashed is not the file
            if meter.kept < file.size:
                _bring_over(file, means, meter, should_stop)
    return missing


def _bring_over(file: ManifestFile, means: Means, meter: Meter, should_stop: ShouldStop) -> None:
    """Take the file's content from elsewhere on this machine, if it is there and right; else it is fetched."""
    ours = _partials(means.shelf) / f"{_target(file).partial_name}.over"
    for candidate in means.elsewhere.find(file):
        try:
            with suppress(OSError):
                ours.parent.mkdir(parents=True, exist_ok=True)
                ours.unlink(missing_ok=True)  # a crash may have left one
                way = clone(candidate, ours, hard_links=means.hard_links, should_stop=should_stop)
                if _is_taken(ours, file, meter, should_stop):
                    meter.kept, meter.note = file.size, f"taken from {candidate} ({way})"
                    return
        finally:
            ours.unlink(missing_ok=True)
            if meter.kept < file.size:
                meter.checked = 0  # nor is this one


def _is_taken(ours: Path, file: ManifestFile, meter: Meter, should_stop: ShouldStop) -> bool:
    """Whether what was brought over is the file, and now waits for its name."""
    told = partial(setattr, meter, "checked")
    digest, chunks = digest_file(ours, "sha256", on_progress=told, should_stop=should_stop)
    if digest != file.digest:
        return False
    target = _target(file)
    discard_idle(ours.parent, target.partial_name)
    return hand_in(ours, ours.parent, target, digest.hex, chunks)


async def _fetch(missing: list[ManifestFile], means: Means, progress: Progress) -> dict[ManifestFile, Staged]:
    """What is missing, as verified files that wait for their names; without what another job has published by then."""
    progress.phase = Phase.TRANSFERRING
    files = {file.shelf_path: file for file in missing}
    targets = [(_target(file, means), progress.files[file.shelf_path]) for file in missing]

    def wanted(target: Target) -> bool:
        return means.shelf.state_of(files[target.name]) is not State.PRESENT

    staged = await fetch_all(targets, _partials(means.shelf), means.tools, wanted)
    return {file: whole for file, whole in zip(missing, staged, strict=True) if whole}


def _is_here(file: ManifestFile, shelf: Shelf, meter: Meter, should_stop: ShouldStop) -> bool:
    state = shelf.state_of(file)
    if state is not State.UNVERIFIED:
        return state is State.PRESENT

    def checked(size: int) -> None:
        meter.checked = size

    return shelf.adopt(file, on_progress=checked, should_stop=should_stop)


async def _on_thread(work: Callable[[ShouldStop], T]) -> T:
    """Run on a thread. Cancelled, tell it so, but do not leave before it is done: what follows may remove files."""
    stop = threading.Event()
    job = asyncio.ensure_future(asyncio.to_thread(work, stop.is_set))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        stop.set()
        while not job.done():
            with suppress(asyncio.CancelledError):  # whoever cancels once more waits all the same
                await asyncio.wait([job])
        job.exception()  # it counts as seen
        raise


def _target(file: ManifestFile, means: Means | None = None) -> Target:
    # The address is made anew for each pull and never kept: a mirror may change, and what it redirects to expires.
    url = f"{means.endpoint if means else ''}/{file.repo}/resolve/{file.commit}/{quote(file.path)}"
    headers = means.headers() if means else {}
    return Target(file.shelf_path, url, file.size, file.digest.algorithm, file.digest.hex, headers)


def _publish(manifest: Manifest, staged: Mapping[ManifestFile, Staged], means: Means, _stop: ShouldStop) -> bool:
    """Give all files their final names, so that a model is not seen before it is whole.

    False where a file is neither here any more nor on the shelf. A partial that is gone is most often there: two jobs
    may wait for the same projector, and the one that was first has published it.
    """
    now = words.timestamp(means.clock())
    # In the order of their names, which is the same for every job: of two that want the same ones, the first to have
    # one gets all. Each once: who claims a partial a second time finds himself in the way.
    ready = {whole.path: (_arrival(file, whole, means.endpoint, now), whole.seal) for file, whole in staged.items()}
    arrivals = [ready[path] for path in sorted(ready)]
    size = _at_once()
    groups = (arrivals[start : start + size] for start in range(0, len(arrivals), size))
    if not all(_publish_group(group, means.shelf) for group in groups):
        return False
    publish_model(manifest, means.shelf)
    return True


def _at_once() -> int:
    """How many files to publish together: each is an open descriptor meanwhile, and other jobs need some as well."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_AT_ONCE if allowed == resource.RLIM_INFINITY else max(1, min(_MOST_AT_ONCE, allowed // 8))


def _arrival(file: ManifestFile, whole: Staged, source: str, verified_at: str) -> Arrival:
    receipt = Receipt.of(file, source=source, verified_at=verified_at, chunks=whole.seal.chunks)
    return Arrival(whole.path, file, receipt)


def _publish_group(group: Sequence[tuple[Arrival, Seal]], shelf: Shelf) -> bool:
    """Publish those that are here as they were sealed; False, and none, where one is neither that nor on the shelf."""
    ours = []
    with ExitStack() as claims:
        for arrival, seal in group:
            if claims.enter_context(claimed(arrival.partial, seal)):
                ours.append(arrival)
            elif shelf.state_of(arrival.file) is not State.PRESENT:
                return False
        try:
            shelf.publish(ours)
        finally:
            for arrival in ours:  # those that have their names, though a later one was refused
                if not arrival.partial.exists():
                    clear(arrival.partial.parent, arrival.partial.stem)
    return True


def _meter(file: ManifestFile, shelf: Shelf) -> Meter:
    target, folder = _target(file), _partials(shelf)
    kept = 0
    if exists(folder, target.partial_name):
        kept = kept_bytes(folder, target.partial_name, target.identity, file.size)
    # The shelf last: what another job publishes between the two looks is seen there.
    if shelf.state_of(file) is State.PRESENT:
        return Meter(file.size, kept=file.size, checked=file.size)
    return Meter(file.size, kept=kept)


def _partials(shelf: Shelf) -> Path:
    return shelf.private_dir / "partial"
