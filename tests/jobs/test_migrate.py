"""Migrations: they make the tables that the code speaks of, and a newer database is left alone."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sample import numbered
from windlass.errors import DatabaseTooNew
from windlass.jobs import migrate as module
from windlass.jobs.migrate import migrate
from windlass.jobs.schema import HEAD, metadata
from windlass.jobs.states import START, WAIT
from windlass.jobs.store import Store


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


def test_a_database_of_the_first_schema_keeps_its_jobs(tmp_path: Path) -> None:
    """Brought up to date it has the same jobs, none of which waits for room, and one that does is an open one."""
    url = f"sqlite:///{tmp_path}/windlass.db"
    with Store(url, lambda: 1.0) as store:
        before = [store.add(numbered(number)) for number in (1, 2)]
    with sqlite3.connect(tmp_path / "windlass.db") as connection:
        connection.executescript(
            "DROP INDEX one_open_job_a_key; ALTER TABLE jobs DROP COLUMN waiting_since;"
            "CREATE UNIQUE INDEX one_open_job_a_key ON jobs (key)"
            " WHERE state IN ('queued', 'running', 'paused', 'failed');"
            "UPDATE alembic_version SET version_num = '0001'"
        )
    connection.close()
    with Store(url, lambda: 1.0) as store:
        assert store.jobs() == before[::-1]
        assert {job.waiting_since for job in before} == {None}
        store.move(before[0].id, START)
        store.move(before[0].id, WAIT)
        assert store.add(numbered(1)).id == before[0].id


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
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


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
