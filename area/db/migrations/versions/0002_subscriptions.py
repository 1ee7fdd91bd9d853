"""subscriptions at providers, app-level routing, enriched events."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATUSES = "status IN ('pending', 'active', 'broken', 'ended', 'unused')"


def upgrade() -> None:
    """Apply."""
    op.add_column("events", sa.Column("enriched_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("hooks", sa.Column("subscribed_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("remote_id", "topic", "secret"):
        op.add_column("hooks", sa.Column(name, sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_hooks_status_known"), "hooks")
    op.create_check_constraint(op.f("ck_hooks_status_known"), "hooks", STATUSES)
    op.drop_index("ix_hooks_due", table_name="hooks")
    op.create_index("ix_hooks_due", "hooks", ["next_due_at"], postgresql_where=sa.text("next_due_at IS NOT NULL"))
    op.create_index("ix_hooks_topic", "hooks", ["topic"], postgresql_where=sa.text("topic IS NOT NULL"))
    # A hook that nobody uses is not due; from here on one may be, to end its subscription.
    op.execute("UPDATE hooks SET next_due_at = NULL WHERE status NOT IN ('active', 'broken')")


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_hooks_topic", table_name="hooks")
    op.drop_index("ix_hooks_due", table_name="hooks")
    op.create_index(
        "ix_hooks_due", "hooks", ["next_due_at"], postgresql_where=sa.text("status IN ('active', 'broken')")
    )
    op.execute("UPDATE hooks SET status = 'active' WHERE status = 'pending'")
    op.drop_constraint(op.f("ck_hooks_status_known"), "hooks")
    op.create_check_constraint(
        op.f("ck_hooks_status_known"), "hooks", "status IN ('active', 'broken', 'ended', 'unused')"
    )
    for name in ("secret", "topic", "remote_id", "subscribed_at"):
        op.drop_column("hooks", name)
    op.drop_column("events", "enriched_at")
