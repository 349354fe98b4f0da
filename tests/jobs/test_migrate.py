"""Migrations: they make the tables that the code speaks of, and a newer database is left alone."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from a_postgres import Postgres
from sample import numbered
from windlass.errors import DatabaseTooNew
from windlass.jobs import migrate as module
from windlass.jobs.engine import open_engine
from windlass.jobs.migrate import migrate
from windlass.jobs.schema import HEAD, metadata
from windlass.jobs.states import START, WAIT, State
from windlass.jobs.store import Store

SCRIPTS = str(Path(module.__file__).parent / "migrations")
SCHEMAS = Path(__file__).parent / "schemas"


def revisions() -> list[str]:
    """Every schema that there has been, oldest first."""
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


REVISIONS = revisions()


def by_migrations(connection: sa.Connection) -> None:
    """Step by step, as an older database comes here; an empty version table is the oldest there can be."""
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    migrate(connection)


def test_the_migrations_make_the_tables_that_the_code_speaks_of() -> None:
    """Alembic finds no difference in columns, types, indexes or constraints."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        by_migrations(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_promise_of_one_open_job_is_in_the_database() -> None:
    """Alembic does not compare an index's condition, so it is read: both ways make the very same index."""

    def index(make: object) -> str:
        engine = sa.create_engine("sqlite://")
        with engine.begin() as connection:
            make(connection)  # type: ignore[operator]
            query = "SELECT sql FROM sqlite_master WHERE name = 'one_open_job_a_key'"
            found = connection.exec_driver_sql(query).scalar_one()
        engine.dispose()
        return str(found)

    assert index(by_migrations) == index(migrate) == index(metadata.create_all)
    assert "state IN ('queued', 'running', 'paused', 'waiting', 'failed')" in index(migrate)


def keeps_its_jobs(url: str) -> None:
    """The jobs of `schemas/*.sql`: each as it was, with its history, and each can go on."""
    with Store(url, lambda: 9.0) as store:
        jobs = {job.id: job for job in store.jobs()}
        assert {job_id: job.state for job_id, job in jobs.items()} == {
            "job_0000000001": State.COMPLETED,
            "job_0000000002": State.QUEUED,
        }
        queued = jobs["job_0000000002"]
        assert (queued.manifest, queued.downloaded, queued.priority) == (numbered(2), 5, 7)
        assert (queued.limit_rate, queued.waiting_since) == (1000, None)
        assert [edge for _, edge, _ in store.history(queued.id)] == ["add", "start", "yield"]
        store.move(queued.id, START)
        store.move(queued.id, WAIT)
        assert store.add(numbered(2)).id == queued.id
        assert store.add(numbered(1)).number > queued.number


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_file_of_every_earlier_schema_keeps_its_jobs(tmp_path: Path, revision: str) -> None:
    """As a program of that time has left it: what is in `schemas` is not made by the migrations of today."""
    with closing(sqlite3.connect(tmp_path / "windlass.db")) as connection:
        connection.executescript((SCHEMAS / f"{revision}.sql").read_text(encoding="utf-8"))
    keeps_its_jobs(f"sqlite:///{tmp_path}/windlass.db")


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_with_every_earlier_schema_keeps_its_jobs(postgres: Postgres, revision: str) -> None:
    """Made by the migrations up to there, filled with the same jobs."""
    url = postgres.url()
    engine = open_engine(url)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", SCRIPTS)
        command.upgrade(config, revision)
        for line in (SCHEMAS / f"{revision}.sql").read_text(encoding="utf-8").splitlines():
            if line.startswith(('INSERT INTO "jobs"', 'INSERT INTO "transitions"')):
                connection.exec_driver_sql(line.replace("%", "%%"))
        for table in ("jobs", "transitions"):  # who gives numbers would go on from there
            last = f"(SELECT max(number) FROM {table})"
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'number'), {last})")
    engine.dispose()
    keeps_its_jobs(url)


def test_numbers_go_on_where_they_were_though_the_newest_is_gone(tmp_path: Path) -> None:
    """The table of moves is made anew on the way, and must not begin to count from what is left in it."""
    with closing(sqlite3.connect(tmp_path / "windlass.db")) as connection:
        connection.executescript((SCHEMAS / "0003.sql").read_text(encoding="utf-8"))
        connection.execute("UPDATE sqlite_sequence SET seq = 99 WHERE name = 'transitions'")
        connection.commit()
    with Store(f"sqlite:///{tmp_path}/windlass.db", lambda: 9.0) as store:
        store.add(numbered(3))
        assert store.last_move() == 100


def test_every_schema_is_kept_for_these_tests() -> None:
    """A migration that is added comes with what it leads on from."""
    assert {path.stem for path in SCHEMAS.glob("*.sql")} == set(REVISIONS)


def test_the_promise_is_made_in_postgresqls_words_too() -> None:
    """Its dialect is only imported where it is used; what would be sent to it has the condition."""
    sent: list[str] = []
    url = sa.make_url("postgresql+asyncpg://")

    def send(statement: sa.DDL, *_: object, **__: object) -> None:
        sent.append(str(statement.compile(dialect=url.get_dialect()())))

    metadata.create_all(sa.create_mock_engine(url, send), checkfirst=False)
    [index] = [statement for statement in sent if "one_open_job_a_key" in statement]
    assert "WHERE state IN ('queued', " in index


def test_head_is_the_newest_migration() -> None:
    """`HEAD` spares the import of Alembic at every start; a migration that is added must change it."""
    assert REVISIONS[-1] == HEAD


def test_a_database_that_is_up_to_date_is_not_touched(tmp_path: Path) -> None:
    """The second start finds the jobs of the first. Neither imports Alembic, which costs half a second."""
    url = f"sqlite:///{tmp_path}/windlass.db"
    with Store(url, lambda: 0.0) as store:
        job = store.add(numbered(1))
    code = (
        "import sys; from windlass.jobs.store import Store; "
        f"print([j.id for j in Store({url!r}, float).jobs()], 'alembic' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == f"{[job.id]} False\n"


def test_an_empty_version_table_counts_as_a_new_database() -> None:
    """As a start that was ended between two statements may leave it."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        by_migrations(connection)
        assert sa.inspect(connection).has_table("jobs")
    engine.dispose()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """An older program might write what the newer one cannot read; the error names both schemas."""
    path = tmp_path / "windlass.db"
    Store(f"sqlite:///{path}", lambda: 0.0).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseTooNew, match=f"schema 9999.*it knows {HEAD}") as caught:
        Store(f"sqlite:///{path}", lambda: 0.0)
    assert caught.value.hint
    assert "update" in caught.value.hint
    assert path.read_bytes() == before
