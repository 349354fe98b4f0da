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
    if _version(connection) == HEAD:
        return
    if not inspect(connection).get_table_names():
        _make(connection)
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    scripts = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", scripts.replace("%", "%%"))  # Alembic reads it as a template
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseTooNew(
            f"The database is of schema {_version(connection)}, which this Windlass does not know (it knows {HEAD}).",
            hint="A newer Windlass has written it: update this one, or set WINDLASS_HOME to another folder.",
        ) from error


def _make(connection: Connection) -> None:
    """A new database gets the tables as they are now; a test holds that the migrations lead to the same ones."""
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found else None
