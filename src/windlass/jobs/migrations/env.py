"""Alembic's entry: the connection is handed in by `migrate.py`; there is no command line and no ini file."""

from alembic import context

from windlass.jobs.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
