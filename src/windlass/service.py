"""The verbs that every face offers. A face parses, calls a verb, shows what it answers."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from windlass import names
from windlass.admission import move
from windlass.errors import HubFailure, InvalidRequest, ModelNotFound, QuantizationNotFound
from windlass.events import Events
from windlass.fit import place_of
from windlass.folder import Condition
from windlass.jobs.database import has_database
from windlass.jobs.job import Job
from windlass.jobs.states import CANCEL, OPEN, PAUSE, State
from windlass.library.facts import Model
from windlass.library.keys import find, namesakes
from windlass.library.shelf import State as FileState
from windlass.library.shelf import not_whole
from windlass.library.stock import Oddity
from windlass.limits import Limits, read_limits
from windlass.manifest import Format, Manifest, ManifestFile
from windlass.news import News
from windlass.parts import Parts
from windlass.places import Place
from windlass.pull import progress_of
from windlass.running import nothing
from windlass.views import JobView, Measures, Room, job_row

if TYPE_CHECKING:
    from windlass.hub.offers import Page, Query
    from windlass.keeping import Checkup
    from windlass.plan import Plan
    from windlass.running import Running
    from windlass.webhooks import Webhooks

# What a job may be given, as the database holds it.
_RANGES = {"priority": range(-(2**31), 2**31), "limit_rate": range(1, 2**63)}


class Changes(TypedDict, total=False):
    """What may be changed of a job at any time: the urgent first; bytes per second, None for no limit of its own."""

    priority: int
    limit_rate: int | None


class Service(Parts):
    """Windlass as a whole. Its verbs are safe to call from several threads; what it is made of is said in `parts`."""

    # The parts that show jobs

    @cached_property
    def events(self) -> Events:
        """What happens to jobs, for those who follow it."""
        return self._opened.enter_context(closing(Events(self._news)))

    @cached_property
    def webhooks(self) -> "Webhooks":
        """Those who are told when a job completes or fails, once they are started.

        Raises:
            InvalidRequest: the secret is none.
            StateFailure: there is none and none can be kept, or where they have been told up to cannot be read.
        """
        from windlass.webhooks import Webhooks, key_at

        settings = self.settings
        key = key_at(settings.home, settings.webhook_secret) if settings.webhooks else b""
        webhooks = Webhooks(settings.webhooks, key, self._news, settings.home / "webhooks")
        return self._opened.enter_context(closing(webhooks))

    @cached_property
    def _news(self) -> News:
        return News(self.store, lambda job_id: job_row(self.job(job_id)))

    # Models

    def download(
        self,
        model: str,
        quantization: str | None = None,
        prefer: Format | None = None,
        to: str | None = None,
        *,
        anew: bool = False,
    ) -> tuple[JobView, bool]:
        """Bring a model in: the job that does it, or did, and whether the model was here already.

        Args:
            model: what a person calls it.
            quantization: if not the one that is taken otherwise.
            prefer: the only format that will do.
            to: the models folder that it is to stand in, by its path; None for one with room.
            anew: whether nothing counts that hub and catalog have told before, be it a moment ago.

        Raises:
            WindlassError: the request cannot be met; nothing was written.
        """
        ref = self._ref(model, quantization)
        if anew:
            self.sources.resolver.forget()
        try:
            manifest = self.sources.resolver.resolve(ref, prefer)
        except HubFailure:
            found = None if anew else self._here_all_the_same(ref, prefer, to)
            if found is None:
                raise
            return self._view(found), True
        job = self.store.open_job(manifest.key)
        if job and job.state is State.FAILED:  # what was told a moment ago may be why
            self.sources.resolver.forget()
            manifest = self.sources.resolver.resolve(ref, prefer)
        if found := self.admission.found(manifest, job, to):
            return self._view(found), True
        job = self.admission.admit(manifest, to)
        self.runner.poke()
        return self._view(job), False

    def plan(
        self, model: str, quantization: str | None = None, prefer: Format | None = None, to: str | None = None
    ) -> "Plan":
        """What `download` would do, and what else there is to choose from. Writes nothing.

        Raises:
            WindlassError: as `download`; but a model whose access is not granted can be planned all the same.
        """
        from windlass.plan import Plan

        ref = self._ref(model, quantization)
        resolver = self.sources.resolver
        resolution = resolver.explain(ref, prefer, every_base=True)
        default = resolver.explain(replace(ref, quantization=None), prefer) if ref.quantization else resolution
        manifest = resolution.manifest
        place = self._place_for(manifest, to)
        kept = progress_of(manifest, place.shelf).kept
        states = {file: place.shelf.state_of(file) for file in manifest.files}
        away = (file for file, state in states.items() if state is not FileState.UNVERIFIED)
        return Plan(
            resolution,
            default=None if ref.path_kind == "file" else default.manifest.quantization,
            states=states,
            kept=kept,
            elsewhere=self._elsewhere(file for file in away if kept[file.shelf_path] < file.size),
            models_dir=place.folder.path,
            free=self._usable(place, manifest.key),
            memory=self.sources.memory,
        )

    def search(self, query: "Query", cursor: str | None = None) -> "Page":
        """One page of what there is to download; `cursor` is that of the page before.

        Raises:
            InvalidRequest: the cursor is none.
            HubFailure: the hub did not answer as it should, and the catalog has nothing either.
        """
        from windlass.hub.search import search

        return search(self.sources.hub, self.sources.catalog, query, cursor)

    def models(self) -> list[Model]:
        """The models on the shelf that are whole."""
        return self.places.models()

    def oddities(self) -> list[Oddity]:
        """What stands among the models and is none, with the reason."""
        return self.places.oddities()

    def find(self, name: str, quantization: str | None = None) -> Model:
        """The model on the shelf that a name means: a key, `owner/repo`, or what `download` takes too.

        Raises:
            ModelNotFound: none, or one of which only a part is left: then it is said what is missing.
            QuantizationNotFound, InvalidModel: it is here otherwise, or more than one is meant.
        """
        name, quantization = self._called(name, quantization)
        try:
            return find(self.models(), name, quantization)
        except (ModelNotFound, QuantizationNotFound) as error:
            part = self._part(name, quantization)
            if part is None:
                raise
            raise not_whole(part) from error

    def find_usual(self, name: str, quantization: str | None = None) -> Model:
        """As `find`, but of several quantizations of one model the one that `download` takes when none is named."""
        from windlass.hub.select_gguf import default_rank

        called, wanted = self._called(name, quantization)
        alike = namesakes(self.models(), called) if wanted is None else []
        if len({model.id for model in alike}) == 1:
            return min(alike, key=lambda model: default_rank(model.quantization or ""))
        return self.find(name, quantization)

    def _called(self, name: str, quantization: str | None) -> tuple[str, str | None]:
        if "://" in name or name.startswith(("hf.co/", "huggingface.co/", "lmstudio.ai/")):
            ref = self._ref(name, quantization)
            return ref.repo, ref.quantization
        return name, quantization

    def _part(self, name: str, quantization: str | None) -> Model | None:
        with suppress(ModelNotFound, QuantizationNotFound):
            return find(self.places.broken(), name, quantization)
        return None

    def find_part(self, name: str, quantization: str | None = None) -> Model:
        """As `find`, but also one of which only a part is left, to be mended or removed.

        Raises:
            ModelNotFound, QuantizationNotFound, InvalidModel: as `find` does.
        """
        name, quantization = self._called(name, quantization)
        try:
            return find(self.models(), name, quantization)
        except (ModelNotFound, QuantizationNotFound):
            part = self._part(name, quantization)
            if part is None:
                raise
            return part

    def repair(self, checkup: "Checkup") -> JobView:
        """Have a job fetch again what a check of a model found wrong. Raises as `Keeping.repair` does."""
        job = self.keeping.repair(checkup)
        self.runner.poke()
        return self._view(job)

    # Jobs

    def job(self, job_id: str) -> JobView:
        """One job as it stands. Raises JobNotFound."""
        return self._view(self.store.get(job_id))

    def glance(self, job_id: str) -> JobView | None:
        """A job that runs here, without a look at the database: for those who ask often, and must not wait.

        None for any other. What another process does to it is seen within a second.
        """
        running = self.runner.running(job_id)
        return self._seen(running.job, running) if running and running.goes_on else None

    def detail(self, job_id: str) -> JobView:
        """One job with what there is to tell of it. Raises JobNotFound."""
        view, running = self.job(job_id), self.runner.running(job_id)
        moves = [(at, f"{edge}: {note}" if note else edge) for at, edge, note in self.store.history(job_id)]
        file = view.job.manifest.files[0]
        source = f"{self.settings.hf_endpoint}/{file.repo}/tree/{file.commit}"
        fits = place_of(view.job.manifest.weights_size, self.sources.memory)
        return replace(view, source=source, fits=fits, log=tuple(sorted([*moves, *(running.log if running else ())])))

    def jobs(
        self, states: Collection[State] = tuple(State), limit: int | None = None, before: int | None = None
    ) -> list[JobView]:
        """Jobs as they stand, newest first; `before` is the number of one, to go on from there."""
        return [self._view(job) for job in self.store.jobs(states, limit=limit, before=before)]

    def unfinished(self) -> list[Job]:
        """The jobs that are not over, newest first, for who only looks: no database is made, mended or moved on by it.

        `[]` where it is not there yet, or of an older program. Raises StateFailure where it cannot be read.
        """
        from windlass.jobs.glance import is_current

        url = self.settings.database_url
        if not (has_database(url) and is_current(url)):
            return []
        return self._store_as_it_is().jobs(OPEN)

    def pause(self, job_id: str) -> JobView:
        """Stop a job where it is. Raises JobNotFound, IllegalMove."""
        move(self.store, job_id, PAUSE, {State.PAUSED})
        self.runner.interrupt(job_id)
        return self.detail(job_id)

    def resume(self, job_id: str) -> JobView:
        """Let a paused or failed job go on. Raises JobNotFound, IllegalMove, InsufficientStorage."""
        self.admission.resume(job_id)
        self.runner.poke()
        return self.detail(job_id)

    def cancel(self, job_id: str, *, keep_partial: bool = False) -> JobView:
        """End a job for good, and remove what it had brought so far. Raises JobNotFound, IllegalMove."""
        job = move(self.store, job_id, CANCEL, {State.CANCELLED})
        self.runner.interrupt(job_id, nothing if keep_partial else partial(self.admission.discard, job))
        return self.detail(job_id)

    def forget(self, job_id: str) -> None:
        """Remove a job that is over, and what is left of a failed one. Raises JobNotFound, IllegalMove."""
        job = self.store.get(job_id)
        self.store.forget(job_id)
        self.admission.discard(job)

    def change(self, job_id: str, **changes: Unpack[Changes]) -> JobView:
        """Change a job; what runs feels it at once. Raises JobNotFound, InvalidRequest."""
        for name, value in changes.items():
            if not _may_be(name, value):
                between = f"from {_RANGES[name][0]:,} to {_RANGES[name][-1]:,}"
                raise InvalidRequest(f"{name} is {value!r}: a whole number {between} is wanted.", param=name)
        if changes:
            self.store.change(job_id, **changes)
            self.events.touch(job_id)
            self.runner.poke()
        return self.detail(job_id)

    @property
    def limits(self) -> Limits:
        """How much may run at once, and how fast."""
        return self.runner.limits

    def set_limits(self, changes: Mapping[str, Any]) -> None:
        """Have these limits hold from now on, for what runs too, and at the next start; others stay as they are.

        Raises:
            InvalidRequest: one of them is none, or does not fit.
            StateFailure, StorageFailure: they cannot be kept.
        """
        limits = read_limits(changes, self.limits)
        self.rules.keep(limits, changes.keys())
        self.runner.set_limits(limits)

    def health(self) -> Mapping[str, Any]:
        """One line of engine state."""
        counts = self.store.counts()
        engine = "running" if self.runner.alive else "stopped"
        return {"engine": engine, "jobs_running": counts[State.RUNNING], "jobs_queued": counts[State.QUEUED]}

    def measures(self) -> Measures:
        """What a monitor wants to know."""
        return Measures(
            jobs=self.store.counts(),
            totals=self.runner.totals(),
            webhooks=self.webhooks.counts,
            readers=self.events.readers,
            folders={str(place.folder.path): self._room(place) for place in self.places},
            limit_rate=self.limits.rate_at(self.runner.wall()) or 0,
        )

    # What the verbs share

    def _here_all_the_same(self, ref: names.ModelRef, prefer: Format | None, to: str | None) -> Job | None:
        """The job of what was asked for, where it is here whole: what a hub that says nothing would say is known."""
        from windlass.hub.again import answers
        from windlass.hub.select_gguf import default_rank

        receipts = (receipt for place in self.places for receipt in place.shelf.receipts.models())
        manifests = [receipt.manifest for receipt in receipts if answers(receipt.manifest, ref, prefer)]
        for manifest in sorted(manifests, key=lambda manifest: default_rank(manifest.quantization or "")):
            if found := self.admission.found(manifest, self.store.open_job(manifest.key), to):
                return found
        return None

    def _elsewhere(self, files: Iterable[ManifestFile]) -> dict[ManifestFile, Path]:
        elsewhere = self.elsewhere
        return {file: path for file in files if (path := next(elsewhere.find(file), None))}

    def _ref(self, model: str, quantization: str | None) -> names.ModelRef:
        endpoint, catalog = self.settings.hf_endpoint, self.settings.catalog_url
        return names.parse(model, quantization, hub_endpoint=endpoint, catalog_url=catalog)

    def _place_for(self, manifest: Manifest, to: str | None) -> Place:
        """Where a model would go; where it fits nowhere, what has most room."""
        if to:
            return self.places.asked_for(to)
        job = self.store.open_job(manifest.key) if has_database(self.settings.database_url) else None
        return self.places.of(job) if job else self.places.likeliest(manifest, self._usable_for(manifest.key))

    def _usable_for(self, key: str) -> Callable[[Place], int]:
        return lambda place: self._usable(place, key)

    def _usable(self, place: Place, key: str) -> int:
        return place.folder.usable(self._promised(key, place))

    def _promised(self, key: str, place: Place) -> int:
        """Bytes that all other jobs still want. Where nobody has asked for any yet, no database is made to look."""
        return self.admission.promised(key, place) if has_database(self.settings.database_url) else 0

    def _room(self, place: Place) -> Room:
        condition = place.folder.condition()
        offline = condition is Condition.OFFLINE
        return Room(condition, 0 if offline else place.folder.free(), self._promised("", place))

    def _view(self, job: Job) -> JobView:
        return self._seen(job, self.runner.running(job.id))

    def _seen(self, job: Job, running: "Running | None") -> JobView:
        view = JobView(job, at=self._clock(), path=self.places.path_for(job))
        if running is None:
            return view
        speed = running.speed.per_second()
        return replace(view, progress=running.progress, bytes_per_second=speed, live=not running.ended)


def _may_be(name: str, value: object) -> bool:
    if value is None:
        return name == "limit_rate"
    return isinstance(value, int) and not isinstance(value, bool) and value in _RANGES[name]
