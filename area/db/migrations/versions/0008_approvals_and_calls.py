"""approvals, and runs that other runs start."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("runs", sa.Column("woken", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "approvals",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_approvals_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("pk_approvals")),
    )
    op.create_table(
        "calls",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("called_id", sa.Uuid(), nullable=False),
        sa.Column("is_awaited", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_calls_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("pk_calls")),
        sa.UniqueConstraint("called_id", name=op.f("uq_calls_called_id")),
    )
    op.create_index("ix_calls_awaited", "calls", ["called_id"], postgresql_where=sa.text("is_awaited"))


def downgrade() -> None:
    """Take back."""
    op.drop_table("calls")
    op.drop_table("approvals")
    op.drop_column("runs", "woken")
