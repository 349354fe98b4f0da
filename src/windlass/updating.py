"""Bringing the models of one shelf up to date: which can be, what is to be done, and what is left to do after.

What fetches is a job like any other, asked for by the same request as the model: whoever drives it calls `begin`
before and `tidy` after. Safe to call from several threads.
"""

from collections.abc import Callable, Iterator

from windlass.admission import Admission
from windlass.errors import ModelInUse, ModelNotFound, NotRepairable, QuantizationNotFound
from windlass.hub.again import is_fixed
from windlass.jobs.job import Job
from windlass.library.facts import Model
from windlass.library.removal import Removal
from windlass.library.replaced import Replaced
from windlass.library.shelf import Shelf
from windlass.lookout import Lookout
from windlass.manifest import Manifest
from windlass.update import Update, sharers


class Updating:
    """What brings one shelf up to date.

    Args:
        shelf: the models.
        lookout: asks hub and catalog.
        admission: knows the jobs; asked for only where there may be some.
        has_jobs: whether anybody has asked for any yet.
    """

    def __init__(
        self, shelf: Shelf, lookout: Lookout, admission: Callable[[], Admission], has_jobs: Callable[[], bool]
    ) -> None:
        self._shelf = shelf
        self._lookout = lookout
        self._admission = admission
        self._has_jobs = has_jobs
        self._replaced = Replaced(shelf)

    def models(self) -> list[Model]:
        """The models that are whole, and those of which an update has replaced a file that they shared.

        The latter are seen to be so by a file that was verified as another one, with none missing: what a person has
        taken apart is not brought back.
        """
        return [*self._shelf.models(), *filter(self._is_overtaken, self._shelf.broken())]

    def manifests_of(self, model: Model) -> list[Manifest]:
        """The manifests that a model came by, the catalog's first; none where somebody else has put it there."""
        manifests = [receipt.manifest for receipt in self._shelf.receipts_of(model)]
        return sorted(manifests, key=lambda manifest: manifest.catalog is None)

    def known_manifests_of(self, model: Model) -> list[Manifest]:
        """As `manifests_of`. Raises NotRepairable where there are none: nobody knows what such a model would be now."""
        if manifests := self.manifests_of(model):
            return manifests
        raise NotRepairable(
            f"Nobody has written down what {model.key} should be: it came here by another way.",
            hint=f"Ask for it, and what differs is fetched: windlass get {model.found.repo}",
        )

    def glance(self, model: Model) -> Update | None:
        """What is newer about a model, as far as that is known soon; see `Lookout.glance`. Raises nothing."""
        return next(filter(None, map(self._lookout.glance, self.manifests_of(model))), None)

    def look(self, manifest: Manifest) -> Update | None:
        """What is newer about the model that came by a manifest; raises as `hub.again.newest` does."""
        return self._lookout.look(manifest)

    def sharers(self, update: Update) -> list[Manifest]:
        """The manifests of models that must be brought up to date along with this one: they share what it changes.

        Raises:
            ModelInUse: one of them cannot be, so it would not be whole any more; or a job brings one in just now.
            WindlassError: whether it can be is not to be found out now.
        """
        for job in self._active():
            if sharers(update, [job.manifest]):
                label = label_of(update.then)
                raise ModelInUse(f"Job {job.id} is at work on files of {label}.", hint="Pause or cancel it first.")
        found = sharers(update, (receipt.manifest for receipt in self._shelf.receipts.models()))
        for manifest in found:
            if reason := self._why_it_stays(manifest):
                raise ModelInUse(
                    f"{label_of(manifest)} needs files of {label_of(update.then)} as they are: {reason}",
                    hint="Leave both as they are, or remove that one first with `windlass rm`.",
                )
        return found

    def begin(self, update: Update) -> None:
        """Note what is about to be replaced, so that `tidy` knows. Raises StorageFailure."""
        self._replaced.note(update.then, update.now.key)

    def is_done(self, update: Update) -> bool:
        """Whether the model has been replaced here; a server with another models folder brings it in elsewhere."""
        here = {receipt.manifest.key: receipt.manifest for receipt in self._shelf.receipts.models()}
        return update.now.key in here and here[update.now.key] != update.then

    def tidy(self) -> Iterator[Removal]:
        """Remove what updates have left behind, those of the past too; see `Replaced.tidy`. Raises StorageFailure."""
        return self._replaced.tidy({file.shelf_path for job in self._active() for file in job.manifest.files})

    def _active(self) -> list[Job]:
        return self._admission().active() if self._has_jobs() else []

    def _why_it_stays(self, manifest: Manifest) -> str | None:
        """Why a model cannot be brought up to date, None where it can."""
        if is_fixed(manifest):
            return f"it was asked for at a fixed commit ({manifest.subset})."
        try:
            self.look(manifest)
        except (ModelNotFound, QuantizationNotFound) as error:
            return error.message
        return None

    def _is_overtaken(self, model: Model) -> bool:
        """Whether all files of one of the model's manifests stand here as they were verified, be it as another one."""
        return any(
            all(self._is_verified(file.shelf_path) for file in manifest.files) for manifest in self.manifests_of(model)
        )

    def _is_verified(self, shelf_path: str) -> bool:
        receipt = self._shelf.receipts.read(shelf_path)
        try:
            found = (self._shelf.models_dir / shelf_path).stat()
        except OSError:
            return False
        return receipt is not None and receipt.agrees(found.st_size, found.st_mtime_ns)


def label_of(manifest: Manifest) -> str:
    """A manifest as people call it: `owner/name@QUANT`, without the mark where the quantization has no name."""
    return f"{manifest.id}@{manifest.quantization}" if manifest.quantization else manifest.id
