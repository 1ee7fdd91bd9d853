"""each service's own endpoint secret, sealed: it outlives the key that it was made with."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("services", sa.Column("endpoint_secret", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("services", "endpoint_secret")
