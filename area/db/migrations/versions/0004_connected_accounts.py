"""connected accounts: identity, refreshing, death; attempts to connect; runs held for an account."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENTS = ("access_expires_at", "issued_at", "claim_until", "retry_at", "check_at", "died_at")
TABLE = "connected_accounts"


def upgrade() -> None:
    """Apply."""
    op.add_column(TABLE, sa.Column("method", sa.Text(), server_default="oauth2", nullable=False))
    op.add_column(TABLE, sa.Column("external_id", sa.Text(), nullable=True))
    op.execute("UPDATE connected_accounts SET external_id = id::text")
    op.alter_column(TABLE, "external_id", nullable=False)
    op.add_column(TABLE, sa.Column("avatar_url", sa.Text(), nullable=True))
    op.add_column(
        TABLE, sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column(TABLE, sa.Column("version", sa.Integer(), server_default="0", nullable=False))
    for name in MOMENTS:
        op.add_column(TABLE, sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column(TABLE, sa.Column("claim", sa.Uuid(), nullable=True))
    op.add_column(TABLE, sa.Column("failures_in_row", sa.Integer(), server_default="0", nullable=False))
    op.add_column(TABLE, sa.Column("last_error", sa.Text(), nullable=True))
    op.create_unique_constraint(
        op.f("uq_connected_accounts_user_id_service_external_id"), TABLE, ["user_id", "service", "external_id"]
    )
    op.create_check_constraint(op.f("ck_connected_accounts_method_known"), TABLE, "method IN ('oauth2', 'key')")
    op.create_index("ix_connected_accounts_service_external_id", TABLE, ["service", "external_id"])
    op.create_index(
        "ix_connected_accounts_check_at",
        TABLE,
        ["check_at"],
        postgresql_where=sa.text("check_at IS NOT NULL AND status IN ('active', 'expiring')"),
    )
    op.create_index(
        "ix_runs_held_account",
        "runs",
        [sa.text("(error ->> 'accountId')")],
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_table(
        "connection_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'unconfirmed', 'used')", name=op.f("ck_connection_attempts_status_known")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_connection_attempts_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["connected_accounts.id"],
            name=op.f("fk_connection_attempts_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection_attempts")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_connection_attempts_code_hash")),
    )
    op.create_index(op.f("ix_connection_attempts_user_id"), "connection_attempts", ["user_id"])
    op.create_index(op.f("ix_connection_attempts_expires_at"), "connection_attempts", ["expires_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("connection_attempts")
    op.drop_index("ix_runs_held_account", table_name="runs")
    op.drop_index("ix_connected_accounts_check_at", table_name=TABLE)
    op.drop_index("ix_connected_accounts_service_external_id", table_name=TABLE)
    op.drop_constraint(op.f("ck_connected_accounts_method_known"), TABLE)
    op.drop_constraint(op.f("uq_connected_accounts_user_id_service_external_id"), TABLE)
    for name in (
        "method",
        "external_id",
        "avatar_url",
        "facts",
        "version",
        *MOMENTS,
        "claim",
        "failures_in_row",
        "last_error",
    ):
        op.drop_column(TABLE, name)
