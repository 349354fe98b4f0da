"""The commands' work, done by this process, on the state that a server would use too."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast

from windlass.jobs.states import Status
from windlass.manifest import Format
from windlass.service import Service
from windlass.settings import Settings
from windlass.views import JobView, job_detail, job_row, search_body

if TYPE_CHECKING:
    from windlass.keeping import Checkup

Job = Mapping[str, Any]


class Local:
    """A `Backend` over a service of its own. It runs only the jobs that it was asked for."""

    elsewhere = False
    where = "this process"

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self._mine: set[str] = set()
        threading.Thread(target=_import_the_rest, name="windlass-imports").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.service.close()

    def download(
        self,
        model: str,
        quantization: str | None = None,
        prefer: str | None = None,
        to: str | None = None,
        *,
        anew: bool = False,
    ) -> Job:
        """Start a download; its job with its files."""
        view, already = self.service.download(model, quantization, cast("Format | None", prefer), to, anew=anew)
        if already:
            return {**job_detail(view), "status": "already_downloaded"}
        return self._run(view)

    def repair(self, checkup: "Checkup") -> Job:
        """Have what a check found wrong be fetched again; the job that does it."""
        return self._run(self.service.repair(checkup))

    def _run(self, view: JobView) -> Job:
        runner = self.service.runner
        self._mine.add(view.job.id)
        runner.only = self._mine
        if not runner.alive:
            runner.start()
        runner.poke()
        return self.job(view.job.id)

    def plan(
        self, model: str, quantization: str | None = None, prefer: str | None = None, to: str | None = None
    ) -> dict[str, Any]:
        """What a download would do."""
        from windlass.plan import plan_body

        return plan_body(self.service.plan(model, quantization, cast("Format | None", prefer), to))

    def search(self, text: str, wanted: str | None, limit: int, cursor: str) -> dict[str, Any]:
        """A page of models that can be had."""
        from windlass.hub.offers import Query

        formats = {"formats": (cast("Format", wanted),)} if wanted else {}
        return search_body(self.service.search(Query(text, limit=limit, **formats), cursor))

    def job(self, job_id: str) -> Job:
        """A job with its files."""
        return job_detail(self.service.detail(job_id))

    def take_up(self, job_id: str) -> Job:
        """A job, which this process works on if it is on its way and nobody else does."""
        self.service.runner.reclaim()  # no server does
        view = self.service.job(job_id)
        return self._run(view) if view.job.status == "downloading" else self.job(job_id)

    def jobs(self) -> dict[str, list[Job]]:
        """All jobs by status."""
        lists: dict[Status, list[Job]] = {"downloading": [], "paused": [], "completed": [], "failed": []}
        self.service.runner.reclaim()  # no server does: what a dead process left is not on its way
        for view in self.service.jobs():
            lists[view.job.status].append(job_row(view))
        return cast("dict[str, list[Job]]", lists)

    def act(self, job_id: str, action: str) -> Job:
        """`pause`, `resume` or `cancel` a job."""
        verb = {"pause": self.service.pause, "resume": self.service.resume, "cancel": self.service.cancel}[action]
        return job_detail(verb(job_id))

    def forget(self, job_id: str) -> None:
        """Remove a job that is over."""
        self.service.forget(job_id)

    def rest(self, seconds: float) -> None:
        """Let that time pass, or less where a pull ends."""
        ended = self.service.runner.ended
        if ended.wait(seconds):
            ended.clear()


def _import_the_rest() -> None:
    """What the runner needs takes 0.15 s to import, about as long as a hub takes to answer: so both at once."""
    with suppress(ImportError):  # whoever needs it says so
        for module in ("windlass.runner", "windlass.transfer.wire"):
            import_module(module)
