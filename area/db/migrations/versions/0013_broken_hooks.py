"""broken hooks are found without a look at all."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_hooks_broken", "hooks", ["id"], postgresql_where=sa.text("status = 'broken'"))


def downgrade() -> None:
    """Revert."""
    op.drop_index("ix_hooks_broken", table_name="hooks")
