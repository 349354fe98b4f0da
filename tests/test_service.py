"""The verbs: what the same request twice means, what is refused, and that a refusal leaves no trace."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

from a_store import News, Noted
from sample import MODEL_YAML
from standin import ALWAYS, Hub, faults
from windlass.errors import (
    HubError,
    HubUnreachable,
    IllegalMove,
    InsufficientStorage,
    InvalidModel,
    InvalidRequest,
    JobNotFound,
    ModelGated,
    ModelNotFound,
    NoModelFiles,
    QuantizationNotFound,
    StateFailure,
    StorageUnavailable,
    WindlassError,
)
from windlass.folder import ModelsFolder
from windlass.jobs.job import Job
from windlass.jobs.states import CANCEL, FAIL, FOUND, PAUSE, RESUME, RETRY, START, WAIT, YIELD, Edge, State
from windlass.pull import partial_names
from windlass.running import Work
from windlass.service import Service
from windlass.settings import Settings, load
from windlass.views import JobView, job_body

REPO = "unsloth/Qwen3-8B-GGUF"
Q4, Q8 = b"GGUF" + b"4" * 800_000, b"GGUF" + b"8" * 900_000  # large enough to come in parts
PROJECTOR = b"GGUF" + b"p" * 3000
FILES = {
    "Qwen3-8B-Q4_K_M.gguf": Q4,
    "Qwen3-8B-Q8_0.gguf": Q8,
    "mmproj-F16.gguf": PROJECTOR,
    "README.md": b"# Qwen3\n",
}

ACTIVE = {State.QUEUED, State.RUNNING}  # which of the two is a matter of moments


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the tokens or proxies of the machine that the tests run on; and with a quicker pulse than in life."""
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("windlass.runner.BEAT", 0.02)
    monkeypatch.setattr("windlass.runner._IDLE", 0.02)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def settings(tmp_path: Path, hub: Hub) -> Settings:
    hub.add(REPO, FILES)
    return load(
        environ={
            "WINDLASS_HOME": str(tmp_path / "home"),
            "WINDLASS_LMSTUDIO_HOME": str(tmp_path / "lmstudio"),
            "WINDLASS_HF_ENDPOINT": hub.url,
            "WINDLASS_CATALOG_URL": hub.url,
            "WINDLASS_MIN_FREE": "0",
        },
        user_home=tmp_path,
    )


class Told(Service):
    """A service whose store tells of its changes."""

    @cached_property
    def store(self) -> Noted:
        return self._opened.enter_context(Noted(self.settings.database_url, News()))


Make = Callable[..., Service]


@pytest.fixture
def make(settings: Settings) -> Iterator[Make]:
    """Services on one state; one made later finds what one before has left."""
    made: list[Service] = []
    clock = itertools.count(1_760_000_000)

    def service(**changes: object) -> Service:
        service = Told(replace(settings, **changes), lambda: float(next(clock)))  # type: ignore[arg-type]
        made.append(service)
        return service

    yield service
    for each in made:
        each.close()


@pytest.fixture
def service(make: Make) -> Service:
    """One whose runner does not run yet: requests stay as they were left."""
    return make()


def finish(service: Service, *ids: str, state: State = State.COMPLETED) -> None:
    """Run the runner until these jobs are there."""
    assert isinstance(service.store, Noted)
    if not service.runner._thread.is_alive():
        service.runner.start()
    store = service.store
    store.news.until(lambda: {store.get(job_id).state for job_id in ids} == {state})


def bring(service: Service, model: str = REPO, quantization: str | None = None) -> JobView:
    """Ask, and have it done."""
    view, already = service.download(model, quantization)
    assert not already
    finish(service, view.job.id)
    return service.job(view.job.id)


def bring_by_hand(service: Service) -> None:
    """Somebody copies the model there."""
    folder = service.settings.models_dir / REPO
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Qwen3-8B-Q4_K_M.gguf").write_bytes(Q4)
    (folder / "mmproj-F16.gguf").write_bytes(PROJECTOR)


def tree(*roots: Path) -> dict[str, bytes]:
    """Everything below, with contents; the database by its folder only."""
    found = [path for root in roots for path in sorted(root.rglob("*")) if "windlass.db" not in path.name]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


# The same request again


def test_while_a_job_is_open_the_same_request_is_that_job(service: Service) -> None:
    """Whatever the case of the quantization, by name or by address; another quantization is another job."""
    first, already = service.download(REPO)
    assert not already
    assert first.job.state in ACTIVE
    for model, quantization in (
        (REPO, "q4_k_m"),
        (f"{REPO}@Q4_K_M", None),
        (REPO.lower(), None),
        (f"{service.settings.hf_endpoint}/{REPO}", None),
    ):
        again, already = service.download(model, quantization)
        assert (again.job.id, already) == (first.job.id, False)
    assert service.download(REPO, "Q8_0")[0].job.id != first.job.id
    service.store.move(first.job.id, START)
    assert service.download(REPO)[0].job.state is State.RUNNING


def test_a_failed_job_goes_on_with_the_same_id(service: Service, hub: Hub) -> None:
    """Its error is gone, it waits in the queue again, and it comes to its end."""
    hub.misbehave("cdn", faults.corrupt(100), path="Qwen3-8B-Q4_K_M.gguf", times=ALWAYS)
    failed = service.download(REPO)[0].job
    finish(service, failed.id, state=State.FAILED)
    assert service.job(failed.id).job.error_code == "checksum_mismatch"
    hub.behave()
    view = bring(service)
    assert (view.job.id, view.job.error_code, view.job.state) == (failed.id, None, State.COMPLETED)


def test_a_failed_job_takes_the_files_as_they_are_now(service: Service, hub: Hub) -> None:
    """What was pushed meanwhile may be the very thing that mends it."""
    job = service.download(REPO)[0].job
    service.store.move(job.id, START)
    hub.misbehave("cdn", faults.corrupt(100), path="Qwen3-8B-Q4_K_M.gguf", times=ALWAYS)
    service.store.move(job.id, YIELD)
    finish(service, job.id, state=State.FAILED)
    hub.behave()
    commit = hub.repositories[REPO.lower()].push({"Qwen3-8B-Q4_K_M.gguf": b"GGUF mended"})
    view = bring(service)
    assert view.job.id == job.id
    assert view.job.manifest.files[0].commit == commit
    assert view.path
    assert view.path.read_bytes() == b"GGUF mended"


def test_a_paused_job_goes_on_with_the_same_id(service: Service) -> None:
    """The request is what resumes it; pausing twice is pausing once."""
    job = service.download(REPO)[0].job
    assert service.pause(job.id).job.state is State.PAUSED
    assert service.pause(job.id).job.state is State.PAUSED
    view, already = service.download(REPO)
    assert (view.job.id, already) == (job.id, False)
    assert view.job.state in ACTIVE


def test_a_cancelled_job_is_over(service: Service) -> None:
    """The next request is a new job; cancelling twice is cancelling once."""
    job = service.download(REPO)[0].job
    assert service.cancel(job.id).job.state is State.CANCELLED
    assert service.cancel(job.id).job.state is State.CANCELLED
    assert service.download(REPO)[0].job.id != job.id


def test_what_was_brought_in_is_already_downloaded(service: Service) -> None:
    """By the same job, with all its bytes; the hub is asked for no file again."""
    done = bring(service)
    view, already = service.download(REPO)
    assert already
    assert view.job.id == done.job.id
    body = job_body(view, "already_downloaded")
    assert body["downloaded_bytes"] == body["total_size_bytes"] == len(Q4) + len(PROJECTOR)


def test_files_that_came_by_another_way_are_already_downloaded(service: Service, hub: Hub) -> None:
    """They are hashed, get receipts and a completed job that the status knows; nothing is fetched."""
    folder = service.settings.models_dir / REPO
    folder.mkdir(parents=True)
    (folder / "Qwen3-8B-Q4_K_M.gguf").write_bytes(Q4)
    (folder / "mmproj-F16.gguf").write_bytes(PROJECTOR)
    view, already = service.download(REPO)
    assert already
    assert service.job(view.job.id).job.state is State.COMPLETED
    assert service.job(view.job.id).downloaded == view.job.total
    assert hub.asked("cdn") == []
    again, already = service.download(REPO)
    assert (again.job.id, already) == (view.job.id, True)
    assert [model.path for model in service.models()] == [folder / "Qwen3-8B-Q4_K_M.gguf"]


def test_many_who_ask_for_what_is_here_get_one_job(service: Service) -> None:
    """At the same moment, and for the first time."""
    bring_by_hand(service)
    with ThreadPoolExecutor(16) as pool:
        views = list(pool.map(lambda _: service.download(REPO), range(48)))
    assert {already for _, already in views} == {True}
    assert len({view.job.id for view, _ in views}) == 1


@pytest.mark.parametrize("how", ["failed", "paused", "queued"])
def test_an_open_job_whose_files_came_by_another_way(service: Service, how: str) -> None:
    """A failed or paused one is completed on the spot; one that waits to run finds out by itself."""
    job = service.download(REPO)[0].job
    if how == "paused":
        service.pause(job.id)
    if how == "failed":
        service.store.move(job.id, START)
        service.store.move(job.id, FAIL, error_code="hub_error")
    bring_by_hand(service)
    view, already = service.download(REPO)
    assert view.job.id == job.id
    assert already is (how != "queued")
    assert view.job.state is (State.QUEUED if how == "queued" else State.COMPLETED)
    assert view.job.error_code is None


QuickHand = Callable[..., None]


@pytest.fixture
def quick_hand(service: Service, monkeypatch: pytest.MonkeyPatch) -> QuickHand:
    """Have somebody be faster: a job that is to be moved along the first edge is moved along the others before."""
    move = service.store.move

    def be_faster(job_id: str, than: Edge, *edges: Edge) -> None:
        def second(moved: str, wanted: Edge, **more: Any) -> Job:
            if (moved, wanted) == (job_id, than) and service.store.get(job_id).state in edges[0].sources:
                for edge in edges:
                    move(job_id, edge)
            return move(moved, wanted, **more)

        monkeypatch.setattr(service.store, "move", second)

    return be_faster


@pytest.mark.parametrize("how", ["failed", "paused"])
def test_a_job_that_is_cancelled_while_it_is_asked_for(service: Service, how: str, quick_hand: QuickHand) -> None:
    """Who asks gets a job all the same, a new one."""
    job = service.download(REPO)[0].job
    service.store.move(job.id, START)
    service.store.move(job.id, PAUSE if how == "paused" else FAIL)
    quick_hand(job.id, RESUME if how == "paused" else RETRY, CANCEL)
    view, already = service.download(REPO)
    assert service.store.get(job.id).state is State.CANCELLED
    assert (view.job.id != job.id, view.job.state, already) == (True, State.QUEUED, False)


@pytest.mark.parametrize(("edges", "goes_on"), [((CANCEL,), False), ((RESUME, START), True)])
def test_a_job_that_is_moved_while_its_files_are_found(
    service: Service, edges: tuple[Edge, ...], goes_on: bool, quick_hand: QuickHand
) -> None:
    """Who asks is not told that it is completed: it goes on and finds out by itself, or another one does."""
    job = service.download(REPO)[0].job
    service.pause(job.id)
    bring_by_hand(service)
    quick_hand(job.id, FOUND, *edges)
    view, already = service.download(REPO)
    assert (view.job.id == job.id, view.job.state in ACTIVE, already) == (goes_on, True, False)
    finish(service, view.job.id)


def test_wrong_files_of_the_right_size_are_not_already_downloaded(service: Service) -> None:
    """They are fetched, and replaced."""
    place = service.settings.models_dir / REPO / "Qwen3-8B-Q4_K_M.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x" * len(Q4))
    bring(service)
    assert place.read_bytes() == Q4


def test_what_is_here_is_here_though_the_hub_says_nothing(service: Service, hub: Hub) -> None:
    """Asked for as before, or by a quantization that is here; what is not here is refused as ever."""
    done = bring(service)
    service.sources.resolver.forget()
    hub.server.refuse()
    for model, quantization in ((REPO, None), (f"hf.co/{REPO}", "q4_k_m")):
        view, already = service.download(model, quantization)
        assert (view.job.id, view.job.state, already) == (done.job.id, State.COMPLETED, True)
    for model, quantization in ((REPO, "Q8_0"), (f"hf.co/{REPO}/tree/main", None), ("unsloth/Other-GGUF", None)):
        with pytest.raises(HubUnreachable):
            service.download(model, quantization)
    hub.server.accept_again()


def test_the_usual_of_several_is_found(service: Service) -> None:
    """The one that a download takes when none is named, whichever came first; by its quantization any."""
    for quantization in ("Q8_0", "Q4_K_M"):
        bring(service, REPO, quantization)
    assert service.find_usual(REPO).quantization == "Q4_K_M"
    assert service.find_usual(REPO, "q8_0").quantization == "Q8_0"
    assert service.find_usual(f"{REPO}@q8_0").quantization == "Q8_0"
    with pytest.raises(ModelNotFound):
        service.find_usual("unsloth/Other-GGUF")


def test_a_plan_counts_what_looks_right_as_here(service: Service, settings: Settings) -> None:
    """A file of the right name and size, which a download would hash: nothing would be fetched if it is that file."""
    name = "Qwen3-8B-Q4_K_M.gguf"
    place = settings.models_dir / REPO / name
    place.parent.mkdir(parents=True)
    place.write_bytes(FILES[name])
    plan = service.plan(REPO, "Q4_K_M")
    assert [state for file, state in plan.states.items() if file.path == name] == ["unverified"]
    assert plan.to_fetch == sum(file.size for file in plan.manifest.files if file.path != name)


def test_much_that_is_unverified_is_hashed_by_a_job(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client waits a minute for its answer: beyond a bound the answer is a job, which then fetches nothing."""
    monkeypatch.setattr("windlass.admission.HASH_AT_ONCE", len(Q4) - 1)
    bring_by_hand(service)
    view = bring(service)
    assert view.progress
    assert sum(meter.fetched for meter in view.progress.files.values()) == 0


def test_what_stands_in_its_place_needs_no_room(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, too, what somebody has put there is hashed by a job, and the plan has said so."""
    monkeypatch.setattr("windlass.admission.HASH_AT_ONCE", len(Q4) - 1)
    monkeypatch.setattr(ModelsFolder, "free", lambda _: 0)
    bring_by_hand(service)
    plan = service.plan(REPO)
    assert (plan.to_fetch, plan.fits_disk, plan.elsewhere) == (0, True, {})
    assert bring(service).job.state is State.COMPLETED


def test_what_is_elsewhere_needs_room_here(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan says what a download would: it fits where a download is let in."""
    monkeypatch.setattr(ModelsFolder, "free", lambda _: len(Q4) - 1)
    monkeypatch.setattr(type(service.elsewhere), "find", lambda *_: iter([settings.models_dir / "x"]))
    plan = service.plan(REPO)
    assert (plan.to_fetch, plan.fits_disk) == (0, False)
    with pytest.raises(InsufficientStorage):
        service.download(REPO)


def test_deleted_files_are_a_new_job(service: Service) -> None:
    """The old one stays completed."""
    done = bring(service)
    assert done.path
    done.path.unlink()
    view, already = service.download(REPO)
    assert not already
    assert view.job.state in ACTIVE
    assert view.job.id != done.job.id
    assert view.downloaded == len(PROJECTOR)
    assert service.job(done.job.id).job.state is State.COMPLETED


def test_a_catalog_model(service: Service, hub: Hub) -> None:
    """Its texts are kept beside LM Studio's, and counted."""
    hub.add_model(MODEL_YAML, "qwen", "qwen3-8b", REPO)
    view = bring(service, "qwen/qwen3-8b")
    folder = service.settings.lmstudio_home / "hub/models/qwen/qwen3-8b"
    assert (folder / "model.yaml").read_text().strip() == MODEL_YAML.strip()
    entry = view.job.manifest.catalog
    assert entry
    assert view.job.total == len(Q4) + len(PROJECTOR) + entry.size
    assert service.find("qwen/qwen3-8b").path == view.path
    assert service.download("qwen/qwen3-8b")[1]


def test_a_service_made_later_finds_what_was_asked(make: Make) -> None:
    """Jobs outlive the process."""
    first = make()
    job = first.download(REPO)[0].job
    first.close()
    second = make()
    assert second.job(job.id).job == job
    assert [view.job.id for view in second.jobs()] == [job.id]
    assert second.jobs((State.PAUSED,)) == []


# Refusals


def break_listing(hub: Hub) -> None:
    hub.misbehave("tree", faults.status(500), times=ALWAYS)


REFUSED: dict[str, tuple[str, str | None, type[WindlassError], Callable[[Hub], object]]] = {
    "no form": ("not a model", None, InvalidModel, lambda hub: None),
    "traversal": ("https://huggingface.co/o/r/blob/main/../x.gguf", None, InvalidModel, lambda hub: None),
    "unknown": ("nobody/nothing", None, ModelNotFound, lambda hub: None),
    "quantization": (REPO, "Q2_K", QuantizationNotFound, lambda hub: None),
    "no files": ("o/Text", None, NoModelFiles, lambda hub: hub.add("o/Text", {"README.md": b"x"})),
    "gated": ("o/G-GGUF", None, ModelGated, lambda hub: hub.add("o/G-GGUF", FILES, gated="manual")),
    "no room": ("o/Big-GGUF", None, InsufficientStorage, lambda hub: list_as(hub, 1 << 50)),
}


def list_as(hub: Hub, size: int) -> None:
    hub.add("o/Big-GGUF", {"Big-Q4_K_M.gguf": b"GGUF"}).file("Big-Q4_K_M.gguf").listed_size = size


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_request_writes_nothing(service: Service, hub: Hub, tmp_path: Path, why: str) -> None:
    """No job, no file, no folder, not even the models folder: everything is as it was before."""
    model, quantization, error, prepare = REFUSED[why]
    prepare(hub)
    service.store.jobs()
    before = tree(tmp_path)
    with pytest.raises(error) as caught:
        service.download(model, quantization)
    assert isinstance(caught.value, WindlassError)
    assert tree(tmp_path) == before
    assert service.jobs() == []
    assert not service.settings.models_dir.exists()


def test_a_refused_request_leaves_an_older_job_as_it_was(service: Service, hub: Hub) -> None:
    """The hub fails while the job is paused: it stays paused."""
    job = service.download(REPO)[0].job
    service.pause(job.id)
    before = service.job(job.id).job
    hub.misbehave("tree", faults.garbage_json(), times=ALWAYS)
    service.sources.resolver.forget()
    with pytest.raises(HubError):
        service.download(REPO)
    assert service.job(job.id).job == before


def test_a_gated_model_comes_in_for_who_may(make: Make, hub: Hub) -> None:
    """With a token that was granted access, which goes to the hub and never to the CDN."""
    hub.tokens.add("hf_good")
    hub.add("o/G-GGUF", FILES, gated="manual", granted={"hf_good"})
    view = bring(make(hf_token="hf_good"), "o/G-GGUF")
    assert view.job.state is State.COMPLETED
    assert {request.token for request in hub.asked("cdn")} <= {None, ""}


# Room on the disk


def test_room_is_counted_with_what_is_promised_to_others(make: Make, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs that each fit alone: the second is refused, with the numbers, until the first is cancelled."""
    service = make(min_free=1000)
    needed = len(Q4) + len(PROJECTOR)
    monkeypatch.setattr(ModelsFolder, "free", lambda _: 1000 + needed + len(Q8) + len(PROJECTOR) - 1)
    first = service.download(REPO)[0]
    with pytest.raises(InsufficientStorage) as caught:
        service.download(REPO, "Q8_0")
    error = caught.value
    assert (error.needed, error.free) == (len(Q8) + len(PROJECTOR), len(Q8) + len(PROJECTOR) - 1)
    assert f"{len(Q8) + len(PROJECTOR):,}" in error.message
    service.pause(first.job.id)
    assert service.download(REPO, "Q8_0")[0].job.state in ACTIVE


def test_room_is_promised_once_however_many_ask(make: Make, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six requests at the same moment, room for one: one is taken, and the others are told that there is none."""
    repos = [f"o/M{n}-GGUF" for n in range(6)]
    for repo in repos:
        hub.add(repo, {"M-Q4_K_M.gguf": Q4})
    service = make(min_free=0)
    monkeypatch.setattr(ModelsFolder, "free", lambda _: len(Q4) + len(Q4) // 2)

    def ask(repo: str) -> bool:
        try:
            service.download(repo)
        except InsufficientStorage:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(ask, repos)) == [False] * 5 + [True]


def test_what_is_paused_asks_for_room_before_it_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room may have gone to somebody else in the meantime."""
    service = make(min_free=0)
    job = service.download(REPO)[0].job
    service.pause(job.id)
    monkeypatch.setattr(ModelsFolder, "free", lambda _: 0)
    for again in (lambda: service.resume(job.id), lambda: service.download(REPO)):
        with pytest.raises(InsufficientStorage):
            again()
    assert service.job(job.id).job.state is State.PAUSED


@pytest.fixture
def waiting(service: Service) -> str:
    """A job that waits for room on the disk, as far as the store knows; the runner does not run yet."""
    job = service.download(REPO)[0].job
    service.store.move(job.id, START)
    service.store.move(job.id, WAIT, error_code="insufficient_storage", error_message="No room.")
    return job.id


def test_a_job_that_waits_for_room_shows_as_paused_and_why(service: Service, waiting: str) -> None:
    """LM Studio's word, and beside it what there is to say."""
    body = job_body(service.job(waiting))
    assert (body["status"], body["error_code"], body["error_message"]) == ("paused", "insufficient_storage", "No room.")


@pytest.mark.parametrize("again", ["resume", "download"])
def test_a_job_that_waits_for_room_is_resumed_as_any(
    service: Service, waiting: str, again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand or by the same request; without room that is refused, and it waits on."""

    def ask() -> object:
        return service.resume(waiting) if again == "resume" else service.download(REPO)

    with monkeypatch.context() as patch:
        patch.setattr(ModelsFolder, "free", lambda _: 0)
        with pytest.raises(InsufficientStorage):
            ask()
        assert service.job(waiting).job.state is State.WAITING
    ask()
    assert service.job(waiting).job.state in ACTIVE
    finish(service, waiting)


def test_a_job_that_waits_for_room_and_is_paused_stays_paused(service: Service, waiting: str) -> None:
    """It is a person's pause then, and says nothing of room any more."""
    assert service.pause(waiting).job.state is State.PAUSED
    assert "error_code" not in job_body(service.job(waiting))
    other = bring(service, quantization="Q8_0")
    assert other.job.id != waiting
    assert service.job(waiting).job.state is State.PAUSED


def test_a_job_that_waits_for_room_is_cancelled_as_any(service: Service, waiting: str) -> None:
    """And until then its partials are wanted."""
    job, folder = service.store.get(waiting), service.places.first.shelf.private_dir / "partial"
    folder.mkdir(parents=True)
    for name in partial_names(job.manifest):
        (folder / f"{name}.part").touch()
    service.admission.discard(replace(job, id="job_x"))
    assert partials(service) == {f"{name}.part" for name in partial_names(job.manifest)}
    assert service.cancel(waiting).job.state is State.CANCELLED
    assert partials(service) == set()


def test_a_job_that_waits_for_room_goes_on_by_itself(service: Service, waiting: str) -> None:
    """There is room on the disk of this test, so it is on its way as soon as the runner runs."""
    service.settings.models_dir.mkdir(parents=True)
    finish(service, waiting)


def test_what_must_stay_free_does_while_it_runs(make: Make, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner knows the setting: a job that was let in, and finds less than that left, waits."""
    service = make(min_free=1 << 60)
    monkeypatch.setattr(ModelsFolder, "free", lambda _: 1 << 61)
    hub.misbehave("cdn", faults.stall(after=1000), times=ALWAYS)
    job = service.download(REPO)[0].job
    finish(service, job.id, state=State.WAITING)
    assert f"{1 << 60:,} stay so" in job_body(service.job(job.id))["error_message"]


def test_a_new_installation_has_a_reserve(service: Service) -> None:
    """From the first job on, though the folder was made for that one only."""
    assert not service.settings.models_dir.exists()
    bring(service)
    assert (service.settings.home / "reserve").exists()


def test_the_reserve_is_given_up_for_the_records(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full to the last byte takes not even a look at them; without a reserve that is said."""
    service = make()
    reserve = service.settings.home / "reserve"
    opened = Noted

    def full(*arguments: object) -> Noted:
        if reserve.exists() or not arguments[0]:
            raise StateFailure("database or disk is full")
        return opened(str(arguments[0]), News())

    monkeypatch.setattr("windlass.records.Store", lambda url, _clock: full(url))
    reserve.parent.mkdir(parents=True, exist_ok=True)
    reserve.write_bytes(b"x")
    plain = Service(service.settings)
    assert plain.store.jobs() == []
    assert not reserve.exists()
    plain.close()
    monkeypatch.setattr("windlass.records.Store", lambda *_: full(""))
    with pytest.raises(StateFailure):
        _ = Service(service.settings).store


def test_what_is_here_for_good_needs_no_room(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that was nearly done may go on on a nearly full disk."""
    bring(service)
    (service.settings.models_dir / REPO / "mmproj-F16.gguf").unlink()
    monkeypatch.setattr(ModelsFolder, "free", lambda _: len(PROJECTOR))
    assert service.download(REPO)[0].job.state in ACTIVE
    with pytest.raises(InsufficientStorage):
        service.download(REPO, "Q8_0")


def test_free_space_is_that_of_the_disk_where_models_will_stand(service: Service) -> None:
    """The folder need not be there yet."""
    assert not service.settings.models_dir.exists()
    assert service.places.first.folder.free() > 0
    assert not service.settings.models_dir.exists()


def test_a_models_folder_that_cannot_be_made_fails_the_job(make: Make, tmp_path: Path) -> None:
    """A file stands in its way: an error for people."""
    (tmp_path / "in-the-way").write_text("")
    service = make(models_dir=tmp_path / "in-the-way" / "models")
    job = service.download(REPO)[0].job
    finish(service, job.id, state=State.FAILED)
    failed = service.job(job.id).job
    assert failed.error_code == StorageUnavailable.code
    assert "making the models folder" in (failed.error_message or "")


# Cancel, pause, resume


def partials(service: Service) -> set[str]:
    return {path.name for path in (service.places.first.shelf.private_dir / "partial").glob("*")}


@pytest.fixture
def stopped(service: Service, hub: Hub) -> JobView:
    """A paused job with partials: of its large file a part has come, its small one is whole."""
    hub.misbehave("cdn", faults.stall(after=20_000), path="Qwen3-8B-Q4_K_M.gguf", times=ALWAYS)
    job = service.download(REPO)[0].job
    finish(service, job.id, state=State.RUNNING)
    assert isinstance(service.store, Noted)
    service.store.news.until(lambda: service.job(job.id).downloaded > len(PROJECTOR) + 10_000)
    hub.behave()
    view = service.pause(job.id)
    assert {Path(name).suffix for name in partials(service)} == {".part", ".ledger"}
    return view


def test_cancel_removes_what_had_come(service: Service, stopped: JobView) -> None:
    """Partials and ledgers."""
    service.cancel(stopped.job.id)
    assert partials(service) == set()


def test_cancel_keeps_what_had_come_where_wanted(service: Service, stopped: JobView) -> None:
    """For who means to come back."""
    before = partials(service)
    service.cancel(stopped.job.id, keep_partial=True)
    assert partials(service) == before


def test_cancel_keeps_what_another_job_wants(service: Service, stopped: JobView) -> None:
    """The projector is the other quantization's too: it stays until that one is cancelled as well."""
    service.runner.only = ()
    other = service.download(REPO, "Q8_0")[0].job
    before = partials(service)
    service.cancel(stopped.job.id)
    left = partials(service)
    assert left < before
    assert left
    service.cancel(other.id)
    assert partials(service) == set()


def test_cancel_keeps_what_a_new_job_counts_on(
    service: Service, stopped: JobView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for the model again before the partials of the cancelled job are removed has them for the new one."""
    service.runner.only = ()
    before, interrupt, again = partials(service), service.runner.interrupt, []

    def ask_first(job_id: str, then: Work) -> None:
        again.append(service.download(REPO)[0])
        interrupt(job_id, then)

    monkeypatch.setattr(service.runner, "interrupt", ask_first)
    service.cancel(stopped.job.id)
    assert again[0].job.id != stopped.job.id
    assert again[0].downloaded == stopped.downloaded
    assert partials(service) == before


def test_what_came_before_the_files_came_by_another_way_is_removed(service: Service, stopped: JobView) -> None:
    """Of a paused job that the request completes nothing is left beside the model."""
    bring_by_hand(service)
    view, already = service.download(REPO)
    assert (view.job.id, view.job.state, already) == (stopped.job.id, State.COMPLETED, True)
    assert partials(service) == set()


def test_resume_lets_paused_and_failed_jobs_go_on(service: Service, stopped: JobView) -> None:
    """And again is the same; a job that is over cannot."""
    service.runner.only, job_id = (), stopped.job.id
    assert service.resume(job_id).job.state in ACTIVE
    assert service.resume(job_id).job.state in ACTIVE
    service.pause(job_id)
    service.runner.only = None
    assert service.resume(job_id).job.state in ACTIVE
    finish(service, job_id)
    for verb in (service.resume, service.pause, service.cancel):
        with pytest.raises(IllegalMove):
            verb(job_id)
    assert service.job(job_id).job.state is State.COMPLETED


def test_a_job_that_runs_is_seen_at_a_glance(service: Service, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the database, and as the long look has it; once it is told to stop, only the long look tells."""
    hub.misbehave("cdn", faults.stall(after=20_000), path="Qwen3-8B-Q4_K_M.gguf", times=ALWAYS)
    job_id = service.download(REPO)[0].job.id
    finish(service, job_id, state=State.RUNNING)
    assert isinstance(service.store, Noted)
    service.store.news.until(lambda: service.job(job_id).downloaded > len(PROJECTOR) + 10_000)
    with monkeypatch.context() as patch:
        patch.setattr(service.store, "get", lambda _: pytest.fail("the database was asked"))
        seen = service.glance(job_id)
    assert seen
    now = service.job(job_id)
    assert (seen.job.id, seen.job.status, seen.phase) == (job_id, "downloading", now.phase)
    assert len(PROJECTOR) + 10_000 < seen.downloaded <= now.downloaded
    assert job_body(seen).keys() >= job_body(now).keys() - {"bytes_per_second", "estimated_completion"}
    service.pause(job_id)
    assert service.glance(job_id) is None
    assert service.glance("job_x") is None


def test_an_unknown_job_is_not_found(service: Service) -> None:
    """By no verb."""
    for verb in (service.job, service.pause, service.resume, service.cancel, partial(service.change, priority=1)):
        with pytest.raises(JobNotFound):
            verb("job_0000000000")


def test_a_running_job_is_paused_and_goes_on_where_it_stopped(service: Service, hub: Hub) -> None:
    """Bytes that were kept are not fetched twice, and what is shown never goes down."""
    hub.add("o/Long-GGUF", {"Long-Q4_K_M.gguf": b"GGUF" + bytes(range(256)) * 8000})
    hub.misbehave("cdn", faults.stall(after=1_000_000), path="Long-Q4_K_M.gguf")
    job = service.download("o/Long-GGUF")[0].job
    finish(service, job.id, state=State.RUNNING)
    store = service.store
    assert isinstance(store, Noted)
    store.news.until(lambda: service.job(job.id).downloaded > 900_000)
    before = service.job(job.id).downloaded
    paused = service.pause(job.id)
    assert paused.job.state is State.PAUSED
    assert paused.downloaded >= before
    service.resume(job.id)
    finish(service, job.id)
    assert hub.sent("Long-Q4_K_M.gguf") <= 2_048_004 + 1_000_000 - before + 300_000
    assert service.health() == {"engine": "running", "jobs_running": 0, "jobs_queued": 0}


# Limits that change


def test_limits_are_the_settings_until_they_are_changed(make: Make) -> None:
    """And what is no limit is refused, with the name of what is wrong; then all is as before."""
    service = make(max_jobs=5, connections=4, limit_rate=1000)
    before = service.limits
    assert (before.max_jobs, before.connections, before.limit_rate) == (5, 4, 1000)
    service.set_limits({"max_jobs": 1, "limit_rate": None})
    assert (service.limits.max_jobs, service.limits.connections, service.limits.limit_rate) == (1, 4, None)
    for name, wrong in (
        ("max_jobs", 0), ("connections", -1), ("limit_rate", 0), ("max_jobs", None), ("max_jobs", 1.5),
        ("limit_rate", "fast"), ("connections", True),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest, match=name) as caught:
            replace(before, **{name: wrong})  # type: ignore[arg-type]
        assert caught.value.param == name


def test_a_rate_that_is_lifted_is_felt_at_once(service: Service, hub: Hub) -> None:
    """While it runs: all jobs together crawl, then this one alone; then nothing holds it."""
    # Longer than what its connections may take between two questions for the limit.
    hub.add("o/Long-GGUF", {"Long-Q4_K_M.gguf": b"GGUF" + bytes(range(256)) * 80_000})
    gate = threading.Event()
    hub.misbehave("cdn", faults.hold(gate, after=1000), times=ALWAYS)
    job = service.download("o/Long-GGUF")[0].job
    finish(service, job.id, state=State.RUNNING)
    store = service.store
    assert isinstance(store, Noted)

    def crawls() -> bool:
        looks = store.looks
        store.news.until(lambda: store.looks > looks + 12)
        return service.job(job.id).job.state is State.RUNNING

    store.news.until(lambda: bool(hub.asked("cdn")))
    service.set_limits({"limit_rate": 1000})
    gate.set()
    assert crawls()
    assert service.change(job.id, limit_rate=1000).job.limit_rate == 1000
    service.set_limits({"limit_rate": None})
    assert crawls()
    assert service.change(job.id, limit_rate=None).job.limit_rate is None
    finish(service, job.id)


def test_a_job_is_changed_one_by_one(service: Service) -> None:
    """What is not named stays; nothing named changes nothing."""
    job_id = service.download(REPO)[0].job.id
    service.change(job_id, priority=7)
    service.change(job_id, limit_rate=1 << 40)
    service.change(job_id)
    assert (service.job(job_id).job.priority, service.job(job_id).job.limit_rate) == (7, 1 << 40)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("priority", 1 << 31), ("priority", None), ("priority", 0.5), ("priority", "high"), ("priority", True),
        ("limit_rate", 0), ("limit_rate", -5), ("limit_rate", 1 << 63), ("limit_rate", "20M"), ("limit_rate", 1.0),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused(service: Service, name: str, wrong: object) -> None:
    """With what may be; the job stays as it was."""
    job = service.download(REPO)[0].job
    with pytest.raises(InvalidRequest, match=name) as caught:
        service.change(job.id, **{name: wrong})  # type: ignore[arg-type]
    assert caught.value.param == name
    assert service.job(job.id).job == job


def test_health_counts(service: Service) -> None:
    """What runs and what waits."""
    job = service.download(REPO)[0].job
    service.download(REPO, "Q8_0")
    service.store.move(job.id, START)
    assert service.health() == {"engine": "stopped", "jobs_running": 1, "jobs_queued": 1}


def test_parts_that_are_not_asked_for_are_not_made(make: Make, tmp_path: Path) -> None:
    """Listing models makes no database and no state."""
    service = make()
    assert service.models() == []
    service.close()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("more", "within"),
    [("models/second", True), ("..", True), ("models-2", False), ("models", False), ("link", True)],
)
def test_a_models_folder_in_another_is_refused(settings: Settings, tmp_path: Path, more: str, within: bool) -> None:
    """Its models would be listed twice and deleted once. The same folder twice is one; a link is what it leads to."""
    (tmp_path / "link").symlink_to(tmp_path / "models" / "linked")
    folders = replace(settings, models_dir=tmp_path / "models", more_models_dirs=(tmp_path / more,))
    if within:
        with pytest.raises(InvalidRequest, match="one within the other"):
            Service(folders)
    else:
        Service(folders).close()
