"""What jobs look like from outside: pure functions to the JSON of docs/rest.md. The faces send that and no other."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass import words
from windlass.errors import Cancelled
from windlass.folder import Condition
from windlass.jobs.job import Job
from windlass.jobs.states import Phase, State
from windlass.manifest import Manifest
from windlass.pull import Progress
from windlass.running import Totals

if TYPE_CHECKING:
    from windlass.hub.offers import Offer, Page


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands at one moment: what the store has, and what a pull that runs here knows better.

    `progress` may be that of a pull that has ended a short while ago; `live` says that it has not. `fits` is where in
    memory the model could run.
    """

    job: Job
    progress: Progress | None = None
    bytes_per_second: float = 0.0
    at: float = 0.0
    path: Path | None = None
    live: bool = False
    source: str = ""
    fits: str = ""
    log: tuple[tuple[float, str], ...] = ()

    @property
    def downloaded(self) -> int:
        """Bytes that are here for good."""
        if self.job.state is State.COMPLETED:
            return self.job.total
        if self.progress is None or not self.live:
            return self.job.downloaded
        # A pull that was told to stop knows more than the store for a moment yet; what is shown must not go back.
        noted = 0 if self.job.state is State.RUNNING else self.job.downloaded
        return max(noted, self.progress.downloaded)

    @property
    def phase(self) -> Phase:
        """What it is busy with."""
        return self.progress.phase if self.progress and self.job.state is State.RUNNING else self.job.phase


@dataclass(frozen=True, slots=True)
class Room:
    """What there is of a models folder: how it is found, bytes free on its disk, bytes that jobs still want there."""

    condition: Condition
    free: int
    promised: int


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers for a monitor. Bytes, and what is counted, since the process began.

    Attributes:
        jobs: how many are in each state.
        totals: what pulls have done here.
        webhooks: messages to webhooks, by what became of a try.
        readers: who follow events, now.
        folders: the models folders by path.
        limit_rate: bytes per second over all jobs, 0 for no limit.
    """

    jobs: Mapping[State, int]
    totals: Totals
    webhooks: Mapping[Any, int]
    readers: int
    folders: Mapping[str, Room]
    limit_rate: int


def job_body(view: JobView, status: str | None = None) -> dict[str, Any]:
    """A job in LM Studio's shape, with the extra fields of Windlass's own; `status` overrides the job's own word."""
    job = view.job
    body: dict[str, Any] = {
        "job_id": job.id,
        "status": status or job.status,
        "total_size_bytes": job.total,
        "downloaded_bytes": view.downloaded,
        "items": items(job.manifest),
        "phase": view.phase,
        # Accepted is started, as clients see it: a queued job is `downloading` too, and the time must not move later.
        "started_at": words.timestamp(job.created_at),
    }
    if job.status == "downloading":
        body |= _speed(view)
    if job.completed_at is not None and job.state is State.COMPLETED:
        body["completed_at"] = words.timestamp(job.completed_at)
    return body | _error(job)


def job_row(view: JobView) -> dict[str, Any]:
    """A job in Windlass's own list: LM Studio's shape, and what people sort and change jobs by."""
    job = view.job
    row = job_body(view) | {"model": job.manifest.id, "priority": job.priority}
    return row | ({"limit_rate": job.limit_rate} if job.limit_rate else {})


def job_detail(view: JobView) -> dict[str, Any]:
    """A job with all that is known of it: its files, their connections and retries, where they come from."""
    job, manifest = view.job, view.job.manifest
    detail = job_row(view) | {
        "why": manifest.why,
        **({"fits_memory": view.fits} if view.fits else {}),
        "source": view.source,
        "log": [{"at": words.timestamp(at), "text": text} for at, text in view.log],
        "files": [_file(view, index) for index in range(len(manifest.files))],
    }
    if view.path and job.state is State.COMPLETED:
        detail["path"] = str(view.path)
    return detail


def items(manifest: Manifest) -> list[dict[str, Any]]:
    """What a job brings in, as LM Studio lists it: the catalog's texts, then the weights."""
    entry = manifest.catalog
    yaml = [{"type": "model_yaml", "id": f"{entry.id}/model.yaml", "size_bytes": entry.size}] if entry else []
    model: dict[str, Any] = {
        "type": "model",
        "publisher": manifest.publisher,
        "id": manifest.id,
        "display_name": manifest.display_name,
        "url": manifest.url,
        "size_bytes": manifest.weights_size,
        "format": manifest.format,
    }
    if manifest.quantization:
        model["quantization"] = {"name": manifest.quantization.upper()}  # 4BIT here, where the lists have 4bit
    return [*yaml, model]


def search_body(page: "Page") -> dict[str, Any]:
    """What a search found (docs/rest.md)."""
    body: dict[str, Any] = {"models": [_offer(offer) for offer in page.offers], "warnings": list(page.warnings)}
    return body | ({"next_cursor": page.cursor} if page.cursor else {})


def _offer(offer: "Offer") -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": offer.id,
        "source": offer.source,
        "publisher": offer.id.partition("/")[0],
        "display_name": offer.display_name,
        "description": offer.description,
        "formats": list(offer.formats),
        "params_string": offer.params_string,
        "downloads": offer.downloads,
        "likes": offer.likes,
        "updated_at": offer.updated_at,
        "gated": offer.gated,
        "url": offer.url,
    }
    return {name: value for name, value in row.items() if value is not None}


def _speed(view: JobView) -> dict[str, Any]:
    speed = view.bytes_per_second
    if speed <= 0 or view.phase is not Phase.TRANSFERRING:
        return {}
    left = max(0, view.job.total - view.downloaded)
    end = words.timestamp(view.at + min(left / speed, 10 * 365 * 86400))
    # Whole bytes, though LM Studio shows a fraction: clients that read an integer fail on it, others do not mind.
    return {"bytes_per_second": ceil(speed), "estimated_completion": end}


def _error(job: Job) -> dict[str, Any]:
    if job.state is State.CANCELLED:
        return {
            "error_code": Cancelled.code,
            "error_message": "The job was cancelled. Ask for the model again to start anew.",
        }
    if job.error_code is None:
        return {}
    return {"error_code": job.error_code, "error_message": job.error_message or job.error_code}


def _file(view: JobView, index: int) -> dict[str, Any]:
    file = view.job.manifest.files[index]
    body: dict[str, Any] = {"path": file.shelf_path, "size_bytes": file.size, "role": file.role}
    body |= {"digest": f"{file.digest.algorithm}:{file.digest.hex}", "commit": file.commit}
    meter = view.progress.files.get(file.shelf_path) if view.progress else None
    if meter is None:
        return body | ({"downloaded_bytes": file.size} if view.job.state is State.COMPLETED else {})
    body |= {"downloaded_bytes": meter.kept, "verified_bytes": meter.checked, "fetched_bytes": meter.fetched}
    body |= {"connections": meter.connections, "retries": meter.retries}
    body |= {"segments": [segment._asdict() for segment in meter.segments]} if meter.segments else {}
    return body | ({"note": meter.note} if meter.note else {})
