"""Trials: one reaction, called once, for real, on what its author gives; nothing of it is kept."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from pydantic import ValidationError

from area.core import log
from area.core.errors import AreaError, InvalidInput, InvalidInputs, LimitReached, NotFound
from area.core.http import EgressRefused, ResponseTooLarge
from area.core.ids import new_id
from area.engine.areas import ReactionDraft
from area.engine.configs import check_config
from area.engine.plan import PlanBroken, compile_step
from area.engine.platform import Platform
from area.engine.templates import TemplateFailed
from area.nodes import sdk
from area.nodes.registry import UnknownComponent

logger = log.get(__name__)

LONGEST = 60.0
"""Seconds that a trial may take."""
AT_ONCE = 5
"""Trials of one user under way in one process."""

EVENT = """
SELECT payload FROM events e WHERE e.id = $1 AND (
  EXISTS (SELECT 1 FROM runs r WHERE r.event_id = e.id AND r.user_id = $2)
  OR EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id AND d.user_id = $2))
"""

_under_way: Counter[UUID] = Counter()


@dataclass
class Trial:
    """What became of a trial."""

    input: dict[str, Any] | None = None
    output: Any = None
    error: dict[str, Any] | None = None
    waits_until: datetime | None = None
    """Where the reaction would wait, and nothing more can be tried."""
    ends_run: str | None = None
    """Why the run would end here, where it would."""
    lines: list[tuple[str, str]] = field(default_factory=list)
    """Level and message of what the reaction logged."""
    duration_ms: float = 0


@dataclass(frozen=True)
class _Draft:
    """What the check of accounts asks for."""

    reactions: list[ReactionDraft]
    action: str = ""
    account_id: UUID | None = None


async def event_payload(platform: Platform, user_id: UUID, event_id: UUID) -> Any:
    """What a past event of the user's gave. Raises: NotFound."""
    row = await platform.db.pool.fetchrow(EVENT, event_id, user_id)
    if row is None:
        raise NotFound("There is no such event of yours; it may no longer be kept.", path=("eventId",))
    return row["payload"]


async def try_reaction(
    platform: Platform,
    user_id: UUID,
    draft: ReactionDraft,
    *,
    action: str | None = None,
    payload: Any = None,
    steps: dict[str, Any] | None = None,
) -> Trial:
    """Call one reaction once, as a run would on ``payload``, or on the sample of ``action``; ``when`` and retries are left aside.

    Raises: InvalidInputs with every problem of the draft; LimitReached.
    """
    reaction, trigger = await _checked(platform, user_id, draft, action, payload, steps or {})
    if _under_way[user_id] >= AT_ONCE:
        raise LimitReached(
            f"{AT_ONCE} reactions are being tried out at once; wait for one.", limit=AT_ONCE, retry_after=5
        )
    _under_way[user_id] += 1
    try:
        return await _try(platform, user_id, draft, reaction, {"trigger": trigger, "steps": steps or {}})
    finally:
        _under_way[user_id] -= 1
        if not _under_way[user_id]:
            del _under_way[user_id]


async def _checked(
    platform: Platform, user_id: UUID, draft: ReactionDraft, action: str | None, payload: Any, steps: dict[str, Any]
) -> tuple[sdk.Reaction, Any]:
    problems: list[AreaError] = []
    outputs: Any = Any
    if action is not None:
        try:
            source = platform.registry.action(action)
            outputs = source.outputs
            payload = source.sample() if payload is None else payload
        except UnknownComponent as error:
            told = InvalidInput(str(error), path=("action",), suggestion=error.suggestion, code="UNKNOWN_ACTION")
            problems.append(told)
    known = {"trigger": outputs, "steps": dict.fromkeys(steps, Any), "run": Any}
    try:
        reaction = platform.registry.reaction(draft.reaction)
    except UnknownComponent as error:
        where = ("reaction", "reaction")
        problems.append(InvalidInput(str(error), path=where, suggestion=error.suggestion, code="UNKNOWN_REACTION"))
        raise InvalidInputs(problems) from None
    if reaction.control not in (None, sdk.Control.END):
        message = f"{draft.reaction} steers a run, so it cannot be tried alone; try the AREA instead."
        raise InvalidInputs([InvalidInput(message, path=("reaction", "reaction"), code="NOT_TRIABLE")])
    problems.extend(check_config(platform.registry, reaction, draft.config, known, ("reaction", "config")))
    found: list[AreaError] = []
    await platform.accounts.needs.check(user_id, _Draft([draft]), found)
    for problem in found:
        problem.path = ("reaction", *problem.path[2:])
    problems += found
    if problems:
        raise InvalidInputs(problems)
    return reaction, {} if payload is None else payload


async def _try(
    platform: Platform, user_id: UUID, draft: ReactionDraft, reaction: sdk.Reaction, scope: dict[str, Any]
) -> Trial:
    trial = Trial()
    stored = {
        "key": draft.key or "try",
        "reaction": draft.reaction,
        "config": draft.config,
        "timeoutSeconds": draft.timeout_seconds,
    }
    about = {"id": str(new_id()), "is_test": True, "area": {"id": "", "name": ""}, "approvals": {}}
    try:
        step = compile_step(0, stored, {}, "sequential", platform.registry)
        inputs = step.inputs({**scope, "run": about})
    except (TemplateFailed, PlanBroken) as error:
        return Trial(error={"code": "TEMPLATE_FAILED", "message": str(error)})
    except ValidationError as error:
        return Trial(error={"code": "INVALID_INPUT", "message": _told(error)})
    trial.input = step.shown(inputs)
    using = platform.accounts.using(
        reaction.service,
        lambda message, level, _attributes: trial.lines.append((level, message)),
        account_id=draft.account_id,
        user_id=user_id,
        idempotency_key=str(new_id()),
    )
    began = time.perf_counter()
    try:
        async with asyncio.timeout(min(step.timeout, LONGEST)), using as context:
            given = await reaction.fn(context, inputs)
        trial.output = reaction.outputs.model_validate(given).model_dump(mode="json")
    except sdk.Park as park:
        trial.waits_until = park.until
    except sdk.StopRun as stop:
        trial.ends_run = stop.reason or "stopped"
        trial.output = stop.output.model_dump(mode="json") if stop.output else {}
    except Exception as error:
        trial.error = _failure(reaction, error)
    trial.duration_ms = round((time.perf_counter() - began) * 1000, 1)
    return trial


def _failure(reaction: sdk.Reaction, error: Exception) -> dict[str, Any]:
    match error:
        case sdk.NodeError():
            code, message = error.code, error.message
        case EgressRefused():
            code, message = "EGRESS_REFUSED", str(error)
        case ResponseTooLarge():
            code, message = "RESPONSE_TOO_LARGE", str(error)
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            code, message = "INVALID_INPUT", f"The address cannot be called: {error}"
        case ValidationError():
            code, message = "BAD_OUTPUT", f"{reaction.key} answered something else than it promised: {_told(error)}"
        case httpx.TransportError() | OSError() | TimeoutError():
            code, message = "UNREACHABLE", f"No answer: {error or type(error).__name__}. The call may have happened."
        case _:
            reference = str(new_id())
            logger.error("trials.node_broke", reaction=reaction.key, reference=reference, exc_info=error)
            code, message = "INTERNAL", f"{reaction.key} broke; reference {reference}."
    return {"code": code, "message": message[:4000]}


def _told(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'input'}: {problem['msg']}" for problem in error.errors()[:5]
    )
