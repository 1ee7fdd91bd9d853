"""One step: its condition, its input, the call, and what the outcome means (law 5)."""

import asyncio
import json
import random
import time
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid5

import httpx
from pydantic import ValidationError
from structlog.contextvars import bind_contextvars, reset_contextvars

from area.core import log, metrics
from area.core.errors import Path
from area.core.flight import Aborted, Flight
from area.core.http import EgressRefused, ResponseTooLarge
from area.core.ids import new_id
from area.core.jsons import TooDeep
from area.core.tracing import now_ns, span_id, tracing
from area.db.session import AWAY
from area.engine.calls import Calls
from area.engine.connections import held
from area.engine.connections.accounts import Accounts
from area.engine.context import Log
from area.engine.execution import Execution
from area.engine.items import Resting, run_items
from area.engine.links import Links
from area.engine.plan import PlanStep
from area.engine.reasons import of_node, reason
from area.engine.runs import StepState
from area.engine.templates import TemplateFailed
from area.nodes import sdk

logger = log.get(__name__)

RETRY_BASE = 1.0
RETRY_CAP = 300.0
MAX_AGE = timedelta(days=3)
"""A step that has been retried for this long is given up."""
LINES_BETWEEN_COMMITS = 1000
LONG_RENDERING = 0.01
"""Seconds after which a rendering is followed by a turn for others."""

OWN_PAUSE = 2.0
"""Seconds until a step is tried again that could not reach the platform's own database."""

_OURS = tuple(kind for kind in AWAY if kind is not OSError)
"""What no reaction raises by itself: trouble with the platform's database, which costs no attempt and fails no run."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures that happen before a request leaves: nothing can have happened at the other end."""


class Steps:
    """Executes single steps."""

    def __init__(self, accounts: Accounts, links: Links, calls: Calls) -> None:
        self._accounts = accounts
        self._links = links
        self._calls = calls

    async def execute(self, run: Execution, step: PlanStep) -> None:
        """Bring a step to its end, to waiting, or to unknown. Raises: Fenced."""
        # Steps side by side are tasks of their own, so what is bound goes with this one's lines alone.
        bound = bind_contextvars(step=step.key)
        try:
            await self._execute(run, step)
        finally:
            reset_contextvars(**bound)

    async def _execute(self, run: Execution, step: PlanStep) -> None:
        state = run.states[step.position]
        run.heard(state)
        scope = {**run.scope, **step.extra}
        try:
            if state.status == "pending" and step.when is not None and not step.when(scope):
                self._skip(run, state, "its condition is false")
                return
            began = time.perf_counter()
            inputs = step.inputs(scope)
            if time.perf_counter() - began > LONG_RENDERING:
                # A run of costly templates must not keep the others, and the leases, waiting until its end.
                await asyncio.sleep(0)
        except (TemplateFailed, ValidationError) as error:
            if lost := run.in_doubt(step):
                for one in lost:
                    run.unsettled(one, f"Its call had no answer, and its input cannot be made again: {_why(error)}")
                if state not in lost:
                    # A loop fails when a person has said what became of its items.
                    state.status, state.due_at = "waiting", None
                    run.changed(state)
            elif isinstance(error, ValidationError):
                path = (*_place(step), *error.errors()[0]["loc"])
                self._fail(run, step, state, reason("INVALID_INPUT", _told(error), path))
            else:
                self._fail(run, step, state, reason("TEMPLATE_FAILED", str(error)))
            return
        if state.in_flight and not step.reaction.is_idempotent(inputs):
            if not await self._reconciled(run, step, state, inputs):
                run.unsettled(state, "The worker died during the call, and the service cannot say if it happened.")
            return
        await self._attempt(run, step, state, inputs)

    async def _attempt(self, run: Execution, step: PlanStep, state: StepState, inputs: sdk.Inputs) -> None:
        try:
            shown = run.fit(step.shown(inputs), step.key)
        except ValueError as error:  # pydantic's, where it cannot go deep enough, and our own
            self._fail(run, step, state, reason("INVALID_INPUT", f"The input cannot be kept: {error}"))
            return
        resumed = state.status == "waiting" and state.error is None
        if not resumed:
            state.attempt += 1
        tried_since = state.started_at
        state.was_in_doubt = state.in_doubt
        state.status, state.due_at, state.started_at = "running", None, state.started_at or run.now()
        # An input is told once, and again only when it has changed.
        data = (
            {"attempt": state.attempt}
            if state.attempt > 1 and state.input == shown
            else {"input": shown, "attempt": state.attempt}
        )
        state.input = shown
        state.effect = "none" if step.reaction.pure else "intended"
        run.changed(state)
        run.tell("step_started", f"{step.reaction.name}", step=step.key, data=data)
        if not step.reaction.pure or run.dirty > LINES_BETWEEN_COMMITS:
            # The intent is durable before the call: a crash from here on is seen by whoever takes over.
            await run.commit()
            while not run.is_held():
                # Frozen while the answer was on its way: if another has the run by now, the call is not ours to make.
                await run.commit()
        if run.cancelled:
            self._aborted(run, state)
            return
        answer = run.answers.get(step.key)
        if step.inner and isinstance(inputs, sdk.EachInputs):
            try:
                answer = await run_items(run, step, inputs, self.execute)
            except Resting as rest:
                state.status, state.due_at = "waiting", rest.until
                run.changed(state)
                return
        began = time.perf_counter()
        flight = Flight(harmless=step.reaction.pure)
        try:
            output = await self._call(run, step, inputs, flight, answer, resumed=resumed, tried_since=tried_since)
        except sdk.Park as park:
            self._wait(run, state, park.until, None, f"Waiting until {park.until.isoformat(timespec='seconds')}")
        except sdk.StopRun as stop:
            run.stopped = stop.reason or "stopped"
            if isinstance(stop, sdk.Filtered):
                run.filtered = f"step {step.key!r}: {stop.reason or 'filtered'}"
            output = run.fit(stop.output.model_dump(mode="json"), step.key) if stop.output else {}
            run.finish_step(state, "succeeded", output)
            run.keep(step.key, output)
            what = "Filtered" if isinstance(stop, sdk.Filtered) else "Stopped"
            told = {"stopped": run.stopped, "filtered": run.filtered}
            run.tell("step_succeeded", f"{what}: {stop.reason}" if stop.reason else what, step=step.key, data=told)
            run.skip_pending()
        except Aborted:
            self._aborted(run, state)
        except Exception as error:
            lost = self._failed(run, step, state, inputs, flight, error)
            if lost and not await self._confirmed(run, step, state, inputs):
                run.unsettled(state, lost)
        else:
            state.effect = "none" if step.reaction.pure else "confirmed"
            run.finish_step(state, "succeeded", output)
            if not step.is_item:
                run.keep(step.key, output)
            took = round((time.perf_counter() - began) * 1000, 1)
            run.tell(
                "step_succeeded",
                f"{step.reaction.name} succeeded",
                step=step.key,
                data={"output": output, "durationMs": took},
            )
        finally:
            seconds = time.perf_counter() - began
            metrics.STEPS.labels(step.reaction.key).observe(seconds)
            if tracing.on:
                _traced(run, step, state, seconds)

    async def _call(
        self,
        run: Execution,
        step: PlanStep,
        inputs: sdk.Inputs,
        flight: Flight,
        answer: Any,
        *,
        resumed: bool,
        tried_since: datetime | None,
    ) -> Any:
        def write(message: str, level: str, attributes: dict[str, Any]) -> None:
            run.tell("log", str(message), level=level, step=step.key, data=attributes or None)

        using = self._using(run, step, write, resumed=resumed, tried_since=tried_since, answer=answer)
        run.flights.add(flight)
        try:
            with flight.under_way():
                async with asyncio.timeout(step.timeout), using as context:
                    given = await step.reaction.fn(context, inputs)
        finally:
            run.flights.discard(flight)
        if not isinstance(given, step.reaction.outputs):
            given = step.reaction.outputs.model_validate(given)
        try:
            output = given.model_dump(mode="json")
        except ValueError as error:
            raise TooDeep(str(error)) from None
        return run.fit(output, step.key)

    def _using(
        self,
        run: Execution,
        step: PlanStep,
        write: Log,
        *,
        resumed: bool = False,
        tried_since: datetime | None = None,
        answer: Any = None,
    ) -> AbstractAsyncContextManager[sdk.Context]:
        control = step.reaction.control
        return self._accounts.using(
            step.reaction.service,
            write,
            account_id=step.account_id,
            user_id=run.user_id,
            idempotency_key=str(uuid5(run.id, step.key)),
            resumed=resumed,
            tried_since=tried_since,
            clock=run.now,
            answer=answer,
            answer_url=self._links.url(run.id, step.key) if control is sdk.Control.APPROVAL else "",
            start_area=partial(self._calls.start, run.id, step.key) if control is sdk.Control.CALL else None,
        )

    async def _reconciled(self, run: Execution, step: PlanStep, state: StepState, inputs: sdk.Inputs) -> bool:
        """Whether what a dead worker left is dealt with: it happened, or is done now, or waits for its account."""
        if step.reaction.reconciler is None:
            return False
        try:
            output = await self._asked(run, step, state, inputs)
        except sdk.Reconnect as error:
            if step.account_id is None:
                return False
            # Nobody can be asked before the account is connected again; then it is.
            run.held_for = self._reason(run, step, error.message)
            run.tell("log", f"{error.message} The run is held until then.", level="warning", step=step.key)
            return True
        except Exception:
            logger.warning("steps.reconcile_failed", run=str(run.id), step=step.key, exc_info=True)
            return False
        if output is None:
            state.effect = "none"
            await self._attempt(run, step, state, inputs)
        else:
            self._happened(run, step, state, output)
        return True

    async def _confirmed(self, run: Execution, step: PlanStep, state: StepState, inputs: sdk.Inputs) -> bool:
        """Whether the service says that a call whose answer was just lost happened. A "no" may come too early to believe."""
        if step.reaction.reconciler is None:
            return False
        try:
            output = await self._asked(run, step, state, inputs)
        except Exception:
            logger.warning("steps.reconcile_failed", run=str(run.id), step=step.key, exc_info=True)
            return False
        if output is not None:
            self._happened(run, step, state, output)
        return output is not None

    async def _asked(self, run: Execution, step: PlanStep, state: StepState, inputs: sdk.Inputs) -> Any:
        """What the service says came of a call; None: it did not happen. Raises: whatever asking brings about."""
        using = self._using(run, step, lambda *_: None, tried_since=state.started_at)
        async with asyncio.timeout(step.timeout), using as context:
            answer = await step.reaction.reconciler(context, inputs) if step.reaction.reconciler else None
        return None if answer is None else run.fit(answer.model_dump(mode="json"), step.key)

    def _happened(self, run: Execution, step: PlanStep, state: StepState, output: Any) -> None:
        state.effect = "confirmed"
        run.finish_step(state, "succeeded", output)
        if not step.is_item:
            run.keep(step.key, output)
        run.tell("step_succeeded", "The service confirmed that it happened", step=step.key, data={"output": output})

    def _failed(
        self,
        run: Execution,
        step: PlanStep,
        state: StepState,
        inputs: sdk.Inputs,
        flight: Flight,
        error: Exception,
    ) -> str | None:
        """Deal with a call that failed. The answer, if there is one, says why nobody knows whether it happened."""
        safe = step.reaction.pure or step.reaction.is_idempotent(inputs)
        place = _place(step)

        def fail(code: str, message: str) -> None:
            # It was answered, or broke on the way: no retry mends that, but it may have done what it was to do.
            if flight.sent and not safe:
                state.effect, message = "unknown", f"{message} The call may have happened: look before you replay it."
            self._fail(run, step, state, reason(code, message))

        match error:
            case _ if isinstance(error, _OURS) or (
                step.reaction.control is sdk.Control.CALL and isinstance(error, AWAY)
            ):
                if flight.sent and not safe:
                    return "The platform's database could not be reached during the call. The call may have happened."
                logger.warning("steps.postgres_away", run=str(run.id), step=step.key, error=repr(error))
                told = reason("UNAVAILABLE", "The platform's own database could not be reached.")
                self._snooze(
                    run, step, state, OWN_PAUSE, told, f"{told['message']} Again when it can.", lost=flight.sent
                )
            case sdk.Throttled():
                pause = min(max(1.0, error.retry_after), MAX_AGE.total_seconds())
                self._snooze(run, step, state, pause, of_node(error, place), f"{error.message}; waiting as asked")
            case sdk.Unheard() if not safe:
                return f"{error.message}. The call may have happened."
            case sdk.Unavailable():
                self._retry(run, step, state, of_node(error, place), lost=isinstance(error, sdk.Unheard))
            case sdk.Unknown():
                return error.message
            case sdk.Reconnect() if step.account_id is not None:
                self._hold(run, step, state, error.message)
            case sdk.NodeError():
                self._fail(run, step, state, of_node(error, place))
            case EgressRefused():
                fail("EGRESS_REFUSED", str(error))
            case ResponseTooLarge():
                fail("RESPONSE_TOO_LARGE", str(error))
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                fail("INVALID_INPUT", f"The address cannot be called: {error}")
            case TooDeep():
                fail("BAD_OUTPUT", f"{step.reaction.key} answered something that cannot be kept: {error}")
            case ValidationError():
                fail("BAD_OUTPUT", f"{step.reaction.key} answered something else than it promised: {_told(error)}.")
            case json.JSONDecodeError() | UnicodeDecodeError():
                told = reason("BAD_ANSWER", f"{step.reaction.service.name} answered something that is no JSON: {error}")
                if not safe:
                    return f"{told['message']}. The call may have happened."
                self._retry(run, step, state, told, lost=flight.sent)
            case httpx.TransportError() | OSError() | TimeoutError():
                told = reason("UNREACHABLE", f"No answer: {error or type(error).__name__}")
                if not (safe or isinstance(error, _NOT_SENT)):
                    return f"{told['message']}. The call may have happened."
                self._retry(run, step, state, told, lost=flight.sent)
            case _:
                reference = str(new_id())
                logger.error("steps.node_broke", run=str(run.id), step=step.key, reference=reference, exc_info=error)
                fail("INTERNAL", f"{step.reaction.key} broke; reference {reference}.")
        return None

    def _hold(self, run: Execution, step: PlanStep, state: StepState, message: str) -> None:
        """Nothing was done, and nothing can be until the account is connected again: the attempt is given back."""
        state.attempt -= 1
        state.effect = "intended" if state.was_in_doubt else "none"
        run.held_for = self._reason(run, step, message)
        state.status, state.due_at, state.error = "waiting", None, reason(held.CODE, message)
        run.changed(state)
        run.tell("step_waiting", f"{message} The run is held until then.", level="warning", step=state.key)

    def _reason(self, run: Execution, step: PlanStep, message: str) -> dict[str, Any]:
        account = {"accountId": str(step.account_id), "heldAt": run.now().isoformat()}
        return {**reason(held.CODE, message), "step": step.key, **account}

    def _retry(self, run: Execution, step: PlanStep, state: StepState, error: dict[str, Any], *, lost: bool) -> None:
        if state.attempt >= step.attempts or _is_too_old(run, state):
            self._fail(run, step, state, error)
            return
        # Full jitter: a crowd of failed calls does not come back as a crowd.
        delay = random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2**state.attempt))  # noqa: S311
        # That it may have happened is kept: the run may end before it is tried again.
        state.effect = "intended" if state.was_in_doubt or (lost and not step.reaction.pure) else "none"
        self._wait(
            run,
            state,
            run.now() + timedelta(seconds=delay),
            error,
            f"{error['message']} Attempt {state.attempt} of {step.attempts}; again in {delay:.1f} s.",
            kind="step_retrying",
        )

    def _snooze(
        self,
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
            self._fail(run, step, state, error)
            return
        state.attempt -= 1
        state.effect = "intended" if state.was_in_doubt or lost else "none"
        self._wait(run, state, run.now() + timedelta(seconds=seconds), error, message)

    def _wait(
        self,
        run: Execution,
        state: StepState,
        until: Any,
        error: dict[str, Any] | None,
        message: str,
        kind: str = "step_waiting",
    ) -> None:
        state.status, state.due_at, state.error = "waiting", until, error
        run.changed(state)
        level = "warning" if error else "info"
        run.tell(kind, message, level=level, step=state.key, data={"dueAt": until.isoformat()})

    def _aborted(self, run: Execution, state: StepState) -> None:
        if state.was_in_doubt:
            run.unsettled(state, "An earlier call had no answer, and the run was cancelled before it was made again.")
            return
        state.effect = "none"
        run.finish_step(state, "skipped")
        run.tell("step_skipped", "Skipped: cancelled before anything was sent", step=state.key)

    def _skip(self, run: Execution, state: StepState, why: str) -> None:
        run.finish_step(state, "skipped")
        run.tell("step_skipped", f"Skipped: {why}", step=state.key)

    def _fail(self, run: Execution, step: PlanStep, state: StepState, error: dict[str, Any]) -> None:
        run.finish_step(state, "failed", error=error)
        run.tell("step_failed", error["message"], level="error", step=step.key, data={"error": error})
        if step.stops:
            run.failure = {**error, "step": step.key}
            run.skip_pending()


def _is_too_old(run: Execution, state: StepState) -> bool:
    return state.started_at is not None and run.now() - state.started_at > MAX_AGE


def _traced(run: Execution, step: PlanStep, state: StepState, seconds: float) -> None:
    tracing.record(
        step.reaction.key,
        run.trace,
        span_id(run.id, step.key, run.fence, state.attempt),
        now_ns() - int(seconds * 1e9),
        parent=run.span,
        attributes={"area.step": step.key, "area.attempt": state.attempt, "area.status": state.status},
        error=state.error["message"] if state.error else None,
    )


def _place(step: PlanStep) -> Path:
    """Where a step's inputs are in its AREA."""
    return ("reactions", step.position, "config")


def _why(error: TemplateFailed | ValidationError) -> str:
    return _told(error) if isinstance(error, ValidationError) else str(error)


def _told(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'input'}: {problem['msg']}" for problem in error.errors()[:5]
    )
