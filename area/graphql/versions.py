"""What an AREA consists of: its action, its reactions, its versions, and the hook that watches for events."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast
from uuid import UUID

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.ids import to_global
from area.db import models as m
from area.graphql.context import Info
from area.graphql.enums import ExecutionMode, HookKind, HookStatus, OnFailure, OverlapPolicy
from area.graphql.fields import resolved
from area.graphql.nodes import Node, find, finds

if TYPE_CHECKING:
    from area.graphql.accounts import ConnectedAccount
    from area.graphql.catalogue import ActionDefinition, ReactionDefinition

LazyAccount: TypeAlias = Annotated["ConnectedAccount", strawberry.lazy("area.graphql.accounts")]
LazyAction: TypeAlias = Annotated["ActionDefinition", strawberry.lazy("area.graphql.catalogue")]
LazyReaction: TypeAlias = Annotated["ReactionDefinition", strawberry.lazy("area.graphql.catalogue")]


@strawberry.type(description="How a reaction is tried again.")
class RetryPolicy:
    """How a reaction is tried again."""

    attempts: int = field(description="How many attempts are made in all.")


@strawberry.type(description="What starts an AREA.")
class AreaAction:
    """What starts an AREA."""

    account_id: strawberry.Private[str | None]
    key: str = field(description="The action's key in the catalogue.")
    config: JSON = field(description="Its inputs.")

    @resolved(description="The action in the catalogue; null when it is not there any more.")
    async def definition(self, info: Info) -> LazyAction | None:
        """The action in the catalogue."""
        return cast("ActionDefinition | None", await find(info, "ActionDefinition", self.key))

    @resolved(description="The connected account it uses.")
    async def account(self, info: Info) -> LazyAccount | None:
        """The connected account it uses."""
        return cast("ConnectedAccount | None", await find(info, "ConnectedAccount", self.account_id))

    @classmethod
    def of(cls, stored: dict[str, Any]) -> AreaAction:
        """The action that a version stores."""
        return cls(
            account_id=stored.get("accountId"), key=stored["action"], config=cast(JSON, stored.get("config") or {})
        )


@strawberry.type(description="One thing an AREA does.")
class AreaReaction:
    """One thing an AREA does."""

    account_id: strawberry.Private[str | None]
    key: str = field(description="Its name in the AREA: {{ steps.key }} in templates.")
    reaction: str = field(description="The reaction's key in the catalogue.")
    config: JSON = field(description="Its inputs; text may hold templates.")
    when: str | None = field(description="Condition without which it is skipped.")
    after: list[str] = field(description="Keys of the reactions that must be over before it begins.")
    on_failure: OnFailure = field(description="What the run does when it fails for good.")
    retry: RetryPolicy = field(description="How it is tried again.")
    timeout_seconds: int | None = field(description="How long one attempt may take; null is the reaction's own limit.")

    @resolved(description="The reaction in the catalogue; null when it is not there any more.")
    async def definition(self, info: Info) -> LazyReaction | None:
        """The reaction in the catalogue."""
        return cast("ReactionDefinition | None", await find(info, "ReactionDefinition", self.reaction))

    @resolved(description="The connected account it uses.")
    async def account(self, info: Info) -> LazyAccount | None:
        """The connected account it uses."""
        return cast("ConnectedAccount | None", await find(info, "ConnectedAccount", self.account_id))

    @classmethod
    def of(cls, stored: dict[str, Any]) -> AreaReaction:
        """The reaction that a version stores."""
        return cls(
            account_id=stored.get("accountId"),
            key=stored["key"],
            reaction=stored["reaction"],
            config=cast(JSON, stored.get("config") or {}),
            when=stored.get("when"),
            after=stored.get("after") or [],
            on_failure=OnFailure[str(stored.get("onFailure") or "stop").upper()],
            retry=RetryPolicy(attempts=stored["retry"]["attempts"]),
            timeout_seconds=stored.get("timeoutSeconds"),
        )


@strawberry.type(description="An AREA as it was saved once; it never changes.")
class AreaVersion:
    """An AREA as it was saved once."""

    id: strawberry.ID = field(description="Opaque and stable.")
    version: int = field(description="1, 2, 3 …")
    mode: ExecutionMode = field(description="How the reactions follow one another.")
    max_concurrent_runs: int | None = field(description="How many runs go on at once; null is no limit.")
    overlap: OverlapPolicy = field(description="What becomes of an event beyond that.")
    created_at: datetime = field(description="When it was saved.")
    action: AreaAction = field(description="What starts it.")
    reactions: list[AreaReaction] = field(description="What it does.")

    @classmethod
    def of(cls, row: m.AreaVersion) -> AreaVersion:
        """The version in this row."""
        return cls(
            id=strawberry.ID(to_global("AreaVersion", row.id)),
            version=row.version,
            mode=ExecutionMode[row.mode.upper()],
            max_concurrent_runs=row.max_concurrent_runs,
            overlap=OverlapPolicy[row.overlap.upper()],
            created_at=row.created_at,
            action=AreaAction.of(row.action),
            reactions=[AreaReaction.of(stored) for stored in row.reactions],
        )


@strawberry.type(description="Why a hook could not be looked at.")
class HookFailure:
    """Why a hook could not be looked at."""

    code: str = field(description="Stable code, such as NOT_A_FEED.")
    message: str = field(description="What happened, and what to do next.")
    path: list[str] = field(
        description="Where in the AREA's input it is mended, as in `errors` of `createArea`; empty when that is not known."
    )
    suggestion: str | None = field(description="A value for that place which should do.")

    @classmethod
    def of(cls, row: m.Hook) -> HookFailure | None:
        """The failure in this row."""
        if row.last_error is None:
            return None
        stored = row.failure or {}
        return cls(
            code=str(stored.get("code", "FAILED")),
            message=row.last_error,
            path=[str(part) for part in stored.get("path", ())],
            suggestion=stored.get("suggestion"),
        )


@strawberry.type(description="A watched source of events; AREAs with the same action and inputs share one.")
class Hook(Node):
    """A watched source of events."""

    token: strawberry.Private[str | None]
    kind: HookKind = field(description="How it learns of events.")
    status: HookStatus = field(description="Whether it works.")
    next_due_at: datetime | None = field(description="When it looks or fires next.")
    last_fired_at: datetime | None = field(description="When it last had an event, to ten seconds.")
    last_error: str | None = field(description="What went wrong last, in words.")
    failure: HookFailure | None = field(description="What went wrong last; null when the last look went well.")
    failures: int = field(description="How many attempts failed in a row.")
    expires_at: datetime | None = field(description="When the provider ends it, unless renewed.")

    @resolved(description="Where the provider sends events; a secret. Null when the hook is not a webhook.")
    def webhook_url(self, info: Info) -> str | None:
        """Where the provider sends events."""
        if self.token is None:
            return None
        return f"{info.context.platform.settings.public_url.rstrip('/')}/hooks/{self.token}"

    @classmethod
    def of(cls, row: m.Hook) -> Hook:
        """The hook in this row."""
        return cls(
            id=strawberry.ID(to_global("Hook", row.id)),
            # The address of a subscription is between the platform and the provider.
            token=row.token if row.kind == m.HookKind.WEBHOOK and row.secret is None else None,
            kind=HookKind[row.kind.upper()],
            status=HookStatus[row.status.upper()],
            next_due_at=row.next_due_at,
            last_fired_at=row.last_fired_at,
            last_error=row.last_error,
            failure=HookFailure.of(row),
            failures=row.failures_in_row,
            expires_at=row.expires_at,
        )


@finds("Hook")
async def _hook(info: Info, key: str) -> Hook | None:
    row = await info.context.loaders.hooks.load(UUID(key))
    return Hook.of(row) if row else None
