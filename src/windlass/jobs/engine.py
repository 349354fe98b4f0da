"""How the two databases are opened and kept to the same promises: SQLite in a file, PostgreSQL for many machines.

What is said here of one of them is all that tells them apart; the store's statements are the same for both.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import ArgumentError, IntegrityError

from windlass.errors import DatabaseUnreadable, InvalidRequest, StateFailure
from windlass.jobs.database import alone_in

_HINT = "Check WINDLASS_HOME, its disk, and who may write there."
_TURN = 0x57494E44  # the key of the lock under which numbers are given: any number that nobody else takes
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BYTE = 0xFF  # of SQLite's code for an error, the part that says which; the rest says more of it


def open_engine(url: str) -> Engine:
    """The database at an address.

    Raises:
        InvalidRequest: the address is none that can be used.
        StateFailure: the file cannot be made.
    """
    try:
        address = _address(url)
        sqlite = address.get_backend_name() == "sqlite"
        engine = sa.create_engine(address, **(_SQLITE if sqlite else _POSTGRESQL))
    except (ArgumentError, ImportError) as error:
        hint = (
            "Write sqlite:///FILE or postgresql://…; PostgreSQL needs its driver: pip install 'windlass[postgresql]'."
        )
        raise InvalidRequest(f"WINDLASS_DATABASE_URL cannot be used: {error}.", hint=hint) from error
    event.listen(engine, "handle_error", _translate)
    if sqlite:
        if engine.url.database:
            _make_file(engine.url.database)
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    return engine


# isolation_level=None: Python's own module would begin transactions where it sees fit. A database that is asked again
# after a while may have been started anew since (pool_pre_ping); one that does not answer is not waited for.
_SQLITE: dict[str, Any] = {"connect_args": {"timeout": 30, "isolation_level": None}}
_POSTGRESQL: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}


def _address(url: str) -> URL:
    """The address with the driver that is ours, where it names none."""
    address = sa.make_url(url)
    if address.drivername in {"postgresql", "postgres"}:
        return address.set(drivername="postgresql+psycopg")
    return address


def reader_of(engine: Engine) -> Engine:
    """The same database for those who only look: what one look sees is of one moment, and nobody waits for it."""
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    return engine.execution_options(reading=True, **options)


def is_reading(connection: Connection) -> bool:
    """Whether it is of a reader."""
    return bool(connection.get_execution_options().get("reading"))


def in_turn(connection: Connection) -> None:
    """Until the end of the transaction, let nobody else come here.

    So numbers come into sight in the order in which they are given. PostgreSQL gives them at once and shows them at the
    commit: whoever asks for all after 7 would never see 6, if 6 was committed later. SQLite has one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))


def check(connection: Connection) -> None:
    """Look at the whole of a SQLite file: 30 ms for 10,000 jobs. PostgreSQL does so itself.

    Found later, damage would stop a server in the middle of its work, at whatever first reads that page.

    Raises:
        DatabaseUnreadable: it is damaged.
    """
    if connection.dialect.name != "sqlite":
        return
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise unreadable(connection, found)
    if sa.inspect(connection).has_table("jobs"):  # pages may be whole whose texts are not
        query = "SELECT id FROM jobs WHERE NOT json_valid(manifest) LIMIT 1"
        if broken := connection.exec_driver_sql(query).scalar():
            raise unreadable(connection, f"what job {broken} is to bring in is no JSON")


def _make_file(database: str) -> None:
    """An empty file is a new database to SQLite, which itself would make it readable by everybody.

    Two processes that have the same new database change to the write-ahead log find it locked by each other, and
    neither waits: so one does it before the other looks.
    """
    path = Path(database)
    if path.exists() and path.stat().st_size:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone_in(path.parent):
            path.touch(mode=0o600)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
    except OSError as error:
        raise StateFailure(f"{database} cannot be made: {error.strerror}.", hint=_HINT) from error
    except sqlite3.Error as error:
        raise StateFailure(f"{database} cannot be made: {error}.", hint=_HINT) from error


def _translate(context: ExceptionContext) -> None:
    """The database's errors become ours here, at the one boundary; a broken promise of uniqueness is for `add`."""
    if context.is_pre_ping or isinstance(context.sqlalchemy_exception, IntegrityError):
        return
    error = context.original_exception
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & _BYTE in _DAMAGED:
        raise _unreadable(context.engine, error)
    said = str(error).partition("\n")[0].rstrip(".")  # PostgreSQL goes on with a drawing of the place
    raise StateFailure(f"{_named(context.engine)} cannot be used: {said}.", hint=_HINT)


def unreadable(connection: Connection, why: object) -> DatabaseUnreadable:
    """What to say of a database whose content makes no sense."""
    return _unreadable(connection.engine, why)


def _unreadable(engine: Engine | None, why: object) -> DatabaseUnreadable:
    hint = "The next start sets it aside and begins a new one. Models and what has come of unfinished ones stay."
    return DatabaseUnreadable(f"{_named(engine)} cannot be read: {why}.", hint=hint)


def _named(engine: Engine | None) -> str:
    return engine.url.render_as_string() if engine else "The database"


def _configure(connection: Any, _record: Any) -> None:
    """WAL, so that readers never wait for the writer; FULL, so that a job once answered for outlives a power cut."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that begins as a reader may fail half way with "database is locked"."""
    connection.exec_driver_sql("BEGIN" if is_reading(connection) else "BEGIN IMMEDIATE")
