"""The jobs on disk. Each move is one guarded statement: it happens if the job is where the edge starts, or not."""

import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from windlass.errors import IllegalMove, JobNotFound, WindlassError
from windlass.jobs.engine import check, in_turn, is_reading, open_engine, reader_of, unreadable
from windlass.jobs.job import End, Job
from windlass.jobs.manifests import Manifests
from windlass.jobs.migrate import migrate
from windlass.jobs.schema import jobs, transitions
from windlass.jobs.states import EDGES, OPEN, OVER, RETRY, START, Edge, Phase, State
from windlass.manifest import Manifest

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
_AT_ONCE = 500  # manifests that are read by one statement
FORGOTTEN = "forget"  # the one move that is left of a job
_TOLD_OF = 100_000  # moves after which nobody needs to be told any more that a job was forgotten


class Store:
    """The jobs. Safe to use from several threads, and the database from several processes.

    Args:
        database_url: as SQLAlchemy takes it.
        clock: Unix time.

    Raises:
        InvalidRequest: the address is none that can be used.
        StateFailure: the database cannot be opened, or is newer than this program. From every other verb too, when the
            database cannot be read or written then.
        DatabaseUnreadable: it is damaged, or was never one. From every other verb too.
    """

    def __init__(self, database_url: str, clock: Clock) -> None:
        self._clock = clock
        self._manifests = Manifests()
        self._engine = open_engine(database_url)
        self._reader = reader_of(self._engine)
        try:
            with self._engine.begin() as connection:
                in_turn(connection)
                check(connection)
                migrate(connection)
        except WindlassError:
            self.close()  # else the file stays open, and cannot be set aside cleanly
            raise

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Asking

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            JobNotFound: no job has this id.
        """
        with self._reader.connect() as connection:
            return self._get(connection, job_id)

    def jobs(
        self, states: Collection[State] = tuple(State), *, limit: int | None = None, before: int | None = None
    ) -> list[Job]:
        """Jobs in any of these states, newest first; `before` is a job's number, to go on from there."""
        query = _LOOK.where(jobs.c.state.in_(states)).order_by(jobs.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(jobs.c.number < before)
        with self._reader.connect() as connection:
            return self._read(connection, query)

    def open_job(self, key: str) -> Job | None:
        """The job that is under way, paused or failed for this manifest key."""
        return self._newest(key, OPEN)

    def completed_job(self, key: str) -> Job | None:
        """The newest job that completed this manifest key."""
        return self._newest(key, {State.COMPLETED})

    def history(self, job_id: str) -> list[tuple[float, str, str | None]]:
        """The moves of a job, oldest first: when, by which edge, and what there was to say."""
        moves = sa.and_(transitions.c.job == job_id, transitions.c.edge != FORGOTTEN)
        query = sa.select(transitions).where(moves).order_by(transitions.c.number)
        with self._reader.connect() as connection:
            return [(row.at, row.edge, row.note) for row in connection.execute(query)]

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
        with self._reader.connect() as connection:
            found = {State(state): count for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in State}

    def last_move(self) -> int:
        """The number of the last move of any job, 0 where there was none."""
        with self._reader.connect() as connection:
            return connection.execute(sa.select(sa.func.max(transitions.c.number))).scalar() or 0

    def moved_since(self, number: int, limit: int = 1000) -> list[str]:
        """Ids of jobs that were moved or forgotten after that move, at most `limit` of them, those moved last."""
        last = sa.func.max(transitions.c.number)
        query = sa.select(transitions.c.job).where(transitions.c.number > number).group_by(transitions.c.job)
        with self._reader.connect() as connection:
            found = connection.execute(query.order_by(last.desc()).limit(limit)).scalars().all()
        return list(reversed(found))

    def next_end(self, after: int) -> End | None:
        """The first move after that one that completed or failed a job."""
        query = sa.select(transitions).where(transitions.c.number > after, transitions.c.edge.in_(_ENDS))
        with self._reader.connect() as connection:
            row = connection.execute(query.order_by(transitions.c.number).limit(1)).one_or_none()
        return End(row.number, row.job, _ENDS[row.edge], row.at) if row else None

    def ids(self, states: Collection[State], limit: int = 1000) -> list[str]:
        """Ids of the newest jobs in any of these states, oldest first."""
        query = sa.select(jobs.c.id).where(jobs.c.state.in_(states)).order_by(jobs.c.number.desc()).limit(limit)
        with self._reader.connect() as connection:
            return list(reversed(connection.execute(query).scalars().all()))

    # Writing

    def add(self, manifest: Manifest, folder: str | None = None) -> Job:
        """The open job for this manifest: a new one in the queue, or the one that is there already."""
        while True:
            try:
                return self._insert(manifest, State.QUEUED, folder)
            except IntegrityError:
                existing = self.open_job(manifest.key)
                if existing:
                    return existing  # else it was over between the two statements: try again

    def add_completed(self, manifest: Manifest, folder: str | None = None) -> Job:
        """A completed job for a model that is here already: the newest there is, or one that is made for the record."""
        return self.completed_job(manifest.key) or self._insert(manifest, State.COMPLETED, folder)

    def move(self, job_id: str, edge: Edge, *, note: str | None = None, **changes: Any) -> Job:
        """Move a job along an edge, with changes to its columns.

        Raises:
            JobNotFound: no job has this id.
            IllegalMove: the job is not where the edge starts; nothing was changed.
        """
        changes = {**_changes(edge, self._clock()), **changes}
        guard = sa.and_(jobs.c.id == job_id, jobs.c.state.in_(edge.sources))
        with self._engine.begin() as connection:
            moved = connection.execute(sa.update(jobs).where(guard).values(state=edge.target, **changes)).rowcount
            if not moved:
                raise IllegalMove(f"Job {job_id} is {self._get(connection, job_id).state}: it cannot {edge.name}.")
            _note(connection, job_id, edge.name, self._clock(), note)
            job = self._get(connection, job_id)  # after the note, which tells that the manifest may be a new one
        _tell(job, edge.name, note)
        return job

    def retry(self, job_id: str, manifest: Manifest) -> Job:
        """Queue a failed job again, with the manifest as it resolves now."""
        return self.move(job_id, RETRY, manifest=manifest.to_json())

    def progress(self, job_id: str, downloaded: int, phase: Phase | None = None) -> bool:
        """Note how far an open job is, and its phase where it runs; whether it is (still) open, or running."""
        guard = sa.and_(jobs.c.id == job_id, jobs.c.state.in_({State.RUNNING} if phase else OPEN))
        values = {"downloaded": downloaded, **({"phase": phase} if phase else {})}
        with self._engine.begin() as connection:
            return bool(connection.execute(sa.update(jobs).where(guard).values(values)).rowcount)

    def settle(self, job_id: str, downloaded: int, phase: Phase) -> None:
        """Note how far a job was when it was told to stop. One that was resumed meanwhile is in the queue already."""
        guard = sa.and_(jobs.c.id == job_id, jobs.c.state != State.COMPLETED)
        stopped = sa.case((jobs.c.state == State.QUEUED, jobs.c.phase), else_=phase)
        with self._engine.begin() as connection:
            connection.execute(sa.update(jobs).where(guard).values(downloaded=downloaded, phase=stopped))

    def change(self, job_id: str, **changes: Any) -> Job:
        """Set a job's `priority` or `limit_rate`.

        Raises:
            JobNotFound: no job has this id.
        """
        with self._engine.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**changes))
            return self._get(connection, job_id)

    def forget(self, job_id: str) -> None:
        """Remove a job that is over.

        Raises:
            JobNotFound: no job has this id.
            IllegalMove: it is not over.
        """
        guard = sa.and_(jobs.c.id == job_id, jobs.c.state.in_(OVER))
        with self._engine.begin() as connection:
            job = self._get(connection, job_id)
            if not connection.execute(sa.delete(jobs).where(guard)).rowcount:
                raise IllegalMove(f"Job {job_id} is {job.state}: it cannot be forgotten.", hint="Cancel it first.")
            connection.execute(sa.delete(transitions).where(transitions.c.job == job_id))
            number = _note(connection, job_id, FORGOTTEN, self._clock(), None)
            old = sa.and_(transitions.c.edge == FORGOTTEN, transitions.c.number < number - _TOLD_OF)
            connection.execute(sa.delete(transitions).where(old))

    def _newest(self, key: str, states: Collection[State]) -> Job | None:
        guard = sa.and_(jobs.c.key == key, jobs.c.state.in_(states))
        with self._reader.connect() as connection:
            found = self._read(connection, _LOOK.where(guard).order_by(jobs.c.number.desc()).limit(1))
        return found[0] if found else None

    def _insert(self, manifest: Manifest, state: State, folder: str | None) -> Job:
        now, over = self._clock(), state is State.COMPLETED
        text = manifest.to_json()
        values = {
            "id": f"job_{secrets.token_hex(5)}",
            "key": manifest.key,
            "state": state,
            "phase": Phase.DONE if over else Phase.QUEUED,
            "manifest": text,
            "downloaded": manifest.total_size if over else 0,
            "priority": 0,
            "created_at": now,
            "started_at": now if over else None,
            "completed_at": now if over else None,
            "folder": folder,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(jobs).values(values))
            _note(connection, str(values["id"]), "add", now, "was here already" if over else None)
            row = connection.execute(_LOOK.where(jobs.c.id == values["id"])).mappings().one()
        self._manifests.keep((row["id"], row["brought_by"]), manifest, len(text))
        job = _job(row, manifest)
        _tell(job, "add", None)
        return job

    def _get(self, connection: Connection, job_id: str) -> Job:
        for job in self._read(connection, _ONE, {"job_id": job_id}):
            return job
        raise JobNotFound(job_id)

    def _read(self, connection: Connection, look: "sa.Select[Any]", values: dict[str, Any] | None = None) -> list[Job]:
        """The jobs of a `_LOOK`, with their manifests."""
        rows = connection.execute(look, values).mappings().all()
        found = {row["id"]: self._manifests.get((row["id"], row["brought_by"])) for row in rows}
        missing = [row for row in rows if found[row["id"]] is None]
        found.update(self._fetch_manifests(connection, missing))
        return [_job(row, manifest) for row in rows if (manifest := found[row["id"]])]

    def _fetch_manifests(self, connection: Connection, rows: Sequence[RowMapping]) -> Iterator[tuple[str, Manifest]]:
        """By job. Only what a reader sees is kept: a number that is rolled back is given to another move."""
        brought_by = {row["id"]: row["brought_by"] for row in rows}
        ids, reading = list(brought_by), is_reading(connection)
        for start in range(0, len(ids), _AT_ONCE):
            query = sa.select(jobs.c.id, jobs.c.manifest).where(jobs.c.id.in_(ids[start : start + _AT_ONCE]))
            for job_id, text in connection.execute(query):
                manifest = _manifest(connection, job_id, text)
                if reading:
                    self._manifests.keep((job_id, brought_by[job_id]), manifest, len(text))
                yield job_id, manifest


_ENDS = {edge.name: edge.target for edge in EDGES if edge.target in {State.COMPLETED, State.FAILED}}

# A job without its manifest, which is long and seldom new: `brought_by` tells whether it is.
_BROUGHT_BY = sa.select(sa.func.max(transitions.c.number)).where(
    transitions.c.job == jobs.c.id, transitions.c.edge.in_(("add", RETRY.name))
)
_LOOK = sa.select(
    *(column for column in jobs.c if column.name not in {"key", "manifest"}),
    _BROUGHT_BY.scalar_subquery().label("brought_by"),
)
# Made once, for it is asked often: to recognize one put together anew takes SQLAlchemy as long as all the rest.
_ONE = _LOOK.where(jobs.c.id == sa.bindparam("job_id"))


def _changes(edge: Edge, now: float) -> dict[str, Any]:
    """What an edge changes besides the state."""
    clean = {"error_code": None, "error_message": None, "waiting_since": None}
    if edge is START:
        return {**clean, "phase": Phase.RESOLVING, "started_at": sa.func.coalesce(jobs.c.started_at, now)}
    if edge.target is State.COMPLETED:
        return {**clean, "phase": Phase.DONE, "owner": None, "completed_at": now}
    if edge.target is State.QUEUED:
        return {**clean, "phase": Phase.QUEUED, "owner": None}
    return {**clean, "owner": None, "waiting_since": now if edge.target is State.WAITING else None}


def _note(connection: Connection, job_id: str, edge: str, at: float, note: str | None) -> int:
    in_turn(connection)  # who has seen a move's number has seen all moves before it
    noting = sa.insert(transitions).values(job=job_id, edge=edge, at=at, note=note)
    return int(connection.execute(noting.returning(transitions.c.number)).scalar_one())


def _tell(job: Job, edge: str, note: str | None) -> None:
    """For the log, once it is true."""
    facts = {"job": job.id, "model": job.manifest.id, "edge": edge, "state": job.state, "error_code": job.error_code}
    _log.info("%s of %s: %s (%s)", job.id, job.manifest.id, edge, note or job.state, extra=facts)


def _manifest(connection: Connection, job_id: str, text: str) -> Manifest:
    try:
        return Manifest.from_json(text)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise unreadable(connection, f"what job {job_id} is to bring in cannot be read ({error})") from error


def _job(row: RowMapping, manifest: Manifest) -> Job:
    values = {name: value for name, value in row.items() if name != "brought_by"}
    values["state"], values["phase"] = State(values["state"]), Phase(values["phase"])
    return Job(**values, manifest=manifest)
