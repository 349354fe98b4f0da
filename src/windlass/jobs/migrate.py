"""Bring a database to the schema of this program, or say why that cannot be."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from windlass.errors import DatabaseTooNew
from windlass.jobs.schema import HEAD, metadata


def migrate(connection: Connection) -> None:
    """Upgrade to `HEAD` if need be. Alembic costs half a second to import, so it is only asked when there is work.

    Raises:
        DatabaseTooNew: a newer program has been here.
    """
    if version(connection) == HEAD:
        return
    if not inspect(connection).get_table_names():
        _make(connection)
        return
    refuse_newer(connection)
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    scripts = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", scripts.replace("%", "%%"))  # Alembic reads it as a template
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise _unknown(version(connection)) from error


def refuse_newer(connection: Connection) -> None:
    """Schemas are numbered, so a later one is known by its number. Raises DatabaseTooNew."""
    found = version(connection)
    if found and found > HEAD:
        raise _unknown(found)


def _unknown(found: str | None) -> DatabaseTooNew:
    return DatabaseTooNew(
        f"The database is of schema {found}, which this Windlass does not know (it knows {HEAD}).",
        hint="A newer Windlass has written it: update this one, or set WINDLASS_HOME to another folder.",
    )


def _make(connection: Connection) -> None:
    """A new database gets the tables as they are now; a test holds that the migrations lead to the same ones."""
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def version(connection: Connection) -> str | None:
    """The number of its schema; None for one without."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found else None
