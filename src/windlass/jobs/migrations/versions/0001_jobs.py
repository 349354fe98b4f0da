"""The first tables: jobs, and the history of their moves."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OPEN = sa.text("state IN ('queued', 'running', 'paused', 'failed')")


def upgrade() -> None:
    """Make both tables and their indexes."""
    op.create_table(
        "jobs",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(20), nullable=False, unique=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("phase", sa.String(12), nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("downloaded", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("limit_rate", sa.BigInteger),
        sa.Column("owner", sa.String(40)),
        sa.Column("error_code", sa.String(40)),
        sa.Column("error_message", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("completed_at", sa.Float),
        sqlite_autoincrement=True,
    )
    op.create_index("one_open_job_a_key", "jobs", ["key"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("jobs_by_state", "jobs", ["state", "number"])
    op.create_table(
        "transitions",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String(20), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("edge", sa.String(12), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("note", sa.Text),
    )
    op.create_index("ix_transitions_job", "transitions", ["job"])
