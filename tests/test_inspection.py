"""A check of jobs and disk: it finds what is left behind, lets alone what is at work, and costs nobody a byte."""

import asyncio
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from a_network import Answers
from pulling import means_of
from sample import entry, file_of, manifest_of
from windlass.errors import ModelNotFound, StorageUnavailable, WindlassError
from windlass.findings import Kind
from windlass.inspection import Inspection, Outcome, Wants, outcome_body
from windlass.jobs.job import Job
from windlass.jobs.states import CANCEL, FINISH, OPEN, PAUSE, RESUME, START, YIELD, Edge, State
from windlass.library.shelf import Shelf
from windlass.manifest import Manifest
from windlass.presence import Presence
from windlass.pull import partial_names, progress_of, pull, take_apart
from windlass.service import Service
from windlass.settings import load
from windlass.transfer.ledger import Piece
from windlass.transfer.partial import open_partial

MIB = 1024 * 1024
EYE = b"GGUF" + b"e" * 3000
CONTENTS = {
    "M-Q4_K_M.gguf": b"GGUF" + b"4" * MIB,
    "M-Q8_0.gguf": b"GGUF" + b"8" * MIB,
    "mmproj-F16.gguf": EYE,
    "S-00001-of-00002.gguf": b"GGUF" + b"1" * 4000,
    "S-00002-of-00002.gguf": b"GGUF" + b"2" * MIB,
    "C-Q4_K_M.gguf": b"GGUF" + b"c" * MIB,
}


def model(number: int) -> Manifest:
    """Two that share a projector, one of two shards, and one of the catalog's."""
    eye = file_of(EYE, "mmproj-F16.gguf", role="projector")
    four, eight, one, two, cat = (file_of(CONTENTS[name], name) for name in CONTENTS if "mmproj" not in name)
    return (
        manifest_of(four, eye),
        manifest_of(eight, eye, quantization="Q8_0"),
        manifest_of(one, two, id="owner/S", quantization=None),
        manifest_of(cat, id="qwen/qwen3-8b", catalog=entry()),
    )[number]


class Desk:
    """A home with a shelf, a store, and all that may happen to them."""

    def __init__(self, root: Path, age: float = 7200.0) -> None:
        environ = {
            "WINDLASS_HOME": str(root / "home"),
            "WINDLASS_LMSTUDIO_HOME": str(root / "lmstudio"),
            "WINDLASS_MIN_FREE": "0",
        }
        self.root = root
        self.settings = load(environ=environ, user_home=root)
        self.service = Service(self.settings, clock=lambda: time.time() + age)
        self.shelf: Shelf = self.service.places.first.shelf
        self.partials = self.shelf.private_dir / "partial"
        self.threads = ThreadPoolExecutor(2)

    def close(self) -> None:
        self.service.close()
        self.threads.shutdown()

    def make(self) -> None:
        self.shelf.models_dir.mkdir(parents=True, exist_ok=True)

    def check(self, *, fix: bool = False) -> list[Outcome]:
        return self.inspection.check(fix=fix)

    @property
    def inspection(self) -> Inspection:
        return self.service.inspection

    def found(self) -> list[tuple[Kind, str]]:
        return [(outcome.finding.kind, Path(outcome.finding.where).name) for outcome in self.check()]

    # What people and jobs do

    def job(self, number: int) -> Job | None:
        return self.service.store.open_job(model(number).key)

    def ask(self, number: int) -> Job:
        self.make()
        return self.service.store.add(model(number))

    def move(self, number: int, edge: Edge, owner: str | None = None) -> None:
        job = self.job(number)
        if job and job.state in edge.sources:
            self.service.store.move(job.id, edge, **({"owner": owner} if owner else {}))

    def begin(self, number: int, size: int = 1000) -> Path:
        """Some bytes of its last large file have come."""
        self.make()
        file = next(file for file in reversed(model(number).files) if file.size > 512 * 1024)
        [name] = partial_names(replace(model(number), files=(file,)))
        partial = open_partial(self.partials, name, f"sha256:{file.digest.hex}", file.size)
        assert partial
        partial.record([Piece(0, size, "0" * 16)])
        partial.close()
        return partial.path

    def bring(self, number: int) -> None:
        """As a job does: its files get their names, the model its receipt."""
        self.make()
        means = means_of(self.shelf, self.threads, Answers(CONTENTS))
        asyncio.run(pull(model(number), means, progress_of(model(number), self.shelf)))

    def complete(self, number: int) -> None:
        """A job does so from beginning to end."""
        self.ask(number)
        self.move(number, RESUME)
        self.move(number, START, self.service.presence.name)
        self.bring(number)
        self.move(number, FINISH)

    def run(self, number: int, owner: str) -> None:
        self.ask(number)
        self.move(number, RESUME)
        self.move(number, START, owner)

    def cancel(self, number: int, *, keep: bool) -> None:
        job = self.job(number)
        self.move(number, CANCEL)
        if job and not keep:
            self.service.admission.discard(job)

    def dead_name(self) -> str:
        with Presence(self.settings.home) as process:
            return process.name


@contextmanager
def desk_at(root: Path) -> Iterator[Desk]:
    desk = Desk(root)
    try:
        yield desk
    finally:
        desk.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_at(tmp_path) as desk:
        yield desk


def test_where_nothing_was_made_nothing_is(desk: Desk, tmp_path: Path) -> None:
    """No models folder, no database: all is well, with `--fix` too, and nothing is made."""
    assert desk.check() == desk.check(fix=True) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_database_is_looked_at_without_one(desk: Desk) -> None:
    """No database is made to find out that nobody wants what stands there. It may be of another home: it stays."""
    path = desk.begin(0)
    [outcome] = desk.check(fix=True)
    assert (outcome.finding.kind, outcome.fixed) == (Kind.PARTIAL_UNWANTED, False)
    assert "no other WINDLASS_HOME" in outcome.advice
    assert path.exists()
    assert not desk.settings.home.exists()


def test_what_open_jobs_want_is_fine(desk: Desk) -> None:
    """Whether they run or not. Of models that are here there is nothing to say, nor of jobs whose models are gone."""
    desk.complete(2)
    desk.ask(0)
    desk.begin(0)
    desk.ask(3)
    desk.begin(3)
    desk.move(3, PAUSE)
    assert desk.check(fix=True) == []
    assert progress_of(model(0), desk.shelf).kept[model(0).files[0].shelf_path] == 1000
    shutil.rmtree(desk.shelf.models_dir / "unsloth")
    outcomes = desk.check(fix=True)
    assert {outcome.finding.kind for outcome in outcomes} == {Kind.RECEIPT_WITHOUT_FILE, Kind.MODEL_GONE}
    assert desk.check() == []


def test_a_partial_that_nobody_wants(desk: Desk) -> None:
    """Its job was cancelled, and it was to be kept; it is told how much comes free."""
    desk.ask(0)
    path = desk.begin(0)
    os.truncate(path, 0)
    path.write_bytes(b"x" * MIB)
    desk.cancel(0, keep=True)
    [outcome] = desk.check()
    assert outcome.finding.frees >= MIB
    assert f"{outcome.finding.frees:,} bytes" in outcome.finding.message
    assert outcome.advice == "windlass check --fix removes it"
    assert outcome_body(outcome) == {
        "kind": "partial_unwanted",
        "path": str(path),
        "message": outcome.finding.message,
        "fix": "removes it",
        "fixed": False,
        "freed_bytes": 0,
    }
    [outcome] = desk.check(fix=True)
    assert outcome_body(outcome)["freed_bytes"] >= MIB
    assert outcome.advice == "it was removed"
    assert list(desk.partials.iterdir()) == []


def test_what_a_writer_has_is_nobodys_leftover(desk: Desk) -> None:
    """Though no job wants it: another home may have that."""
    desk.service.store.counts()
    path = desk.begin(0)
    partial = open_partial(desk.partials, path.stem, "x", MIB + 4)
    assert partial
    assert desk.check() == desk.check(fix=True) == []
    partial.close()
    assert [kind for kind, _ in desk.found()] == [Kind.PARTIAL_UNWANTED]


def test_what_lies_there_alone_goes_when_it_is_old(tmp_path: Path) -> None:
    """A ledger, a seal, what was brought over: within the hour somebody may be at it, who holds no lock."""
    young = Desk(tmp_path, age=0)
    young.service.store.counts()
    path = young.begin(0)
    path.unlink()
    path.with_name("0123456789abcdef.over").write_bytes(b"x")
    assert young.check(fix=True) == []
    young.close()
    with desk_at(tmp_path) as desk:
        expected = {
            (Kind.PARTIAL_WITHOUT_BYTES, f"{path.stem}.ledger"),
            (Kind.PARTIAL_UNWANTED, "0123456789abcdef.over"),
        }
        assert set(desk.found()) == expected
        assert all(outcome.fixed for outcome in desk.check(fix=True))
        assert list(desk.partials.iterdir()) == []


def test_jobs_of_a_dead_process_go_back_into_the_queue(desk: Desk) -> None:
    """Those of one that lives are left alone; what had come is counted."""
    desk.run(0, desk.dead_name())
    desk.begin(0)
    with Presence(desk.settings.home) as other:
        desk.run(3, other.name)
        [outcome] = desk.check()
        job = desk.job(0)
        assert job
        assert outcome_body(outcome) == {
            "kind": "job_abandoned",
            "job": job.id,
            "message": "it is said to bring in unsloth/Qwen3-8B-GGUF, but its process has ended",
            "fix": "puts it back into the queue",
            "fixed": False,
            "freed_bytes": 0,
        }
        assert job.state is State.RUNNING
        [outcome] = desk.check(fix=True)
        assert outcome.fixed
        assert [desk.service.store.get(job.id).state, desk.job(3).state] == [State.QUEUED, State.RUNNING]  # type: ignore[union-attr]
        assert desk.service.store.get(job.id).downloaded == 1000
        assert desk.check() == []


def test_a_database_that_cannot_be_read_is_said_and_left(desk: Desk) -> None:
    """With its own error; it stays where it is, and so do partials, which somebody may want. The rest is mended."""
    desk.make()
    desk.settings.home.mkdir()
    path = desk.settings.home / "windlass.db"
    path.write_bytes(b"no database at all" * 100)
    partial = desk.begin(0)
    receipt = desk.shelf.receipts.path("a/b/c")
    receipt.parent.mkdir(parents=True)
    receipt.write_text("torn")
    outcomes = {outcome.finding.kind: outcome for outcome in desk.check(fix=True)}
    assert outcomes.keys() == {Kind.DATABASE_UNUSABLE, Kind.RECEIPT_UNREADABLE}
    body = outcome_body(outcomes[Kind.DATABASE_UNUSABLE])
    assert body["path"] == str(path)
    assert "cannot be read" in body["message"]
    assert (body["fix"], body["fixed"]) == (None, False)
    assert "sets it aside" in body["hint"]
    assert outcomes[Kind.RECEIPT_UNREADABLE].fixed
    assert partial.exists()
    assert path.read_bytes() == b"no database at all" * 100


def test_an_address_that_is_none_is_said(desk: Desk) -> None:
    """As for a database that cannot be opened."""
    desk.service.settings = replace(desk.settings, database_url="postgresql+nothing://x/y")
    [outcome] = desk.check(fix=True)
    assert outcome.finding.kind is Kind.DATABASE_UNUSABLE
    assert outcome.finding.where == "the database"


def test_a_models_folder_that_is_gone(desk: Desk) -> None:
    """Most often its disk is not mounted: all would look well."""
    desk.service.places.first.folder.make()
    desk.shelf.models_dir.rmdir()
    [outcome] = desk.check(fix=True)
    assert (outcome.finding.kind, outcome.fixed) == (Kind.MODELS_FOLDER_GONE, False)
    assert "mounted" in outcome.advice


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "model.yaml").unlink(), "no model.yaml"),
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json"),
        (lambda folder: (folder / "model.yaml").write_text("base: [}"), "cannot be read"),
        (lambda folder: (folder / "model.yaml").write_text("model: a/b"), "names no `base`"),
        (lambda folder: (folder / "model.yaml").write_bytes(b"\xff\xfe\xff"), "cannot be read"),
        (lambda folder: (folder / "model.yaml").write_text("a: b\n" * MIB), "larger"),
        (shutil.rmtree, ""),
        (lambda folder: [path.unlink() for path in folder.iterdir()], ""),
        (lambda folder: (folder.parent / "file").write_text("x"), ""),
    ],
)
def test_catalog_entries(desk: Desk, damage: Callable[[Path], object], says: str) -> None:
    """One of two texts, or a model.yaml that is none; an open job for it will write it."""
    desk.complete(3)
    folder = desk.root / "lmstudio" / "hub" / "models" / "qwen" / "qwen3-8b"
    assert desk.check() == []
    damage(folder)
    outcomes = desk.check(fix=True)
    assert [outcome.finding.kind for outcome in outcomes] == [Kind.CATALOG_ENTRY_BROKEN] * bool(says)
    for outcome in outcomes:
        assert says in outcome.finding.message
        assert outcome.advice == "windlass get qwen/qwen3-8b"
    desk.ask(3)
    assert desk.check() == []


def test_what_a_broken_off_repair_has_is_kept(desk: Desk) -> None:
    """A file was taken off the shelf to be mended, and the process died before there was a job: `get` goes on."""
    desk.complete(3)
    file = model(3).files[0]
    take_apart(file, desk.shelf, [Piece(0, 1000, "0" * 16)])
    [outcome] = desk.check(fix=True)
    assert (outcome.finding.kind, outcome.fixed) == (Kind.MODEL_NOT_WHOLE, False)
    assert outcome.advice == "windlass get qwen/qwen3-8b@Q4_K_M"
    assert progress_of(model(3), desk.shelf).kept[file.shelf_path] == 1000
    desk.ask(3)
    desk.cancel(3, keep=False)
    assert [kind for kind, _ in desk.found()] == [Kind.MODEL_GONE]


def test_of_a_model_that_lost_a_file_the_rest_of_it_is_kept(desk: Desk) -> None:
    """A partial with which it would be mended is of use, job or not; once it is whole, it is not."""
    desk.complete(2)
    desk.shelf.path_of(model(2).files[1]).unlink()
    path = desk.begin(2)
    assert {kind for kind, _ in desk.found()} == {Kind.MODEL_NOT_WHOLE, Kind.RECEIPT_WITHOUT_FILE}
    desk.check(fix=True)
    assert path.exists()
    desk.bring(2)
    desk.begin(2)
    assert [kind for kind, _ in desk.found()] == [Kind.PARTIAL_UNWANTED]


def test_a_fix_that_the_disk_refuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why, and is not mended."""
    desk.service.store.counts()

    def refuse(*_: object) -> None:
        raise StorageUnavailable("The disk refuses.", hint="Look at it.")

    desk.begin(0)
    monkeypatch.setattr("windlass.transfer.leftovers.discard", refuse)
    [outcome] = desk.check(fix=True)
    assert outcome.advice == "not mended: The disk refuses. Look at it."
    assert outcome_body(outcome)["hint"] == "The disk refuses. Look at it."
    assert not outcome.fixed


# While others are at work

Meddle = Callable[[Desk], None]


def begin_one(desk: Desk) -> None:
    desk.ask(0)
    desk.begin(0)


def end_one(desk: Desk) -> None:
    desk.bring(0)
    desk.move(0, FINISH)


def begin_and_end_one(desk: Desk) -> None:
    desk.complete(3)


def begin_one_that_goes_on(desk: Desk) -> None:
    """It was cancelled, and what it had is still there."""
    desk.ask(0)


def let_go_of_one(desk: Desk) -> None:
    """As a process does that ends."""
    desk.move(0, YIELD)


def run_one_here(desk: Desk) -> None:
    desk.run(0, desk.service.presence.name)
    desk.begin(0)


def run_one_whose_process_ends(desk: Desk) -> None:
    desk.run(0, desk.dead_name())


def nothing(desk: Desk) -> None:
    desk.make()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("look", [1, 2])
@pytest.mark.parametrize(
    ("first", "meddle"),
    [
        (nothing, begin_one),
        (nothing, begin_and_end_one),
        (run_one_here, end_one),
        (run_one_here, begin_and_end_one),
        (run_one_whose_process_ends, let_go_of_one),
    ],
)
def test_what_begins_or_ends_meanwhile_looks_fine(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, first: Meddle, meddle: Meddle, look: int, moment: str
) -> None:
    """Between the look at the disk and the question for the jobs, or after it, in the first look and in the second."""
    desk.service.store.counts()  # there is a database
    first(desk)
    ask_for_wants(desk, monkeypatch, look, moment, meddle)
    if (look, first) == (2, run_one_whose_process_ends) and moment == "after":
        meddle(desk)  # else it is abandoned in both looks, and rightly told of
    assert desk.check(fix=True) == []
    assert desk.check() == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_begins_meanwhile_looks_fine_to_one_look_already(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The disk is looked at before the jobs are asked for: the second look is for those that end."""
    desk.service.store.counts()
    ask_for_wants(desk, monkeypatch, 1, moment, begin_one)
    assert desk.inspection._look() == {}


def ask_for_wants(desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, moment: str, meddle: Meddle) -> None:
    """Have something happen when the store is asked for the so manieth time."""
    wants, asked = desk.inspection._records.wants, iter(range(1, 100))

    def meddled() -> Wants:
        now = next(asked) == number
        if now and moment == "before":
            meddle(desk)
        found = wants()
        if now and moment == "after":
            meddle(desk)
        return found

    monkeypatch.setattr(desk.inspection._records, "wants", meddled)


def hold_one(desk: Desk) -> None:
    path = next(desk.partials.glob("*.part"))
    held = open_partial(desk.partials, path.stem, "x", MIB + 4)
    assert held
    desk.service._opened.callback(held.close)


def begin_anew(desk: Desk) -> None:
    """Somebody tidied up, and another job of the same name has begun since."""
    path = next(desk.partials.glob("*.part"))
    path.rename(path.with_name("aside"))
    desk.begin(0)


@pytest.mark.parametrize(
    ("meddle", "moment"),
    [(begin_one_that_goes_on, "before"), (hold_one, "before"), (hold_one, "after"), (begin_anew, "after")],
)
def test_who_mends_looks_once_more(desk: Desk, monkeypatch: pytest.MonkeyPatch, meddle: Meddle, moment: str) -> None:
    """A job that takes up a partial after it was found unwanted keeps its bytes, and nothing is told of it."""
    desk.ask(0)
    path = desk.begin(0)
    desk.cancel(0, keep=True)
    ask_for_wants(desk, monkeypatch, 3, moment, meddle)
    assert desk.check(fix=True) == []
    assert path.exists()
    if meddle is not hold_one:  # who holds it here asks for another file, and throws away what there is
        assert progress_of(model(0), desk.shelf).kept[model(0).files[0].shelf_path] == 1000


def test_a_file_that_comes_after_its_receipt_was_found_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a job that began after that: receipt and model stay."""
    desk.complete(3)
    desk.shelf.path_of(model(3).files[0]).unlink()
    ask_for_wants(desk, monkeypatch, 3, "before", begin_and_end_one)
    assert [outcome.finding.kind for outcome in desk.check(fix=True)] == []
    assert [one.verified for one in desk.shelf.models()] == [True]


def test_a_database_that_fails_while_it_is_mended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What jobs may want stays, and it is said why."""
    desk.service.store.counts()
    desk.begin(0)
    wants, asked = desk.inspection._records.wants, iter(range(1, 100))

    def fail_later() -> Wants:
        if next(asked) > 2:
            raise ModelNotFound("The database has gone.")
        return wants()

    monkeypatch.setattr(desk.inspection._records, "wants", fail_later)
    [outcome] = desk.check(fix=True)
    assert outcome.advice == "not mended: The database has gone."
    assert list(desk.partials.glob("*.part"))


# Whatever has happened


def pick(paths: list[Path], chance: random.Random) -> Path | None:
    return chance.choice(sorted(paths)) if paths else None


Event = Callable[[Desk, int, random.Random], object]


def spoil(paths: Callable[[Desk], list[Path]], how: Callable[[Path], object]) -> Event:
    """Damage one of those files, if there is one."""

    def work(desk: Desk, _number: int, chance: random.Random) -> None:
        path = pick([path for path in paths(desk) if path.is_file()], chance)
        if path:
            how(path)

    return work


def on_shelf(desk: Desk) -> list[Path]:
    return [path for path in desk.shelf.models_dir.glob("*/*/*") if ".windlass" not in path.parts]


def receipts(desk: Desk) -> list[Path]:
    return list(desk.shelf.receipts.files_folder.glob("*/*/*.json"))


def model_receipts(desk: Desk) -> list[Path]:
    return list(desk.shelf.receipts.models_folder.glob("*.json"))


def partials(desk: Desk) -> list[Path]:
    return list(desk.partials.glob("*"))


def entries(desk: Desk) -> list[Path]:
    return list((desk.root / "lmstudio" / "hub" / "models").glob("*/*/*"))


def tear(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def later(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns + 4_000_000_000))


def leave_temporary(desk: Desk, _number: int, chance: random.Random) -> None:
    folder = pick([path.parent for path in receipts(desk)], chance)
    if folder:
        (folder / f".{chance.randbytes(6).hex()}.part").write_text("{")


def leave_over(desk: Desk, number: int, chance: random.Random) -> None:
    names = [*partial_names(model(number)), chance.randbytes(8).hex()]
    desk.make()
    desk.partials.mkdir(parents=True, exist_ok=True)
    (desk.partials / f"{chance.choice(sorted(names))}.over").write_bytes(b"x")


def publish_alone(desk: Desk, number: int, _chance: random.Random) -> None:
    """A pull that is cut off between the names of its files and the model's receipt."""
    had = {path: path.read_bytes() for path in model_receipts(desk)}
    desk.bring(number)
    for path in model_receipts(desk):
        if path in had:
            path.write_bytes(had[path])
        else:
            path.unlink()


def break_off_repair(desk: Desk, number: int, chance: random.Random) -> None:
    file = chance.choice(model(number).files)
    if desk.shelf.path_of(file).is_file():
        take_apart(file, desk.shelf, [Piece(0, 1000, "0" * 16)])


def remove_model(desk: Desk, _number: int, chance: random.Random) -> None:
    models = [*desk.shelf.models(), *desk.shelf.broken()]
    if models:
        with suppress(WindlassError):  # a job is at work on it
            desk.service.keeping.remove(chance.choice(models))


def bring_by_hand(desk: Desk, number: int, _chance: random.Random) -> None:
    desk.make()
    file = model(number).files[0]
    path = desk.shelf.path_of(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENTS[file.path])
    desk.shelf.adopt(file)


def dead(desk: Desk, number: int, _chance: random.Random) -> None:
    desk.run(number, desk.dead_name())


EVENTS: dict[str, Event] = {
    "ask": lambda desk, number, _: desk.ask(number),
    "begin": lambda desk, number, _: desk.begin(number),
    "ask and begin": lambda desk, number, _: (desk.ask(number), desk.begin(number)),
    "complete": lambda desk, number, _: desk.complete(number),
    "pause": lambda desk, number, _: desk.move(number, PAUSE),
    "cancel": lambda desk, number, _: desk.cancel(number, keep=False),
    "cancel and keep": lambda desk, number, _: desk.cancel(number, keep=True),
    "die": dead,
    "publish alone": publish_alone,
    "break off a repair": break_off_repair,
    "remove": remove_model,
    "bring by hand": bring_by_hand,
    "delete a file": spoil(on_shelf, Path.unlink),
    "cut a file": spoil(on_shelf, tear),
    "touch a file": spoil(on_shelf, later),
    "delete a receipt": spoil(receipts, Path.unlink),
    "tear a receipt": spoil(receipts, tear),
    "delete a model's receipt": spoil(model_receipts, Path.unlink),
    "tear a model's receipt": spoil(model_receipts, tear),
    "delete of a partial": spoil(partials, Path.unlink),
    "tear of a partial": spoil(partials, tear),
    "delete of an entry": spoil(entries, Path.unlink),
    "tear an entry": spoil(entries, tear),
    "leave a temporary file": leave_temporary,
    "leave what was brought over": leave_over,
}


def whole(desk: Desk) -> dict[tuple[str, str | None], dict[str, bytes]]:
    """Models that are whole and verified, with their files."""
    return {
        (one.id, one.quantization): {file.path: (desk.shelf.models_dir / file.path).read_bytes() for file in one.files}
        for one in desk.shelf.models()
        if one.verified
    }


def kept(desk: Desk) -> dict[str, int]:
    return {job.id: progress_of(job.manifest, desk.shelf).downloaded for job in desk.service.store.jobs(OPEN)}


def tree(root: Path) -> dict[Path, bytes]:
    skip = {"heads.json", "windlass.db", "windlass.db-wal", "windlass.db-shm"}
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name not in skip}


@given(
    events=st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 3)), max_size=14),
    chance=st.randoms(use_true_random=False),
)
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_whatever_has_happened_a_fix_leaves_only_what_has_none(
    events: list[tuple[str, int]], chance: random.Random
) -> None:
    """A look changes nothing. After a fix no whole model and no byte of an open job's is gone, and no fix is left."""
    with tempfile.TemporaryDirectory() as root, desk_at(Path(root)) as desk:
        desk.service.store.counts()
        for name, number in [("complete", 0), ("ask and begin", 3), *events]:
            EVENTS[name](desk, number, chance)
        desk.service.presence.name  # noqa: B018 - its sign of life is there before the look
        before = tree(desk.root)
        told = desk.check()
        after = tree(desk.root)
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert {path for path in changed if path.suffix != ".lock"} == set()
        models, bytes_of_jobs = whole(desk), kept(desk)
        outcomes = desk.check(fix=True)
        assert [outcome.finding for outcome in outcomes] == [outcome.finding for outcome in told]
        assert all(outcome.fixed is (outcome.finding.fix is not None) for outcome in outcomes)
        assert models.items() <= whole(desk).items()
        assert kept(desk) == bytes_of_jobs
        left = desk.check(fix=True)
        assert [outcome.finding for outcome in left] == [o.finding for o in outcomes if not o.finding.fix]
        assert all(outcome.finding.hint for outcome in left)


def test_each_kind_is_on_its_page() -> None:
    """And no other is."""
    page = (Path(__file__).parents[1] / "docs" / "check.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(Kind)
