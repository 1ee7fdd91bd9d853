"""AREAs that fail again and again switch themselves off."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("areas", sa.Column("pause_after_failures", sa.Integer(), nullable=True))
    op.create_index("ix_areas_failing", "areas", ["id"], postgresql_where=sa.text("failures_in_row > 0"))


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_areas_failing", table_name="areas")
    op.drop_column("areas", "pause_after_failures")
