"""The tables. A change here needs a migration beside it (`migrations/versions`), and `HEAD` names the newest."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    text,
)

HEAD = "0005"

metadata = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER
_OPEN = text("state IN ('queued', 'running', 'paused', 'waiting', 'failed')")

jobs = Table(
    "jobs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(20), nullable=False, unique=True),
    Column("key", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("phase", String(12), nullable=False),
    Column("manifest", Text, nullable=False),
    Column("downloaded", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("limit_rate", BigInteger),
    Column("owner", String(40)),
    Column("error_code", String(40)),
    Column("error_message", Text),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("completed_at", Float),
    Column("waiting_since", Float),
    Column("folder", Text),
    Index("jobs_by_state", "state", "number"),
    sqlite_autoincrement=True,
)

# One open job a model and quantization, whoever asks, from however many processes: the database's own promise.
_one_open_job = Index("one_open_job_a_key", jobs.c.key, unique=True)


@event.listens_for(jobs, "before_create")
def _of_open_jobs_only(_table: Table, connection: Connection, **_: Any) -> None:
    """Say so in the words of the database at hand: `postgresql_where` would import that dialect in every command."""
    _one_open_job.dialect_options[connection.dialect.name]["where"] = _OPEN


# A job's moves; of one that was forgotten, that it was (`FORGOTTEN`), for those who followed it: so no foreign key.
transitions = Table(
    "transitions",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("job", String(20), nullable=False, index=True),
    Column("edge", String(12), nullable=False),
    Column("at", Float, nullable=False),
    Column("note", Text),
    sqlite_autoincrement=True,
)
