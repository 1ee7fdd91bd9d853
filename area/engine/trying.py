"""Looking at a source once, before an AREA is built on it: what it has now, or why it has nothing."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from area.core.clock import now
from area.core.errors import AreaError, InvalidInput, InvalidInputs, LimitReached
from area.engine.checking import check_action
from area.engine.platform import Platform
from area.engine.reasons import of_look
from area.nodes import sdk

LOOK_SECONDS = 20.0
PLACE = ("action", "config")
SHOWN = 10
"""Most events that one look shows."""


@dataclass
class ActionDraft:
    """An action as the user wrote it."""

    action: str
    config: dict[str, Any]
    account_id: UUID | None = None
    reactions: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """What a source has: its newest events, oldest first, or what one would look like."""

    events: list[Any]
    is_sample: bool
    next_due_at: datetime | None = None


async def look(platform: Platform, user_id: UUID, draft: ActionDraft) -> Look:
    """Ask the source of an action once; nothing is kept. Raises: InvalidInputs, InvalidInput, LimitReached."""
    problems: list[AreaError] = []
    action, where = check_action(platform.registry, draft, problems)
    await platform.accounts.needs.check(user_id, draft, problems)
    if problems or action is None or where is None:
        raise InvalidInputs(problems)
    if action.delivery is sdk.Delivery.SCHEDULE:
        due = action.fn(where, now())
        sample = action.outputs.model_validate({**action.sample(), "scheduled_at": due or now()})
        return Look([sample.model_dump(mode="json")], True, due)
    if action.delivery is not sdk.Delivery.POLL:
        return Look([action.sample()], True)
    try:
        items = await _ask(platform, user_id, action, where, draft.account_id)
    except Exception as error:
        raise _told(action, error) from error
    return Look([item.model_dump(mode="json") for item in items[-SHOWN:]], False)


async def _ask(
    platform: Platform, user_id: UUID, action: sdk.Action, where: sdk.Inputs, account_id: UUID | None
) -> list[Any]:
    using = platform.accounts.using(
        action.service, lambda *_: None, account_id=account_id, user_id=user_id, cursor=None, clock=now
    )
    async with asyncio.timeout(LOOK_SECONDS), using as context:
        answer = await action.fn(context, where)
    return list(answer.items if isinstance(answer, sdk.Page) else answer)


def _told(action: sdk.Action, error: Exception) -> AreaError:
    if isinstance(error, sdk.Throttled):
        return LimitReached(error.message, limit=0, retry_after=error.retry_after, path=PLACE)
    reason = of_look(action.key, error)
    if reason["code"] == "INTERNAL":
        raise error
    path = tuple(reason.get("path", PLACE))
    return InvalidInput(reason["message"], path=path, suggestion=reason.get("suggestion"), code=reason["code"])
