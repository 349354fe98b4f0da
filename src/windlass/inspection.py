"""Jobs, receipts, partials and disk held against each other, while others work on them; and the mending.

What is asked in which order:

    the disk        receipts, files, partials, the catalog's entries
    the jobs        which are open, and what they want
    the processes   of jobs that are said to run

A job is in the store before it has anything on the disk. So of all that the look at the disk saw, what a job had begun
by then is wanted by a job that the later look at the store shows: one that begins meanwhile looks fine at once. The
other way round it would have partials that nobody wants.

What remains is a job, or a process, that *ended* between the two: on the disk its files had other names a moment ago.
But they had their last names before its end was noted. So there are two looks, and only what both of them see is found
wrong: the second one sees the disk as it was left. A model that is imported or removed by hand, of which no job knows,
looks odd for a moment too, and hardly to both.

Whoever mends asks once more what is wanted, and looks again at the thing itself.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.errors import HubError, StorageFailure, WindlassError
from windlass.findings import DROP, REMOVE, REQUEUE, Finding, Fix, Kind
from windlass.hub.model_yaml import LIMIT, read_model_yaml
from windlass.jobs.states import OPEN, State
from windlass.library.audit import (
    SETTLED,
    ModelNote,
    Sight,
    audit,
    drop_model_receipt,
    drop_receipt,
    look,
    remove_temporary,
)
from windlass.library.shelf import Shelf
from windlass.pull import partial_names
from windlass.transfer import leftovers
from windlass.transfer.leftovers import Leftover

if TYPE_CHECKING:
    from windlass.jobs.job import Job
    from windlass.jobs.store import Store
    from windlass.presence import Presence
    from windlass.runner import Runner

_WHOSE = "There is no database of jobs here: where no other WINDLASS_HOME uses this folder, delete it."
_ENTRY = ("model.yaml", "manifest.json")

Work = Callable[[], bool]
"""Mends what was found; whether it did. False where it had become fine, or somebody is at work on it by now."""

Findings = dict[Finding, Work | None]


@dataclass(frozen=True, slots=True)
class Wants:
    """What open jobs want: files by their shelf paths, partials by their names, entries of the catalog by their ids."""

    files: frozenset[str] = frozenset()
    partials: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()

    @classmethod
    def of(cls, jobs: Iterable["Job"]) -> "Wants":
        """What these jobs want."""
        manifests = [job.manifest for job in jobs]
        return cls(
            frozenset(file.shelf_path for manifest in manifests for file in manifest.files),
            frozenset(name for manifest in manifests for name in partial_names(manifest)),
            frozenset(manifest.catalog.id for manifest in manifests if manifest.catalog),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finding and what became of it; `refusal` says why it could not be mended."""

    finding: Finding
    fixed: bool = False
    refusal: str = ""

    @property
    def advice(self) -> str:
        """What was done about it, or what is to be done."""
        fix = self.finding.fix
        if self.refusal:
            return f"not mended: {self.refusal}"
        if fix is None:
            return self.finding.hint
        return fix.did if self.fixed else f"windlass check --fix {fix.does}"


def outcome_body(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON; `fix` is what mends it, or did, and null where a person has to: `hint` says how."""
    finding, fixed = outcome.finding, outcome.fixed
    where = "job" if finding.kind is Kind.JOB_ABANDONED else "path"
    fix: Fix | None = finding.fix
    body = {
        "kind": finding.kind,
        where: finding.where,
        "message": finding.message,
        "fix": None if fix is None else fix.did if fixed else fix.does,
        "fixed": fixed,
        "freed_bytes": finding.frees if fixed else 0,
    }
    return body | ({"hint": hint} if (hint := outcome.refusal or finding.hint) else {})


class Records:
    """The jobs, as far as a check wants to know of them. A database is opened when there is one, and never made.

    Args:
        there: whether there is a database by now.
        open_store: opens it, as it is; what cannot be read is not set aside.
        presence: tells which processes are alive; made only where jobs are said to run.
        runner: puts the jobs of dead ones back into the queue; made only for that.
        name: the database's, for people.
    """

    def __init__(
        self,
        there: Callable[[], bool],
        open_store: Callable[[], "Store"],
        presence: Callable[[], "Presence"],
        runner: Callable[[], "Runner"],
        name: str,
    ) -> None:
        self.name = name
        self._there = there
        self._open_store = open_store
        self._presence = presence
        self._runner = runner
        self._store: Store | None = None
        self._last = -1, Wants()

    def are_there(self) -> bool:
        """Whether there is a database by now."""
        return self._store is not None or self._there()

    def wants(self) -> Wants:
        """What open jobs want in this moment.

        Raises:
            WindlassError: the database cannot be used.
        """
        store = self._opened()
        if store is None:
            return Wants()
        number = store.last_move()  # before the jobs: a move in between has the next one ask again
        if number != self._last[0]:
            self._last = number, Wants.of(store.jobs(OPEN))
        return self._last[1]

    def abandoned(self) -> list["Job"]:
        """Jobs that are said to run while their process is dead; raises as `wants` does."""
        store = self._opened()
        running = store.jobs({State.RUNNING}) if store else []
        return [job for job in running if not self._presence().is_alive(job.owner)]

    def requeue(self) -> bool:
        """Have another process go on with those; raises as `wants` does."""
        self._runner().reclaim()
        return True

    def _opened(self) -> "Store | None":
        if self._store is None and self.are_there():
            self._store = self._open_store()
        return self._store


class Inspection:
    """Finds what is wrong, and mends what is safe to mend.

    Args:
        shelves: the models folders, each with what raises StorageFailure where it was there once and is gone.
        catalog_dir: below which catalog models stand.
        records: the jobs.
        clock: Unix time, by the kernel's clock.
    """

    def __init__(
        self,
        shelves: Sequence[tuple[Shelf, Callable[[], None]]],
        catalog_dir: Path,
        records: Records,
        clock: Callable[[], float],
    ) -> None:
        self._shelves = shelves
        self._catalog_dir = catalog_dir
        self._records = records
        self._clock = clock

    def check(self, *, fix: bool) -> list[Outcome]:
        """What is wrong, and with `fix` what became of it."""
        found = self._look_twice()
        outcomes = (_mended(finding, work) if fix and work else Outcome(finding) for finding, work in found.items())
        return [outcome for outcome in outcomes if outcome]

    def _look_twice(self) -> Findings:
        first = self._look()
        second = self._look() if first else {}
        return {finding: work for finding, work in second.items() if finding in first}

    def _look(self) -> Findings:
        seen = [
            (shelf, look(shelf), leftovers.look(_partials(shelf))) for shelf, _ in self._shelves if _is_there(shelf)
        ]
        entries = list(_broken_entries(self._catalog_dir))
        found: Findings = {}
        try:
            wants: Wants | None = self._records.wants()
            found.update((_abandoned(job), self._records.requeue) for job in self._records.abandoned())
        except WindlassError as error:
            wants = None
            unusable = Finding(Kind.DATABASE_UNUSABLE, self._records.name, error.message, hint=error.hint or "")
            found[unusable] = None
        found.update((gone, None) for shelf, expect in self._shelves if (gone := _gone(shelf, expect)))
        for shelf, sight, left in seen:
            found.update(self._of_shelf(shelf, sight, left, wants))
        found.update({finding: None for name, finding in entries if not wants or name not in wants.entries})
        return found

    def _of_shelf(self, shelf: Shelf, sight: Sight, left: list[Leftover], wants: Wants | None) -> Findings:
        names = {one.name for one in left}
        mending = {note.path: _names(note) for note in sight.models}
        begun = [path for path, parts in mending.items() if parts & names]
        files = wants.files if wants else None
        found: Findings = {finding: self._work(finding, shelf) for finding in audit(sight, files, begun, self._clock())}
        needed = None if wants is None else wants.partials.union(*mending.values())
        for one in left:
            for finding in _audit_leftover(one, needed, self._clock()):
                if self._records.are_there():
                    found[finding] = partial(self._clear, one)
                else:  # whoever made it keeps his jobs somewhere else
                    found[replace(finding, fix=None, hint=_WHOSE)] = None
        return found

    def _work(self, finding: Finding, shelf: Shelf) -> Work | None:
        """What mends a finding of the shelf's, if anything does."""
        path, receipts = Path(finding.where), shelf.receipts
        if finding.fix is REMOVE:
            return partial(remove_temporary, path)
        if finding.fix is not DROP:
            return None
        if path.parent == receipts.models_folder:
            return lambda: drop_model_receipt(receipts, path, self._wanted_files())
        shelf_path = path.relative_to(receipts.files_folder).as_posix().removesuffix(".json")
        return lambda: shelf_path not in self._wanted_files() and drop_receipt(receipts, shelf_path)

    def _wanted_files(self) -> frozenset[str]:
        """Of a database that cannot be opened, nothing: what is dropped by that costs a second hashing at most."""
        try:
            return self._records.wants().files
        except WindlassError:
            return frozenset()

    def _clear(self, one: Leftover) -> bool:
        """Remove what nobody wants, if that is so still. Raises WindlassError where nobody knows."""
        return one.name not in self._records.wants().partials and leftovers.clear(one)


def _mended(finding: Finding, work: Work) -> Outcome | None:
    """What became of it; None where it is not so any more."""
    try:
        return Outcome(finding, fixed=True) if work() else None
    except WindlassError as error:
        return Outcome(finding, refusal=str(error))


def _gone(shelf: Shelf, expect: Callable[[], None]) -> Finding | None:
    """A models folder that was there once."""
    try:
        expect()
    except StorageFailure as error:
        return Finding(Kind.MODELS_FOLDER_GONE, str(shelf.models_dir), error.message, hint=error.hint or "")
    return None


def _abandoned(job: "Job") -> Finding:
    message = f"it is said to bring in {job.manifest.id}, but its process has ended"
    return Finding(Kind.JOB_ABANDONED, job.id, message, REQUEUE, sight=job.owner)


def _names(note: ModelNote) -> frozenset[str]:
    """The partials with which a model that is not whole would be mended: by a job that is about to be let in, too."""
    if note.receipt is None or not note.lost:
        return frozenset()
    return partial_names(replace(note.receipt.manifest, files=note.lost))


def _audit_leftover(one: Leftover, needed: Collection[str] | None, now: float) -> Iterator[Finding]:
    """What is wrong with what stands among the partials; `needed` are those of use, None where that is not known."""
    sight, settled = (one.inodes, one.changed_at), one.changed_at < now - SETTLED
    tell = partial(Finding, where=str(one.path), fix=REMOVE, frees=one.frees, sight=sight)
    if needed is None or one.name in needed:
        return
    if one.is_part:
        if not one.is_held():
            told = f"no open job wants this partial, which takes {one.frees:,} bytes"
            yield tell(Kind.PARTIAL_UNWANTED, message=told)
    elif settled:
        # The others have no lock. Whoever imports holds none, and whoever takes a damaged file apart writes the ledger
        # before there is a part.
        if one.is_over:
            told = f"bringing this over was broken off; it takes {one.frees:,} bytes"
            yield tell(Kind.PARTIAL_UNWANTED, message=told)
        else:
            yield tell(Kind.PARTIAL_WITHOUT_BYTES, message="this tells of a partial that is gone")


def _partials(shelf: Shelf) -> Path:
    return shelf.private_dir / "partial"


def _broken_entries(catalog_dir: Path) -> Iterator[tuple[str, Finding]]:
    """Catalog entries that LM Studio could not read, by their ids."""
    for folder in sorted(catalog_dir.glob("*/*")):
        name = f"{folder.parent.name}/{folder.name}"
        if not name.startswith(".") and (reason := _broken(folder)):
            yield name, Finding(Kind.CATALOG_ENTRY_BROKEN, str(folder), reason, hint=f"windlass get {name}")


def _broken(folder: Path) -> str | None:
    """What is wrong with an entry, None for nothing. One of neither text is none."""
    there = [name for name in _ENTRY if (folder / name).is_file()]
    if len(there) == 1:
        return f"it has {there[0]}, and no {_ENTRY[1 - _ENTRY.index(there[0])]}"
    try:
        if there:
            with (folder / "model.yaml").open("rb") as file:
                read_model_yaml(file.read(LIMIT + 1).decode())
    except HubError as error:
        return error.message.rstrip(".")
    except (OSError, UnicodeDecodeError) as error:
        return f"its model.yaml cannot be read: {error}"
    return None


def _is_there(shelf: Shelf) -> bool:
    """Of a disk that does not answer, no: what stands there cannot be told, and that it is gone is said besides."""
    return os.path.exists(shelf.models_dir)  # noqa: PTH110 - Path's own raises there
