"""One step: its condition, its input, the call, and what the outcome means (law 5)."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid5

from pydantic import ValidationError
from structlog.contextvars import bind_contextvars, reset_contextvars

from area.core import log, metrics
from area.core.flight import Aborted, Flight
from area.core.jsons import TooDeep
from area.core.tracing import now_ns, span_id, tracing
from area.engine.calls import Calls
from area.engine.connections.accounts import Accounts
from area.engine.context import Log
from area.engine.execution import Execution
from area.engine.items import Resting, run_items
from area.engine.links import Links
from area.engine.mishaps import fail, failed, place, told_of, wait, why_held
from area.engine.plan import PlanStep
from area.engine.reasons import reason
from area.engine.runs import StepState
from area.engine.templates import TemplateFailed
from area.nodes import sdk

logger = log.get(__name__)

LINES_BETWEEN_COMMITS = 1000
LONG_RENDERING = 0.01
"""Seconds after which a rendering is followed by a turn for others."""


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
                path = (*place(step), *error.errors()[0]["loc"])
                fail(run, step, state, reason("INVALID_INPUT", told_of(error), path))
            else:
                fail(run, step, state, reason("TEMPLATE_FAILED", str(error)))
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
            fail(run, step, state, reason("INVALID_INPUT", f"The input cannot be kept: {error}"))
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
            wait(run, state, park.until, None, f"Waiting until {park.until.isoformat(timespec='seconds')}")
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
            lost = failed(run, step, state, inputs, flight, error)
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
            run.held_for = why_held(run, step, error.message)
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


def _why(error: TemplateFailed | ValidationError) -> str:
    return told_of(error) if isinstance(error, ValidationError) else str(error)
