"""the AREAs of a hook are found by an index, those that are switched off too: the ledger names them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_areas_hook_id", "areas", ["hook_id"], postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index("ix_areas_hook_id_live", table_name="areas")


def downgrade() -> None:
    """Revert."""
    op.create_index(
        "ix_areas_hook_id_live", "areas", ["hook_id"], postgresql_where=sa.text("is_enabled AND deleted_at IS NULL")
    )
    op.drop_index("ix_areas_hook_id", table_name="areas")
