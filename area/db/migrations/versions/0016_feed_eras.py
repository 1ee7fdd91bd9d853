"""the feed's ids go on growing in another Postgres, where those of transactions begin anew."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# The timeline is a new one when this very cluster was set back to an earlier moment. Where a provider does not let us see
# either, every start of the server counts as another place: an era too many does no harm.
CLUSTER = """
CREATE FUNCTION area_cluster() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN (SELECT system_identifier FROM pg_control_system()) || '/' || (SELECT timeline_id FROM pg_control_checkpoint());
EXCEPTION WHEN OTHERS THEN
  RETURN 'started ' || extract(epoch FROM pg_postmaster_start_time());
END
$$
"""

IN_ERA = """
CREATE FUNCTION area_in_era() RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT coalesce((SELECT cluster = area_cluster() FROM feed_eras ORDER BY base DESC LIMIT 1), false)
$$
"""

# The lock waits for whoever has written with the base before: when the new one is seen, all lines below it are committed.
# Ids begin at the present second times 2^31. No server begins that many transactions a second, so they are above all that any
# era before has given, also one that is not in this table because it began after the backup. A clock that is wrong is not trusted.
ENTER_ERA = """
CREATE FUNCTION area_enter_era() RETURNS boolean LANGUAGE plpgsql VOLATILE SET lock_timeout = '2s' AS $$
DECLARE
  start bigint;
BEGIN
  IF area_in_era() THEN
    RETURN false;
  END IF;
  LOCK TABLE run_events IN ACCESS EXCLUSIVE MODE;
  IF area_in_era() THEN
    RETURN false;
  END IF;
  SELECT greatest(
    (extract(epoch FROM clock_timestamp())::bigint << 31) - pg_current_xact_id()::text::bigint, max(base) + (1::bigint << 40)
  ) INTO start FROM feed_eras;
  INSERT INTO feed_eras (id, cluster, base) VALUES (area_uuid7(), area_cluster(), start);
  EXECUTE format('ALTER TABLE run_events ALTER COLUMN txid SET DEFAULT pg_current_xact_id()::text::bigint + %s', start);
  RETURN true;
END
$$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "feed_eras",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_eras")),
    )
    for function in (CLUSTER, IN_ERA, ENTER_ERA):
        op.execute(function)
    # Also where nothing was restored: nobody can tell, and every line written so far stands before what comes.
    op.execute("SELECT area_enter_era()")


def downgrade() -> None:
    """Revert. Lines keep their order; who held a cursor begins from a new one."""
    op.execute("ALTER TABLE run_events ALTER COLUMN txid SET DEFAULT pg_current_xact_id()::text::bigint")
    op.execute("UPDATE run_events SET txid = 0")
    op.execute("UPDATE hooks SET cursor = NULL WHERE action IN ('area.run_failed', 'area.run_succeeded')")
    for function in ("area_enter_era", "area_in_era", "area_cluster"):
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_table("feed_eras")
