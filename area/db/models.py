"""The schema's one description. The words are the same in SQL, Python, GraphQL and the docs."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from area.core.ids import new_id


class RunStatus(StrEnum):
    """Where a run is in its life; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where a step is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Overlap(StrEnum):
    """What becomes of an event when as many runs of its AREA go on as may."""

    QUEUE = "queue"
    DROP = "drop"
    REPLACE = "replace"


class HookKind(StrEnum):
    """How a hook learns of events."""

    POLL = "poll"
    WEBHOOK = "webhook"
    SCHEDULE = "schedule"
    MANUAL = "manual"


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Base(DeclarativeBase):
    """Common ground: named constraints, UTC timestamps, JSONB for JSON."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB, list[Any]: JSONB, str: Text}  # noqa: RUF012


class _Row(Base):
    __abstract__ = True
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class User(_Row):
    """A person. The id equals Supabase's ``auth.users.id`` there."""

    __tablename__ = "users"
    email: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str] = mapped_column(server_default="")
    password_hash: Mapped[str | None] = mapped_column(deferred=True)
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower"),)


class Session(_Row):
    """One signed-in device: the family of one refresh token, rotated at each use."""

    __tablename__ = "sessions"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    refresh_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ApiToken(_Row):
    """A key that a user has given to a program; the token itself is stored nowhere."""

    __tablename__ = "api_tokens"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[Any]]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class TrustedDocument(Base):
    """A GraphQL document that a frontend registered, by its hash."""

    __tablename__ = "trusted_documents"
    hash: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ConnectedAccount(_Row):
    """A provider account that a user has connected; ``credentials`` is sealed with a key id, for this row alone."""

    __tablename__ = "connected_accounts"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    service: Mapped[str]
    method: Mapped[str] = mapped_column(server_default="oauth2")
    external_id: Mapped[str]
    label: Mapped[str]
    avatar_url: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    status: Mapped[str] = mapped_column(server_default="active")
    scopes: Mapped[list[Any]] = mapped_column(server_default="[]")
    credentials: Mapped[str | None] = mapped_column(deferred=True)
    version: Mapped[int] = mapped_column(server_default="0")
    access_expires_at: Mapped[datetime | None]
    issued_at: Mapped[datetime | None]
    claim: Mapped[UUID | None]
    claim_until: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    check_at: Mapped[datetime | None]
    died_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("user_id", "service", "external_id"),
        CheckConstraint("status IN ('active', 'expiring', 'needs_reconnect', 'revoked')", name="status_known"),
        CheckConstraint("method IN ('oauth2', 'key')", name="method_known"),
        Index("ix_connected_accounts_service_external_id", "service", "external_id"),
        Index(
            "ix_connected_accounts_check_at",
            "check_at",
            postgresql_where=text("check_at IS NOT NULL AND status IN ('active', 'expiring')"),
        ),
    )


class ConnectionAttempt(_Row):
    """One way to a provider's consent page and back, good once; ``secret`` is sealed: the PKCE verifier, then the grant."""

    __tablename__ = "connection_attempts"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    service: Mapped[str]
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("connected_accounts.id", ondelete="CASCADE"))
    scopes: Mapped[list[Any]] = mapped_column(server_default="[]")
    return_to: Mapped[str | None]
    browser_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    secret: Mapped[str | None] = mapped_column(deferred=True)
    status: Mapped[str] = mapped_column(server_default="open")
    expires_at: Mapped[datetime] = mapped_column(index=True)
    __table_args__ = (CheckConstraint("status IN ('open', 'unconfirmed', 'used')", name="status_known"),)


class ServiceRow(Base):
    """A catalogue entry, synced from code at start; an operator can switch one off."""

    __tablename__ = "services"
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    is_enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    endpoint_secret: Mapped[str | None] = mapped_column(deferred=True)


class Area(_Row):
    """One action and its reactions; ``version`` is the newest, ``published_version`` the one that runs."""

    __tablename__ = "areas"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    is_enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    paused_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    published_version: Mapped[int] = mapped_column(server_default="1")
    hook_id: Mapped[UUID | None] = mapped_column(ForeignKey("hooks.id", ondelete="SET NULL"))
    published_version_id: Mapped[UUID | None]
    failures_in_row: Mapped[int] = mapped_column(server_default="0")
    pause_after_failures: Mapped[int | None]
    # Copies of the published version's, so that intake reads one row for an AREA.
    max_concurrent_runs: Mapped[int | None]
    overlap: Mapped[str] = mapped_column(server_default="queue")
    idempotency_key: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    hook: Mapped["Hook | None"] = relationship(lazy="raise")
    __table_args__ = (
        UniqueConstraint("user_id", "idempotency_key"),
        _one_of("overlap", Overlap),
        Index("ix_areas_user_id_id", "user_id", "id"),
        Index("ix_areas_failing", "id", postgresql_where=text("failures_in_row > 0")),
        Index("ix_areas_hook_id", "hook_id", postgresql_where=text("deleted_at IS NULL")),
    )


class AreaVersion(_Row):
    """An immutable snapshot of an AREA: ``action`` is one object, ``reactions`` a list; ENGINE_DESIGN has their fields."""

    __tablename__ = "area_versions"
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id", ondelete="CASCADE"))
    version: Mapped[int]
    mode: Mapped[str] = mapped_column(server_default="sequential")
    max_concurrent_runs: Mapped[int | None]
    overlap: Mapped[str] = mapped_column(server_default="queue")
    action: Mapped[dict[str, Any]]
    reactions: Mapped[list[Any]]
    __table_args__ = (
        UniqueConstraint("area_id", "version"),
        CheckConstraint("mode IN ('sequential', 'parallel')", name="mode_known"),
        _one_of("overlap", Overlap),
    )


class Hook(_Row):
    """A watched source: one per (service, action, account, canonical inputs), however many AREAs hang on it."""

    __tablename__ = "hooks"
    source_key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    action: Mapped[str]
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("connected_accounts.id", ondelete="SET NULL"))
    config: Mapped[dict[str, Any]]
    token: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(server_default="active")
    cursor: Mapped[dict[str, Any] | None]
    next_due_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    last_fired_at: Mapped[datetime | None]
    last_polled_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    failure: Mapped[dict[str, Any] | None]
    expires_at: Mapped[datetime | None]
    subscribed_at: Mapped[datetime | None]
    remote_id: Mapped[str | None]
    topic: Mapped[str | None]
    secret: Mapped[str | None]
    __table_args__ = (
        _one_of("kind", HookKind),
        CheckConstraint("status IN ('pending', 'active', 'broken', 'ended', 'unused')", name="status_known"),
        Index("ix_hooks_due", "next_due_at", postgresql_where=text("next_due_at IS NOT NULL")),
        # Few, and asked for every second by those who want to be told.
        Index("ix_hooks_broken", "id", postgresql_where=text("status = 'broken'")),
        Index("ix_hooks_topic", "topic", postgresql_where=text("topic IS NOT NULL")),
    )


class Event(Base):
    """One thing that happened at a hook. It fires once: (hook_id, dedupe_key) is unique."""

    __tablename__ = "events"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    hook_id: Mapped[UUID] = mapped_column(ForeignKey("hooks.id", ondelete="CASCADE"))
    dedupe_key: Mapped[str]
    payload: Mapped[Any] = mapped_column(JSONB)
    occurred_at: Mapped[datetime | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    enriched_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("hook_id", "dedupe_key"),)


class Delivery(_Row):
    """What became of an event for an AREA: the answer to "why didn't it run?"."""

    __tablename__ = "deliveries"
    user_id: Mapped[UUID]
    hook_id: Mapped[UUID]
    area_id: Mapped[UUID | None]
    event_id: Mapped[UUID | None]
    run_id: Mapped[UUID | None]
    outcome: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    count: Mapped[int] = mapped_column(server_default="1")
    hour: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('ran', 'filtered', 'duplicate', 'throttled', 'paused', 'held', 'rejected')",
            name="outcome_known",
        ),
        Index("ix_deliveries_user_id_id", "user_id", "id"),
        Index("ix_deliveries_area_id_id", "area_id", "id"),
        Index("ix_deliveries_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        Index("ix_deliveries_event_id", "event_id", postgresql_where=text("event_id IS NOT NULL")),
        # Deliveries that made no event are counted by the hour.
        Index(
            "uq_deliveries_area_id_outcome_hour",
            "area_id",
            "outcome",
            "hour",
            unique=True,
            postgresql_where=text("hour IS NOT NULL"),
        ),
    )


class Run(Base):
    """One AREA executed for one event, under a lease with a fencing number."""

    __tablename__ = "runs"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    area_id: Mapped[UUID]
    area_version_id: Mapped[UUID]
    event_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(server_default="queued")
    cause: Mapped[str] = mapped_column(server_default="event")
    is_test: Mapped[bool] = mapped_column(server_default=text("false"))
    fence: Mapped[int] = mapped_column(server_default="0")
    takeovers: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    lease_until: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    max_concurrent_runs: Mapped[int | None]
    overlap: Mapped[str | None]
    admitted: Mapped[bool] = mapped_column(server_default=text("true"))
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    woken: Mapped[bool] = mapped_column(server_default=text("false"))
    replay_of: Mapped[UUID | None]
    replay_from: Mapped[str | None]
    replay_batch: Mapped[UUID | None]
    error: Mapped[dict[str, Any] | None]
    last_seq: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        _one_of("status", RunStatus),
        Index("ix_runs_user_id_id", "user_id", "id"),
        Index("ix_runs_area_id_id", "area_id", "id"),
        # An AREA runs once for an event; replays and tests are runs of their own.
        Index(
            "uq_runs_event_id_area_id",
            "event_id",
            "area_id",
            unique=True,
            postgresql_where=text("replay_of IS NULL AND NOT is_test"),
        ),
        Index("ix_runs_event_id_again", "event_id", postgresql_where=text("replay_of IS NOT NULL OR is_test")),
        # Runs that wait for an account to be connected again: ``error`` says for which.
        Index("ix_runs_held_account", text("(error ->> 'accountId')"), postgresql_where=text("status = 'held'")),
        # A replay in bulk repeats a run once, however often it is asked for.
        Index(
            "uq_runs_replay_batch_replay_of",
            "replay_batch",
            "replay_of",
            unique=True,
            postgresql_where=text("replay_batch IS NOT NULL"),
        ),
        # What workers claim: the queue of each user in its order, and the runs under way.
        Index(
            "ix_runs_live",
            "status",
            "admitted",
            "user_id",
            "priority",
            "id",
            postgresql_where=text("status IN ('queued', 'running', 'waiting', 'held')"),
        ),
        Index("ix_runs_due", "due_at", postgresql_where=text("status = 'waiting'")),
        # Only runs of AREAs with a limit are in it: those that count against it, and those that wait behind it.
        Index(
            "ix_runs_limited",
            "area_id",
            "admitted",
            "priority",
            "id",
            postgresql_where=text("max_concurrent_runs IS NOT NULL AND status IN ('queued', 'running', 'waiting')"),
        ),
    )


class RunStep(Base):
    """One reaction of a run."""

    __tablename__ = "run_steps"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    reaction: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="pending")
    attempt: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime | None]
    # Up to 1 MiB each, so they are read when they are asked for.
    input: Mapped[Any | None] = mapped_column(JSONB, deferred=True)
    output: Mapped[Any | None] = mapped_column(JSONB, deferred=True)
    error: Mapped[dict[str, Any] | None]
    effect: Mapped[str] = mapped_column(server_default="none")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        _one_of("status", StepStatus),
        CheckConstraint("effect IN ('none', 'intended', 'confirmed', 'unknown')", name="effect_known"),
        UniqueConstraint("run_id", "key"),
    )


class Approval(Base):
    """What a person decided for a step that asks; the first decision is the only one."""

    __tablename__ = "approvals"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    approved: Mapped[bool]
    comment: Mapped[str] = mapped_column(server_default="")
    decided_by: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Call(Base):
    """A run that a step of another run started: one for each step, however often that is tried."""

    __tablename__ = "calls"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    called_id: Mapped[UUID] = mapped_column(unique=True)
    is_awaited: Mapped[bool]
    __table_args__ = (Index("ix_calls_awaited", "called_id", postgresql_where=text("is_awaited")),)


class RunEvent(Base):
    """One line of a run: ``(run_id, seq)`` is contiguous from 1; ``txid`` orders the account feed by commit."""

    __tablename__ = "run_events"
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    area_id: Mapped[UUID]
    at: Mapped[datetime]
    kind: Mapped[str]
    level: Mapped[str]
    step: Mapped[str | None]
    message: Mapped[str]
    data: Mapped[Any | None] = mapped_column(JSONB)
    # And the base of the era that the feed is in (`FeedEra`), which is no part of the schema.
    txid: Mapped[int] = mapped_column(BigInteger, server_default=text("pg_current_xact_id()::text::bigint"))
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    __table_args__ = (
        Index("ix_run_events_user_id_txid_number", "user_id", "txid", "number"),
        {"postgresql_partition_by": "RANGE (day)"},
    )


class FeedEra(_Row):
    """A stay of the feed in one Postgres cluster; ``base`` is added to the ids of its transactions. The highest one counts."""

    __tablename__ = "feed_eras"
    cluster: Mapped[str]
    base: Mapped[int] = mapped_column(BigInteger)


class Blob(_Row):
    """Details of a run's line that are too large for it, as JSON text; the line has the id as ``payload``."""

    __tablename__ = "blobs"
    run_id: Mapped[UUID | None] = mapped_column(index=True)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
