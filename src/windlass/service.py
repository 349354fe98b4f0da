"""The composition root, and the verbs that every face offers. A face parses, calls a verb, shows what it answers."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from platform import machine
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from windlass import names
from windlass.errors import IllegalMove, InsufficientStorage, InvalidRequest, StorageUnavailable
from windlass.jobs.database import has_database
from windlass.jobs.job import Job
from windlass.jobs.states import CANCEL, FOUND, OPEN, PAUSE, RESUME, RETRY, Edge, State
from windlass.library.disk import storage_errors
from windlass.library.facts import Model
from windlass.library.shelf import Shelf
from windlass.library.shelf import State as FileState
from windlass.manifest import Format, Manifest
from windlass.presence import Presence
from windlass.pull import Means, discard_partials, hand_over, partial_names, progress_of, publish_model
from windlass.settings import Settings
from windlass.views import JobView

if TYPE_CHECKING:
    from windlass.hub.resolve import Resolver
    from windlass.jobs.store import Store
    from windlass.plan import Plan
    from windlass.runner import Limits, Runner
    from windlass.transfer.target import Tools

HASH_AT_ONCE = 2_000_000_000  # bytes of unverified files that a request waits for; more is hashed by a job
_ACTIVE = (State.QUEUED, State.RUNNING)
_PAUSED = (State.PAUSED, State.WAITING)
# What a job may be given, as the database holds it.
_RANGES = {"priority": range(-(2**31), 2**31), "limit_rate": range(1, 2**63)}


class Changes(TypedDict, total=False):
    """What may be changed of a job at any time: the urgent first; bytes per second, None for no limit of its own."""

    priority: int
    limit_rate: int | None


class Service:
    """Windlass as a whole. Its verbs are safe to call from several threads.

    Args:
        settings: what Windlass was told.
        clock: Unix time.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.shelf = Shelf(settings.models_dir, settings.lmstudio_home)
        self._clock = clock
        self._opened = ExitStack()
        self._admission = threading.Lock()  # between the look at the disk and the job that it was for

    def close(self) -> None:
        """Checkpoint what runs, and let go of everything."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The parts: made when first asked for, so that a verb that needs no jobs does not wait for a database

    @cached_property
    def presence(self) -> Presence:
        """This process's sign of life."""
        return self._opened.enter_context(Presence(self.settings.home))

    @cached_property
    def store(self) -> "Store":
        """The jobs on disk."""
        from windlass.jobs.store import Store

        return self._opened.enter_context(Store(self.settings.database_url, self._clock))

    @cached_property
    def runner(self) -> "Runner":
        """What runs them."""
        from windlass.runner import Limits, Runner, Workshop
        from windlass.space import Reserve, Space, Waiting

        limits = Limits(self.settings.max_jobs, self.settings.connections, self.settings.limit_rate)
        workshop = Workshop(self.shelf, self._open_network, self._means)
        space = Space(self.settings.models_dir, self.settings.min_free)
        reserve = Reserve(self.settings.home / "reserve")
        waiting = Waiting(self.store, self.shelf, space, reserve, self._clock)
        runner = Runner(self.store, self.presence, workshop, waiting, limits)
        return self._opened.enter_context(closing(runner))

    # Models

    def download(
        self, model: str, quantization: str | None = None, prefer: Format | None = None
    ) -> tuple[JobView, bool]:
        """Bring a model in: the job that does it, or did, and whether the model was here already.

        Raises:
            WindlassError: the request cannot be met; nothing was written.
        """
        ref = self._ref(model, quantization)
        manifest = self._resolver.resolve(ref, prefer)
        job = self.store.open_job(manifest.key)
        if job and job.state is State.FAILED:  # what was told a moment ago may be why
            self._resolver.forget()
            manifest = self._resolver.resolve(ref, prefer)
        if (job is None or job.state not in _ACTIVE) and self._is_here(manifest):
            return self._view(self._record_found(manifest, job)), True
        with self._admission:
            job = self._go_on(self.store.open_job(manifest.key), manifest)
        self.runner.poke()
        return self._view(job), False

    def plan(self, model: str, quantization: str | None = None, prefer: Format | None = None) -> "Plan":
        """What `download` would do, and what else there is to choose from. Writes nothing.

        Raises:
            WindlassError: as `download`; but a model whose access is not granted can be planned all the same.
        """
        from windlass.fit import memory_here
        from windlass.plan import Plan

        ref = self._ref(model, quantization)
        resolution = self._resolver.explain(ref, prefer, every_base=True)
        default = self._resolver.explain(replace(ref, quantization=None), prefer) if ref.quantization else resolution
        manifest = resolution.manifest
        return Plan(
            resolution,
            default=default.manifest.quantization,
            states={file: self.shelf.state_of(file) for file in manifest.files},
            kept=progress_of(manifest, self.shelf).kept,
            free=self._usable(self._promised(manifest.key)),
            memory=memory_here((sys.platform, machine())),
        )

    def models(self) -> list[Model]:
        """The models on the shelf that are whole."""
        return self.shelf.models()

    def find(self, name: str, quantization: str | None = None) -> Model:
        """The model on the shelf that a name means: a key, `owner/repo`, or what `download` takes too.

        Raises:
            ModelNotFound: none, or more than one.
        """
        if "://" in name or name.startswith(("hf.co/", "huggingface.co/", "lmstudio.ai/")):
            ref = self._ref(name, quantization)
            name, quantization = ref.repo, ref.quantization
        return self.shelf.find(name, quantization)

    # Jobs

    def job(self, job_id: str) -> JobView:
        """One job as it stands. Raises JobNotFound."""
        return self._view(self.store.get(job_id))

    def detail(self, job_id: str) -> JobView:
        """One job with what there is to tell of it. Raises JobNotFound."""
        view, running = self.job(job_id), self.runner.running(job_id)
        moves = [(at, f"{edge}: {note}" if note else edge) for at, edge, note in self.store.history(job_id)]
        file = view.job.manifest.files[0]
        source = f"{self.settings.hf_endpoint}/{file.repo}/tree/{file.commit}"
        return replace(view, source=source, log=tuple(sorted([*moves, *(running.log if running else ())])))

    def jobs(self, states: tuple[State, ...] = tuple(State), limit: int | None = None) -> list[JobView]:
        """Jobs as they stand, newest first."""
        return [self._view(job) for job in self.store.jobs(states, limit=limit)]

    def pause(self, job_id: str) -> JobView:
        """Stop a job where it is. Raises JobNotFound, IllegalMove."""
        self._move(job_id, PAUSE, {State.PAUSED})
        self.runner.interrupt(job_id)
        return self.job(job_id)

    def resume(self, job_id: str) -> JobView:
        """Let a paused or failed job go on. Raises JobNotFound, IllegalMove, InsufficientStorage."""
        with self._admission:
            job = self.store.get(job_id)
            if job.state in (*_PAUSED, State.FAILED):
                self._make_room(job.manifest)
            self._move(job_id, RETRY if job.state is State.FAILED else RESUME, _ACTIVE)
        self.runner.poke()
        return self.job(job_id)

    def cancel(self, job_id: str, *, keep_partial: bool = False) -> JobView:
        """End a job for good, and remove what it had brought so far. Raises JobNotFound, IllegalMove."""
        job = self._move(job_id, CANCEL, {State.CANCELLED})
        kept = partial_names(job.manifest) if keep_partial else self._wanted_by_others(job)
        discard = partial(discard_partials, partial_names(job.manifest) - kept, self.shelf)
        self.runner.interrupt(job_id, discard)
        return self.job(job_id)

    def change(self, job_id: str, **changes: Unpack[Changes]) -> JobView:
        """Change a job; what runs feels it at once. Raises JobNotFound, InvalidRequest."""
        for name, value in changes.items():
            if not _may_be(name, value):
                between = f"from {_RANGES[name][0]:,} to {_RANGES[name][-1]:,}"
                raise InvalidRequest(f"{name} is {value!r}: a whole number {between} is wanted.", param=name)
        if changes:
            self.store.change(job_id, **changes)
            self.runner.poke()
        return self.job(job_id)

    @property
    def limits(self) -> "Limits":
        """How much may run at once, and how fast."""
        return self.runner.limits

    def set_limits(self, limits: "Limits") -> None:
        """Have these limits hold from now on, for what runs already too; the settings' hold again at the next start."""
        self.runner.set_limits(limits)

    def health(self) -> Mapping[str, Any]:
        """One line of engine state."""
        running, queued = self.store.jobs({State.RUNNING}), self.store.jobs({State.QUEUED})
        engine = "running" if self.runner.alive else "stopped"
        return {"engine": engine, "jobs_running": len(running), "jobs_queued": len(queued)}

    # What the verbs share

    def _ref(self, model: str, quantization: str | None) -> names.ModelRef:
        endpoint, catalog = self.settings.hf_endpoint, self.settings.catalog_url
        return names.parse(model, quantization, hub_endpoint=endpoint, catalog_url=catalog)

    def _move(self, job_id: str, edge: Edge, there: Collection[State]) -> Job:
        """Move a job; one that is `there` already, by somebody else's hand too, is where it should be."""
        job = self.store.get(job_id)
        if job.state in there:
            return job
        try:
            return self.store.move(job_id, edge)
        except IllegalMove:
            job = self.store.get(job_id)
            if job.state in there:
                return job
            raise

    def _go_on(self, job: Job | None, manifest: Manifest) -> Job:
        """The job that brings a manifest in: a new one, or the open one, which goes on if it had stopped."""
        if job and job.state in _ACTIVE:
            return job
        self._look_for_folder()
        self._make_room(manifest)
        if job is None:
            job = self.store.add(manifest)
            self.store.progress(job.id, progress_of(manifest, self.shelf).downloaded)
            return self.store.get(job.id)
        if job.state in _PAUSED:
            return self._move(job.id, RESUME, _ACTIVE)
        with suppress(IllegalMove):  # another process was faster: it goes on already
            self.store.retry(job.id, manifest)
            # The repository may have moved on since: what of the old files is not among the new ones serves nobody.
            old = partial_names(job.manifest) - partial_names(manifest) - self._wanted_by_others(job)
            discard_partials(old, self.shelf)
        return self.store.get(job.id)

    def _record_found(self, manifest: Manifest, job: Job | None) -> Job:
        publish_model(manifest, self.shelf)
        if job is None:
            return self.store.add_completed(manifest)
        return self._move(job.id, FOUND, {State.COMPLETED, *_ACTIVE})

    def _is_here(self, manifest: Manifest) -> bool:
        """Whether every file is here and whole. Files of the right size are hashed, if that is done soon enough."""
        states = {file: self.shelf.state_of(file) for file in manifest.files}
        if not set(states.values()) <= {FileState.PRESENT, FileState.UNVERIFIED}:
            return False
        unverified = [file for file, state in states.items() if state is FileState.UNVERIFIED]
        if sum(file.size for file in unverified) > HASH_AT_ONCE:
            return False
        return all(self.shelf.adopt(file) for file in unverified)

    def _make_room(self, manifest: Manifest) -> None:
        """Refuse what does not fit beside what is promised to other jobs (contract: 507, before a byte is written)."""
        progress = progress_of(manifest, self.shelf)
        needed = manifest.total_size - progress.downloaded
        promised = self._promised(manifest.key)
        free = self._usable(promised)
        if needed > free:
            raise InsufficientStorage(
                f"{manifest.id} needs {needed:,} more bytes, and {free:,} may be used on "
                f"{self.shelf.models_dir} ({self.settings.min_free:,} stay free, {promised:,} are promised to others).",
                needed=needed,
                free=free,
                hint="Free some space, ask for a smaller quantization, or set WINDLASS_MODELS_DIR to a larger disk.",
            )

    def _usable(self, promised: int) -> int:
        """Bytes on the disk that one more job may use."""
        return max(0, self._free_space() - self.settings.min_free - promised)

    def _promised(self, key: str) -> int:
        """Bytes that all other jobs still want. Where nobody has asked for any yet, no database is made to look."""
        if not has_database(self.settings.database_url):
            return 0
        return sum(job.left for job in self.store.jobs(_ACTIVE) if job.manifest.key != key)

    def _free_space(self) -> int:
        folder = self.shelf.models_dir
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def _wanted_by_others(self, job: Job) -> frozenset[str]:
        others = (other for other in self.store.jobs(OPEN) if other.id != job.id)
        return frozenset(name for other in others for name in partial_names(other.manifest))

    def _view(self, job: Job) -> JobView:
        running = self.runner.running(job.id)
        view = JobView(job, at=self._clock(), path=hand_over(job.manifest, self.shelf))
        if running is None:
            return view
        speed = running.speed.per_second()
        return replace(view, progress=running.progress, bytes_per_second=speed, live=not running.ended)

    @cached_property
    def _resolver(self) -> "Resolver":
        from windlass.hub.catalog import Catalog
        from windlass.hub.huggingface import HuggingFace
        from windlass.hub.resolve import Resolver
        from windlass.hub.web import Web

        web = self._opened.enter_context(closing(Web()))
        hub = HuggingFace(web, self.settings.hf_endpoint, self._hub_token)
        catalog = Catalog(web, self.settings.catalog_url)
        return Resolver(hub, catalog, (sys.platform, machine()))

    def _hub_token(self) -> str | None:
        from windlass.hub.huggingface import saved_token

        return saved_token(self.settings.hf_token)

    def _look_for_folder(self) -> None:
        """Refuse to make a models folder anew that was there once: most often its disk is not mounted.

        Raises:
            StorageUnavailable: it is gone.
        """
        folder = self.settings.models_dir
        if not folder.exists() and str(folder) in _lines(self._known_folders):
            raise StorageUnavailable(
                f"The models folder {folder} is gone.",
                hint="Is its disk plugged in and mounted? If you removed the folder yourself, make it again.",
            )

    @property
    def _known_folders(self) -> Path:
        return self.settings.home / "models-folders"

    def _make_folder(self) -> None:
        folder = self.settings.models_dir
        self._look_for_folder()
        with storage_errors("making the models folder", folder):
            folder.mkdir(parents=True, exist_ok=True)
            if str(folder) not in _lines(self._known_folders):
                with self._known_folders.open("a", encoding="utf-8") as file:
                    file.write(f"{folder}\n")

    def _means(self, tools: "Tools") -> Means:
        self._make_folder()
        token = self._hub_token()
        headers = {"User-Agent": "windlass", **({"Authorization": f"Bearer {token}"} if token else {})}
        return Means(self.shelf, tools, self.settings.hf_endpoint, self._clock, lambda: headers)

    def _open_network(self) -> Any:
        from windlass.transfer.environment import authorities, proxy_for
        from windlass.transfer.network import Patience
        from windlass.transfer.wire import Wire

        return Wire(authorities(self.settings.ca_file), proxy_for, Patience())


def _may_be(name: str, value: object) -> bool:
    if value is None:
        return name == "limit_rate"
    return isinstance(value, int) and not isinstance(value, bool) and value in _RANGES[name]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
