"""Jobs may wait for room on the disk: since when, and they are open jobs too."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_OPEN = sa.text("state IN ('queued', 'running', 'paused', 'waiting', 'failed')")


def upgrade() -> None:
    """Add the column, and make the promise of one open job anew with the new state in it."""
    op.add_column("jobs", sa.Column("waiting_since", sa.Float))
    op.drop_index("one_open_job_a_key", "jobs")
    op.create_index("one_open_job_a_key", "jobs", ["key"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
