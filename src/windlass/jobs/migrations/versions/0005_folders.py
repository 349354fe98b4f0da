"""There may be several models folders, and each job goes to one; those of before to the first."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("jobs", sa.Column("folder", sa.Text))
