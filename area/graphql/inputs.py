"""Inputs of the mutations on AREAs, and the drafts that the engine takes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.errors import AreaError, InvalidInput, InvalidInputs, NotFound, Path
from area.core.ids import uuid_of
from area.engine.areas import AreaDraft, ReactionDraft
from area.engine.trying import ActionDraft
from area.graphql.enums import ExecutionMode, OnFailure, OverlapPolicy, stored


@strawberry.input(description="How a reaction is tried again.")
class RetryPolicyInput:
    """How a reaction is tried again."""

    attempts: int = field(description="How many attempts to make in all, 1 or more.")


@strawberry.input(description="What starts an AREA.")
class AreaActionInput:
    """What starts an AREA."""

    action: str = field(description="The action's key in the catalogue, such as github.new_release.")
    account_id: strawberry.ID | None = field(default=None, description="The connected account to use.")
    config: JSON = field(default_factory=dict, description="Its inputs, an object.")


@strawberry.input(description="One thing that an AREA does.")
class AreaReactionInput:
    """One thing that an AREA does."""

    reaction: str = field(description="The reaction's key in the catalogue, such as discord.post_message.")
    key: str | None = field(default=None, description="Its name in the AREA; made up when left out.")
    account_id: strawberry.ID | None = field(default=None, description="The connected account to use.")
    config: JSON = field(default_factory=dict, description="Its inputs, an object; text may hold templates.")
    when: str | None = field(default=None, description="Condition without which it is skipped.")
    after: list[str] | None = field(
        default=None, description="Keys of the reactions that must be over before it begins."
    )
    on_failure: OnFailure = field(default=OnFailure.STOP, description="What the run does when it fails for good.")
    retry: RetryPolicyInput | None = field(default=None, description="How it is tried again; null: as its node says.")
    timeout_seconds: int | None = field(default=None, description="How long one attempt may take, in seconds.")


@strawberry.input(description="A new AREA.")
class CreateAreaInput:
    """A new AREA."""

    name: str = field(description="What to call it.")
    action: AreaActionInput = field(description="What starts it.")
    reactions: list[AreaReactionInput] = field(description="What it does.")
    description: str | None = field(default=None, description="What it is for.")
    is_enabled: bool = field(default=True, description="Whether it reacts at once.")
    mode: ExecutionMode = field(default=ExecutionMode.SEQUENTIAL, description="How the reactions follow one another.")
    max_concurrent_runs: int | None = field(default=None, description="How many of its runs may go on at once.")
    overlap: OverlapPolicy = field(
        default=OverlapPolicy.QUEUE, description="What becomes of an event beyond `maxConcurrentRuns`."
    )
    pause_after_failures: int | None = field(
        default=None,
        description="Failed runs in a row after which it is switched off; 0 is never, null as the platform has it.",
    )
    idempotency_key: str | None = field(
        default=None, description="Any text; a second call with the same key returns what the first one made."
    )


@strawberry.input(description="All of an AREA as it shall be from now on.")
class UpdateAreaInput:
    """All of an AREA as it shall be from now on."""

    id: strawberry.ID = field(description="The AREA.")
    expected_version: int = field(description="The version that you changed; another one is a conflict.")
    name: str = field(description="What to call it.")
    action: AreaActionInput = field(description="What starts it.")
    reactions: list[AreaReactionInput] = field(description="What it does.")
    description: str | None = field(default=None, description="What it is for.")
    is_enabled: bool = field(default=True, description="Whether it reacts.")
    mode: ExecutionMode = field(default=ExecutionMode.SEQUENTIAL, description="How the reactions follow one another.")
    max_concurrent_runs: int | None = field(default=None, description="How many of its runs may go on at once.")
    overlap: OverlapPolicy = field(
        default=OverlapPolicy.QUEUE, description="What becomes of an event beyond `maxConcurrentRuns`."
    )
    pause_after_failures: int | None = field(
        default=None,
        description="Failed runs in a row after which it is switched off; 0 is never, null as the platform has it.",
    )


def draft_of(given: CreateAreaInput | UpdateAreaInput) -> AreaDraft:
    """The engine's draft of an input. Raises: InvalidInputs with every problem of shape."""
    problems: list[AreaError] = []
    draft = AreaDraft(
        name=given.name,
        action=given.action.action,
        config=_config(given.action.config, ("config",), problems),
        account_id=_account(given.action.account_id, ("account_id",), problems),
        reactions=[_reaction(one, ("reactions", index), problems) for index, one in enumerate(given.reactions)],
        description=given.description or "",
        is_enabled=given.is_enabled,
        mode=stored(given.mode),
        max_concurrent_runs=given.max_concurrent_runs,
        overlap=stored(given.overlap),
        pause_after_failures=given.pause_after_failures,
        idempotency_key=given.idempotency_key if isinstance(given, CreateAreaInput) else None,
    )
    if problems:
        raise InvalidInputs(problems)
    return draft


def action_of(given: AreaActionInput, problems: list[AreaError]) -> ActionDraft:
    """The engine's draft of an action alone; what is wrong with its shape is added to ``problems``."""
    return ActionDraft(
        action=given.action,
        config=_config(given.config, ("config",), problems),
        account_id=_account(given.account_id, ("account_id",), problems),
    )


def row_id(given: str, kind: str, path: Path = ("id",)) -> UUID:
    """The database id in an opaque one. Raises: NotFound."""
    found = uuid_of(given, kind)
    if found is None:
        name = {"Area": "AREA", "ApiToken": "API token"}.get(kind, kind.lower())
        raise NotFound(f"There is no such {name}; it may have been deleted.", path=path)
    return found


def reaction_of(given: AreaReactionInput, place: Path) -> ReactionDraft:
    """The engine's draft of one reaction. Raises: InvalidInputs with every problem of shape."""
    problems: list[AreaError] = []
    draft = _reaction(given, place, problems)
    if problems:
        raise InvalidInputs(problems)
    return draft


def _reaction(given: AreaReactionInput, place: Path, problems: list[AreaError]) -> ReactionDraft:
    return ReactionDraft(
        reaction=given.reaction,
        config=_config(given.config, (*place, "config"), problems),
        key=given.key,
        account_id=_account(given.account_id, (*place, "account_id"), problems),
        when=given.when,
        after=given.after,
        on_failure=stored(given.on_failure),
        retry={"attempts": given.retry.attempts} if given.retry else None,
        timeout_seconds=given.timeout_seconds,
    )


def _config(given: object, path: Path, problems: list[AreaError]) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    problems.append(InvalidInput("`config` must be an object.", path=path))
    return {}


def _account(given: str | None, path: Path, problems: list[AreaError]) -> UUID | None:
    found = uuid_of(given, "ConnectedAccount") if given else None
    if given and found is None:
        problems.append(NotFound("There is no such connected account of yours.", path=path))
    return found
