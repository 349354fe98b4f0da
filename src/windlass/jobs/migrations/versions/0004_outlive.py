"""What is told of a job may outlive it: that it was forgotten is a move, too.

Whoever follows jobs and comes back after a restart would else keep one in his list that is gone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Let go of the foreign key. SQLite's has no name, and goes with the table that is made anew."""
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
    else:
        op.drop_constraint("transitions_job_fkey", "transitions", type_="foreignkey")


def _make_anew() -> None:
    table = sa.Table(
        "transitions",
        sa.MetaData(),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String(20), nullable=False),
        sa.Column("edge", sa.String(12), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("note", sa.Text),
        sqlite_autoincrement=True,
    )
    last = op.get_bind().exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'").scalar()
    with op.batch_alter_table("transitions", copy_from=table, recreate="always"):
        pass
    op.create_index("ix_transitions_job", "transitions", ["job"])
    if last:  # the new table would count on from what is left in it
        op.get_bind().exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'transitions'")
        op.get_bind().exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('transitions', ?)", (last,))
