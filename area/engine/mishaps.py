"""What becomes of a step whose call failed: another try, a rest, an end, or nobody knows (law 5)."""

import json
import random
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import ValidationError

from area.core import log
from area.core.errors import Path
from area.core.flight import Flight
from area.core.http import EgressRefused, ResponseTooLarge
from area.core.ids import new_id
from area.core.jsons import TooDeep
from area.db.session import AWAY
from area.engine.connections import held
from area.engine.execution import Execution
from area.engine.plan import PlanStep
from area.engine.reasons import of_node, reason
from area.engine.runs import StepState
from area.nodes import sdk

logger = log.get(__name__)

RETRY_BASE = 1.0
RETRY_CAP = 300.0
MAX_AGE = timedelta(days=3)
"""A step that has been tried, or put off, for this long is given up."""
OWN_PAUSE = 2.0
"""Seconds until a step is tried again that could not reach the platform's own database."""

_OURS = tuple(kind for kind in AWAY if kind is not OSError)
"""What no reaction raises by itself: trouble with the platform's database, which costs no attempt and fails no run."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures that happen before a request leaves: nothing can have happened at the other end."""
_PERHAPS = "The call may have happened"


def failed(
    run: Execution, step: PlanStep, state: StepState, inputs: sdk.Inputs, flight: Flight, error: Exception
) -> str | None:
    """Deal with a call that failed. The answer, if there is one, says why nobody knows whether it happened."""
    safe = step.reaction.pure or step.reaction.is_idempotent(inputs)

    def broken(code: str, message: str) -> None:
        # It was answered, or broke on the way: no retry mends that, but it may have done what it was to do.
        warning = f" {_PERHAPS}: look before you replay it." if flight.sent and not safe else ""
        fail(run, step, state, reason(code, f"{message}{warning}"), lost=flight.sent)

    match error:
        case _ if isinstance(error, _OURS) or (step.reaction.control is sdk.Control.CALL and isinstance(error, AWAY)):
            if flight.sent and not safe:
                return f"The platform's database could not be reached during the call. {_PERHAPS}."
            logger.warning("steps.postgres_away", run=str(run.id), step=step.key, error=repr(error))
            told = reason("UNAVAILABLE", "The platform's own database could not be reached.")
            _snooze(run, step, state, OWN_PAUSE, told, f"{told['message']} Again when it can.", lost=flight.sent)
        case sdk.Throttled():
            pause = min(max(1.0, error.retry_after), MAX_AGE.total_seconds())
            _snooze(run, step, state, pause, of_node(error, place(step)), f"{error.message}; waiting as asked")
        case sdk.Unheard() if not safe:
            return f"{error.message}. {_PERHAPS}."
        case sdk.Unavailable():
            _retry(run, step, state, of_node(error, place(step)), lost=isinstance(error, sdk.Unheard))
        case sdk.Unknown():
            return error.message
        case sdk.Reconnect() if step.account_id is not None:
            _hold(run, step, state, error.message)
        case sdk.NodeError():
            fail(run, step, state, of_node(error, place(step)))
        case EgressRefused():
            broken("EGRESS_REFUSED", str(error))
        case ResponseTooLarge():
            broken("RESPONSE_TOO_LARGE", str(error))
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            broken("INVALID_INPUT", f"The address cannot be called: {error}")
        case TooDeep():
            broken("BAD_OUTPUT", f"{step.reaction.key} answered something that cannot be kept: {error}")
        case ValidationError():
            broken("BAD_OUTPUT", f"{step.reaction.key} answered something else than it promised: {told_of(error)}.")
        case json.JSONDecodeError() | UnicodeDecodeError():
            told = reason("BAD_ANSWER", f"{step.reaction.service.name} answered something that is no JSON: {error}")
            if not safe:
                return f"{told['message']}. {_PERHAPS}."
            _retry(run, step, state, told, lost=flight.sent)
        case httpx.TransportError() | OSError() | TimeoutError():
            told = reason("UNREACHABLE", f"No answer: {error or type(error).__name__}")
            if not (safe or isinstance(error, _NOT_SENT)):
                return f"{told['message']}. {_PERHAPS}."
            _retry(run, step, state, told, lost=flight.sent)
        case _:
            reference = str(new_id())
            logger.error("steps.node_broke", run=str(run.id), step=step.key, reference=reference, exc_info=error)
            broken("INTERNAL", f"{step.reaction.key} broke; reference {reference}.")
    return None


def fail(run: Execution, step: PlanStep, state: StepState, error: dict[str, Any], *, lost: bool = False) -> None:
    """Bring a step to its end as failed. ``lost`` says that its call may have happened all the same."""
    in_doubt = (lost and not step.reaction.pure) or state.was_in_doubt
    state.effect = "unknown" if in_doubt else "none"
    run.finish_step(state, "failed", error=error)
    run.tell("step_failed", error["message"], level="error", step=step.key, data={"error": error})
    if step.stops:
        run.failure = {**error, "step": step.key}
        run.skip_pending()


def wait(
    run: Execution,
    state: StepState,
    until: datetime,
    error: dict[str, Any] | None,
    message: str,
    kind: str = "step_waiting",
) -> None:
    """Put a step to rest until a moment; ``error`` is why, when its call failed."""
    state.status, state.due_at, state.error = "waiting", until, error
    run.changed(state)
    level = "warning" if error else "info"
    run.tell(kind, message, level=level, step=state.key, data={"dueAt": until.isoformat()})


def why_held(run: Execution, step: PlanStep, message: str) -> dict[str, Any]:
    """Why a run is held for the account of a step."""
    account = {"accountId": str(step.account_id), "heldAt": run.now().isoformat()}
    return {**reason(held.CODE, message), "step": step.key, **account}


def place(step: PlanStep) -> Path:
    """Where a step's inputs are in its AREA."""
    return ("reactions", step.position, "config")


def told_of(error: ValidationError) -> str:
    """What does not fit, in words."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'input'}: {problem['msg']}" for problem in error.errors()[:5]
    )


def _hold(run: Execution, step: PlanStep, state: StepState, message: str) -> None:
    """Nothing was done, and nothing can be until the account is connected again: the attempt is given back."""
    state.attempt -= 1
    _leave_in_doubt(state, lost=False)
    run.held_for = why_held(run, step, message)
    state.status, state.due_at, state.error = "waiting", None, reason(held.CODE, message)
    run.changed(state)
    run.tell("step_waiting", f"{message} The run is held until then.", level="warning", step=state.key)


def _retry(run: Execution, step: PlanStep, state: StepState, error: dict[str, Any], *, lost: bool) -> None:
    if state.attempt >= step.attempts or _is_too_old(run, state):
        fail(run, step, state, error, lost=lost)
        return
    # Full jitter: a crowd of failed calls does not come back as a crowd.
    delay = random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2**state.attempt))  # noqa: S311
    _leave_in_doubt(state, lost=lost and not step.reaction.pure)
    told = f"{error['message']} Attempt {state.attempt} of {step.attempts}; again in {delay:.1f} s."
    wait(run, state, run.now() + timedelta(seconds=delay), error, told, kind="step_retrying")


def _snooze(
    run: Execution,
    step: PlanStep,
    state: StepState,
    seconds: float,
    error: dict[str, Any],
    message: str,
    *,
    lost: bool = False,
) -> None:
    """Try again later, which is no attempt; a step that has been put off for days is given up."""
    if _is_too_old(run, state):
        fail(run, step, state, error, lost=lost)
        return
    state.attempt -= 1
    _leave_in_doubt(state, lost=lost and not step.reaction.pure)
    wait(run, state, run.now() + timedelta(seconds=seconds), error, message)


def _leave_in_doubt(state: StepState, *, lost: bool) -> None:
    """Keep that a call may have happened: the run may end before the next one."""
    state.effect = "intended" if state.was_in_doubt or lost else "none"


def _is_too_old(run: Execution, state: StepState) -> bool:
    return state.started_at is not None and run.now() - state.started_at > MAX_AGE
