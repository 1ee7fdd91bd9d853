"""the table of runs is vacuumed by what changed in it, not by a fifth of all that it ever held: it is a queue too."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Each claim walks past the entries of runs that have left the queue since the last vacuum. By Postgres's own rule a million
    # finished runs would let 200,000 of them gather.
    op.execute("ALTER TABLE runs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000)")


def downgrade() -> None:
    """Revert."""
    op.execute("ALTER TABLE runs RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
