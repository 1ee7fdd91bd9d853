"""overlap of runs, priorities, and the queue's order."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LIVE = "status IN ('queued', 'running', 'waiting', 'held')"
POLICIES = "overlap IN ('queue', 'drop', 'replace')"

# Every statement of a VOLATILE function has a snapshot of its own: what is counted after the lock was given includes
# all that was committed by those who had it before.
LIVE_RUNS = """
CREATE FUNCTION area_live_runs(asked uuid) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT pg_advisory_xact_lock(hashtextextended(asked::text, 0));
  SELECT count(*) FROM runs
  WHERE area_id = asked AND max_concurrent_runs IS NOT NULL AND status IN ('queued', 'running', 'waiting');
$$
"""

ADMIT = """
CREATE FUNCTION area_admit(asked uuid) RETURNS TABLE (run_id uuid, owner_id uuid, verdict text) LANGUAGE sql VOLATILE AS $$
  SELECT pg_advisory_xact_lock(hashtextextended(asked::text, 0));
  WITH head AS (
    SELECT max_concurrent_runs AS most, overlap FROM runs
    WHERE area_id = asked AND NOT admitted AND max_concurrent_runs IS NOT NULL AND status = 'queued'
    ORDER BY priority, id LIMIT 1
  ), replaced AS (
    -- The newest stay. Only asked for where the policy is to replace: a long queue is not read for nothing.
    SELECT id, user_id FROM (
      SELECT id, user_id, row_number() OVER (ORDER BY id DESC) AS place FROM runs
      WHERE (SELECT overlap FROM head) = 'replace' AND area_id = asked AND max_concurrent_runs IS NOT NULL
        AND status IN ('queued', 'running', 'waiting') AND NOT cancel_requested
    ) ranked WHERE place > (SELECT most FROM head)
  ), chosen AS (
    SELECT id FROM runs
    WHERE area_id = asked AND NOT admitted AND max_concurrent_runs IS NOT NULL AND status = 'queued'
      AND id NOT IN (SELECT id FROM replaced)
    ORDER BY priority, id
    LIMIT greatest(0, (SELECT most FROM head) - (
      SELECT count(*) FROM runs WHERE area_id = asked AND admitted AND max_concurrent_runs IS NOT NULL
        AND status IN ('queued', 'running', 'waiting')))
  ), let_in AS (
    UPDATE runs SET admitted = true FROM chosen WHERE runs.id = chosen.id AND runs.status = 'queued'
    RETURNING runs.id, runs.user_id
  )
  SELECT id, user_id, 'admitted' FROM let_in UNION ALL SELECT id, user_id, 'replaced' FROM replaced;
$$
"""


def upgrade() -> None:
    """Apply."""
    for table in ("areas", "area_versions"):
        op.add_column(table, sa.Column("overlap", sa.Text(), server_default="queue", nullable=False))
        op.create_check_constraint(op.f(f"ck_{table}_overlap_known"), table, POLICIES)
    op.add_column("areas", sa.Column("max_concurrent_runs", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE areas SET max_concurrent_runs = v.max_concurrent_runs FROM area_versions v "
        "WHERE v.id = areas.published_version_id"
    )
    op.add_column("runs", sa.Column("priority", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("runs", sa.Column("max_concurrent_runs", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("overlap", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("admitted", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.drop_column("runs", "rung_at")
    op.drop_index("ix_runs_live", table_name="runs")
    op.create_index(
        "ix_runs_live",
        "runs",
        ["status", "admitted", "user_id", "priority", "id"],
        postgresql_where=sa.text(LIVE),
    )
    op.create_index("ix_runs_due", "runs", ["due_at"], postgresql_where=sa.text("status = 'waiting'"))
    op.create_index(
        "ix_runs_limited",
        "runs",
        ["area_id", "admitted", "priority", "id"],
        postgresql_where=sa.text("max_concurrent_runs IS NOT NULL AND status IN ('queued', 'running', 'waiting')"),
    )
    op.execute(LIVE_RUNS)
    op.execute(ADMIT)


def downgrade() -> None:
    """Undo."""
    op.execute("DROP FUNCTION area_admit(uuid)")
    op.execute("DROP FUNCTION area_live_runs(uuid)")
    op.drop_index("ix_runs_limited", table_name="runs")
    op.drop_index("ix_runs_due", table_name="runs")
    op.drop_index("ix_runs_live", table_name="runs")
    op.create_index("ix_runs_live", "runs", ["status", "created_at"], postgresql_where=sa.text(LIVE))
    op.add_column("runs", sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True))
    for column in ("admitted", "overlap", "max_concurrent_runs", "priority"):
        op.drop_column("runs", column)
    op.drop_column("areas", "max_concurrent_runs")
    for table in ("areas", "area_versions"):
        op.drop_column(table, "overlap")
