"""The models folders, in the order in which they are filled: which one a job's files go to, and what stands in all."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from windlass.errors import InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.folder import Condition, ModelsFolder
from windlass.jobs.job import Job
from windlass.jobs.states import State
from windlass.library.facts import Model
from windlass.library.shelf import Shelf
from windlass.library.shelves import merged
from windlass.library.stock import Oddity
from windlass.manifest import Manifest
from windlass.pull import hand_over, in_place


@dataclass(frozen=True, slots=True)
class Place:
    """One models folder: what stands there, and its disk."""

    shelf: Shelf
    folder: ModelsFolder


@dataclass(frozen=True, slots=True)
class Bid:
    """What a folder has to offer to a model.

    Attributes:
        place: the folder.
        kept: bytes of the model that are there already.
        usable: bytes more that it may have.
    """

    place: Place
    kept: int
    usable: int


class Places:
    """All models folders; the first is the one of `WINDLASS_MODELS_DIR`. Threads may share it.

    Args:
        places: the folders.
        other: makes one of a folder that is none of them any more.
    """

    def __init__(self, places: Sequence[Place], other: Callable[[Path], Place] | None = None) -> None:
        self._places = tuple(places)
        self._other = other

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    @property
    def first(self) -> Place:
        """Where a job goes that was told nothing else."""
        return self._places[0]

    @property
    def are_several(self) -> bool:
        """Whether there is more than one."""
        return len(self._places) > 1

    def offline(self) -> list[Path]:
        """The folders that should be there and are not."""
        return [place.folder.path for place in self if place.folder.condition() is Condition.OFFLINE]

    def of(self, job: Job) -> Place:
        """Where a job's files go: also to a folder that the settings do not name any more, where its bytes are."""
        if job.folder is None:
            return self.first
        return self._named(job.folder) or (self._other(Path(job.folder)) if self._other else self.first)

    def asked_for(self, folder: str) -> Place:
        """The folder of that path.

        Raises:
            InvalidRequest: it is none of the models folders.
        """
        place = self._named(folder)
        if place is None:
            known = ", ".join(str(place.folder.path) for place in self)
            raise InvalidRequest(
                f"{folder} is none of the models folders.",
                hint=f"There are: {known}. WINDLASS_MORE_MODELS_DIRS names more.",
                param="to",
            )
        return place

    def where(self, folder: str | None) -> Place:
        """The folder of that path, else the first. Raises InvalidRequest where it is none of them."""
        return self.asked_for(folder) if folder else self.first

    def name_of(self, place: Place) -> str | None:
        """How a job notes where it goes: an only folder by nothing, so that it moves along with the setting."""
        return str(place.folder.path) if self.are_several else None

    def path_for(self, job: Job) -> Path:
        """What to hand to who runs the job's model. It may have come to stand in another folder since."""
        mine = hand_over(job.manifest, self.of(job).shelf)
        if job.state is not State.COMPLETED or not self.are_several:
            return mine
        whole = (place for place in (self.of(job), *self) if _has_all(place, job.manifest))
        return next((hand_over(job.manifest, place.shelf) for place in whole), mine)

    def beside(self, place: Place, jobs: Sequence[Job]) -> list[Job]:
        """Those of the jobs whose files go to the same disk."""
        if not self.are_several:
            return list(jobs)
        disk = place.folder.disk()
        return [job for job in jobs if self.of(job).folder.disk() == disk]

    def choose(self, manifest: Manifest, to: str | None, usable: Callable[[Place], int]) -> Place:
        """Where a new model goes: to the folder that was asked for, or as `choose` says.

        Args:
            manifest: the model.
            to: the folder's path.
            usable: bytes that it may have in a folder.

        Raises:
            InvalidRequest: `to` is no models folder.
            StorageUnavailable: none of them is there to be written to.
            InsufficientStorage: there is no room for it.
        """
        candidates = [self.asked_for(to)] if to else list(self)
        ready = [place for place in candidates if place.folder.condition() is Condition.READY]
        if not ready:
            candidates[0].folder.check()
            raise StorageUnavailable(
                f"The models folder {candidates[0].folder.path} cannot be written to.",
                hint="Change its rights, or name another one: WINDLASS_MODELS_DIR, or --to.",
            )
        bids = _bids(manifest, ready, usable)
        chosen = choose(bids, manifest.total_size)
        if chosen is None:
            raise no_room(manifest, max(bids, key=_reach))
        return chosen

    def likeliest(self, manifest: Manifest, usable: Callable[[Place], int]) -> Place:
        """Where a new model would go; where it fits nowhere, what comes nearest."""
        ready = [place for place in self if place.folder.condition() is Condition.READY] or [self.first]
        bids = _bids(manifest, ready, usable)
        return choose(bids, manifest.total_size) or max(bids, key=_reach).place

    def models(self) -> list[Model]:
        """All models that stand whole in any of the folders, in order of key."""
        return merged([place.shelf.models() for place in self])

    def broken(self) -> list[Model]:
        """Those of which only a part stands as it should."""
        return merged([place.shelf.broken() for place in self])

    def oddities(self) -> list[Oddity]:
        """What stands among them and is none; below the first folder by its path there, elsewhere by all of it."""
        found = self.first.shelf.oddities()
        for place in self._places[1:]:
            found += [Oddity(str(place.folder.path / path), reason) for path, reason in place.shelf.oddities()]
        return found

    def keyed(self, models: Sequence[Model]) -> list[Model]:
        """Models of one folder by the keys that they have in the list of all; a hidden one keeps its own."""
        keys = {_identity(model): model.key for model in (*self.models(), *self.broken())}
        return [replace(model, key=keys.get(_identity(model), model.key)) for model in models]

    def holding(self, model: Model) -> Place:
        """Where a model stands."""
        return next(place for place in self if place.shelf.models_dir == model.found.models_dir)

    def _named(self, folder: str | None) -> Place | None:
        return next((place for place in self if folder and place.folder.path == Path(folder)), None)


def _has_all(place: Place, manifest: Manifest) -> bool:
    return all(os.path.exists(place.shelf.path_of(file)) for file in manifest.files)  # noqa: PTH110 - as folder._exists


def _identity(model: Model) -> tuple[Path, str]:
    return model.found.models_dir, model.files[0].path


def _bids(manifest: Manifest, places: Sequence[Place], usable: Callable[[Place], int]) -> list[Bid]:
    return [Bid(place, in_place(manifest, place.shelf), usable(place)) for place in places]


def _reach(bid: Bid) -> int:
    return bid.kept + bid.usable


def choose(bids: Sequence[Bid], size: int) -> Place | None:
    """The folder with most of the model's bytes among those with room for the rest; of equals the first.

    None where none has room. With nothing anywhere that is the first with room, as people expect of a list.
    """
    fitting = [bid for bid in bids if size - bid.kept <= bid.usable]
    return max(fitting, key=lambda bid: bid.kept).place if fitting else None


def no_room(manifest: Manifest, bid: Bid) -> InsufficientStorage:
    """What to say of a model for which there is no room; the bid is the best there was."""
    folder, needed = bid.place.folder, manifest.total_size - bid.kept
    promised = max(0, folder.free() - folder.min_free - bid.usable)
    return InsufficientStorage(
        f"{manifest.id} needs {needed:,} more bytes, and {bid.usable:,} may be used on {folder.path} "
        f"({folder.min_free:,} stay free, {promised:,} are promised to others).",
        needed=needed,
        free=bid.usable,
        hint="Free some space, ask for a smaller quantization, or name a larger disk: WINDLASS_MODELS_DIR, or one more "
        "in WINDLASS_MORE_MODELS_DIRS.",
    )
