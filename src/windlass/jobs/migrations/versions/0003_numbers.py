"""Numbers of moves are never given twice, though the job with the newest ones was forgotten.

Whoever counts on from a number would miss the move that gets a lower one later. PostgreSQL's sequences never go back.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make SQLite's table anew, for it cannot be told so afterwards."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("transitions", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
