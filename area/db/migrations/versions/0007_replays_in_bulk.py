"""replays in bulk."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("runs", sa.Column("replay_batch", sa.Uuid(), nullable=True))
    op.create_index(
        "uq_runs_replay_batch_replay_of",
        "runs",
        ["replay_batch", "replay_of"],
        unique=True,
        postgresql_where=sa.text("replay_batch IS NOT NULL"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("uq_runs_replay_batch_replay_of", table_name="runs")
    op.drop_column("runs", "replay_batch")
