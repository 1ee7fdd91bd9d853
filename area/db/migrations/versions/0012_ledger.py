"""counted deliveries, and runs found by their event."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("deliveries", sa.Column("count", sa.Integer(), server_default="1", nullable=False))
    op.add_column("deliveries", sa.Column("hour", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_deliveries_area_id_id", "deliveries", ["area_id", "id"])
    op.create_index("ix_deliveries_run_id", "deliveries", ["run_id"], postgresql_where=sa.text("run_id IS NOT NULL"))
    op.create_index(
        "ix_deliveries_event_id", "deliveries", ["event_id"], postgresql_where=sa.text("event_id IS NOT NULL")
    )
    op.create_index(
        "uq_deliveries_area_id_outcome_hour",
        "deliveries",
        ["area_id", "outcome", "hour"],
        unique=True,
        postgresql_where=sa.text("hour IS NOT NULL"),
    )
    # The same uniqueness, the other way round: runs of an event are found by it.
    op.create_index(
        "uq_runs_event_id_area_id",
        "runs",
        ["event_id", "area_id"],
        unique=True,
        postgresql_where=sa.text("replay_of IS NULL AND NOT is_test"),
    )
    op.drop_index("uq_runs_area_id_event_id", table_name="runs")
    op.create_index(
        "ix_runs_event_id_again",
        "runs",
        ["event_id"],
        postgresql_where=sa.text("replay_of IS NOT NULL OR is_test"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_runs_event_id_again", table_name="runs")
    op.create_index(
        "uq_runs_area_id_event_id",
        "runs",
        ["area_id", "event_id"],
        unique=True,
        postgresql_where=sa.text("replay_of IS NULL AND NOT is_test"),
    )
    op.drop_index("uq_runs_event_id_area_id", table_name="runs")
    for name in (
        "uq_deliveries_area_id_outcome_hour",
        "ix_deliveries_event_id",
        "ix_deliveries_run_id",
        "ix_deliveries_area_id_id",
    ):
        op.drop_index(name, table_name="deliveries")
    op.drop_column("deliveries", "hour")
    op.drop_column("deliveries", "count")
