"""The executor: claims runs, takes each through its steps, keeps their leases, and stops gracefully."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from structlog.contextvars import bind_contextvars

from area.core import log, metrics
from area.core.errors import AreaError
from area.core.settings import Settings
from area.core.tracing import now_ns, span_id, tracing
from area.db.session import AWAY
from area.engine.admission import Admission
from area.engine.broadcast import CANCELS, Wakeups
from area.engine.calls import Calls
from area.engine.connections.accounts import Accounts
from area.engine.doorbell import Doorbell
from area.engine.enrichment import Enrichment
from area.engine.execution import FINAL, Execution, Limits
from area.engine.failures import Failures
from area.engine.links import Links
from area.engine.plan import Plan, PlanBroken, Plans, PlanStep
from area.engine.runs import Fenced, Runs
from area.engine.steps import Steps
from area.nodes import sdk

logger = log.get(__name__)

LOOK_SECONDS = 1.0
"""How often a worker looks into Postgres unasked: Redis may have forgotten everything (law 2)."""
GATHER_SECONDS = 0.005
"""Pause between two claims while more waits, so that each takes several runs."""
NOBODY = UUID(int=0)
MOST_TAKEOVERS = 20
"""After so many without a rest in between, what kills the workers is taken to be the run itself."""
STOP_SECONDS = 20.0
"""How long a graceful stop waits for the calls under way."""


class Executor:
    """Runs of one worker process: at most ``worker_concurrency`` at once."""

    def __init__(
        self,
        runs: Runs,
        plans: Plans,
        accounts: Accounts,
        doorbell: Doorbell,
        settings: Settings,
        enrichment: Enrichment,
        admission: Admission,
        wakeups: Wakeups,
        failures: Failures,
        links: Links,
        calls: Calls,
    ) -> None:
        self._runs = runs
        self._links = links
        self._calls = calls
        self._enrichment = enrichment
        self._plans = plans
        self._steps = Steps(accounts, links, calls)
        self._doorbell = doorbell
        self._settings = settings
        self._limits = Limits(settings.run_log_bytes, settings.run_bytes, settings.payload_limit)
        self._admission = admission
        self._wakeups = wakeups
        self._failures = failures
        # A tenth of the slots is never one user's alone, so that slow runs of one do not keep out the others.
        self._most = settings.worker_concurrency - settings.worker_concurrency // 10
        self._wake = asyncio.Event()
        self._freed = asyncio.Event()
        self._served = NOBODY
        self._more = False
        self._active: dict[UUID, tuple[Execution, asyncio.Task[None]]] = {}
        self.stopping = False

    async def execute(self, ids: list[UUID]) -> None:
        """Execute those of ``ids`` that nobody else has, and return when each has ended or rests."""
        if self.stopping:
            return
        claims = await self._runs.claim([id_ for id_ in ids if id_ not in self._active])
        if claims:
            # Not gather: a cancelled job must not cancel the runs, which have leases of their own.
            await asyncio.wait([self._start(claim) for claim in claims])

    def _start(self, claim: asyncpg.Record) -> "asyncio.Task[None]":
        run = Execution(claim, self._runs, self._limits)
        task = asyncio.create_task(self._guarded(run))
        self._active[run.id] = (run, task)
        return task

    async def _guarded(self, run: Execution) -> None:
        # Each run is a task of its own, so what is bound here goes with its lines and no others.
        bind_contextvars(run=str(run.id), area=str(run.area_id))
        try:
            await self._run(run)
        except Fenced:
            logger.warning("run.fenced", run=str(run.id), fence=run.fence)
        except asyncio.CancelledError:
            logger.warning("run.lease_lost", run=str(run.id), fence=run.fence)
        except Exception:
            # The lease runs out and the run is taken over from its last checkpoint: nothing to undo here.
            logger.exception("run.interrupted", run=str(run.id))
        finally:
            if self._active.get(run.id, (None,))[0] is run:
                del self._active[run.id]
            self._freed.set()
            if self._more:
                self._wake.set()
            if run.is_limited:
                self._admission.later([run.area_id])
            self._doorbell.announce(run.user_id, run.id)

    async def _run(self, run: Execution) -> None:
        began = now_ns() if tracing.on else 0
        try:
            await self._whole(run)
        finally:
            if tracing.on:
                failed = run.failure["message"] if run.failure else None
                attributes = {"area.run": str(run.id), "area.area": str(run.area_id), "area.fence": run.fence}
                above = span_id(run.event_id) if run.event_id else None
                tracing.record("run", run.trace, run.span, began, parent=above, attributes=attributes, error=failed)

    async def _whole(self, run: Execution) -> None:
        try:
            plan = await self._plans.get(run.version_id)
            await run.load(plan)
        except PlanBroken as error:
            await run.load_stored()
            await self._give_up(run, "AREA_BROKEN", str(error))
            return
        if run.is_orphan:
            await self._give_up(run, "AREA_DELETED", "The AREA was deleted before this run had ended.")
            return
        if run.takeovers > MOST_TAKEOVERS:
            what = (
                f"{run.takeovers} workers in a row died or broke off while they had this run, so it is not tried again."
            )
            await self._give_up(run, "INTERRUPTED", what)
            return
        run.about = {
            "id": str(run.id),
            "is_test": run.is_test,
            "area": {"id": str(run.area_id), "name": plan.area_name},
            "approvals": {key: self._links.url(run.id, key) for key in plan.asks},
        }
        if run.first:
            run.tell("run_started", f"Running {plan.area_name}")
        else:
            run.tell("run_resumed", "Taken over from a worker that went away" if run.was_running else "Going on")
        if run.is_raw and plan.enricher is not None:
            await self._enrich(run, plan.enricher)
        await self._advance(run, plan)
        await self._settle(run, plan)
        if run.is_called:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                # The sweep finds it otherwise.
                await self._calls.wake_callers([run.id])

    async def _enrich(self, run: Execution, action: sdk.Action) -> None:
        """Add what the delivery lacked; without it the run goes on with what there is."""
        assert run.event_id is not None  # noqa: S101 - a run without an event is not raw
        try:
            run.trigger = await self._enrichment.of(run.event_id, action)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception as error:
            said = str(error) or type(error).__name__
            if not isinstance(error, sdk.NodeError | AreaError | httpx.TransportError | OSError):
                said = f"{action.key} broke"
                logger.error("executor.enrichment_broke", run=str(run.id), action=action.key, exc_info=error)
            run.tell(
                "log", f"{action.service.name} could not be asked for more about this event: {said}", level="warning"
            )

    async def _advance(self, run: Execution, plan: Plan) -> None:
        """Execute steps until none is ready, or the run is to end."""
        while not (run.cancelled or run.held_for or self.stopping):
            ready = run.ready(plan)
            if run.stopped or run.failure:
                # What had its turn beside what ended the run comes to its end all the same, as after a person's "try again".
                ready = [s for s in ready if run.states[s.position].status != "waiting" or run.in_doubt(s)]
            if not ready:
                return
            run.turn = frozenset(step.position for step in ready)
            if len(ready) == 1:
                await self._steps.execute(run, ready[0])
            else:
                await asyncio.gather(*(self._one_of_many(run, step) for step in ready))
            self._doorbell.announce(run.user_id, run.id)
            if any(state.status == "unknown" for state in run.states.values()):
                return

    async def _one_of_many(self, run: Execution, step: PlanStep) -> None:
        await self._steps.execute(run, step)
        # Its brothers may take long: what happened is written now.
        await run.commit()
        self._doorbell.announce(run.user_id, run.id)

    async def _settle(self, run: Execution, plan: Plan) -> None:
        """Write where the run stands: its end, or what it rests for."""
        states = [run.states[step.position] for step in plan.steps]
        ends = bool(run.stopped or run.failure or all(state.status in FINAL for state in states))
        # Nobody may say yet what became of a dead worker's call: the account it needs is away, or we are leaving.
        if ends and (run.held_for or self.stopping) and any(state.in_flight for state in run.states.values()):
            ends = False
        if run.cancelled:
            run.skip_rest()
            run.tell("run_cancelled", "Cancelled", level="warning")
            await run.commit("cancelled")
        elif any(state.status == "unknown" for state in run.states.values()):
            run.tell("run_held", "Held: a person must say whether a call happened", level="warning")
            await run.commit("held")
        elif ends and run.failure:
            run.skip_rest()
            await self._fail(run, run.failure)
        elif run.held_for and not ends:
            run.tell("run_held", run.held_for["message"], level="warning", data={"error": run.held_for})
            await run.commit("held")
        elif ends:
            run.skip_rest()
            run.tell("run_succeeded", f"Finished: {run.stopped}" if run.stopped else "Finished")
            await run.commit("succeeded")
        elif (due := run.next_due()) and not (self.stopping and run.ready(plan)):
            run.tell(
                "run_waiting", f"Waiting until {due.isoformat(timespec='seconds')}", data={"dueAt": due.isoformat()}
            )
            await run.commit("waiting", due)
        else:
            # A graceful stop: give the run back so that another worker goes on at once.
            await run.commit("queued")
            self._doorbell.ring()

    async def _give_up(self, run: Execution, code: str, message: str) -> None:
        """End a run that cannot go on, whatever its steps say."""
        run.failure = {"code": code, "message": message}
        run.skip_rest()
        await self._fail(run, run.failure)

    async def _fail(self, run: Execution, failure: dict[str, Any]) -> None:
        paused = await self._failures.count(run.area_id, failure) if run.is_of_event else None
        if paused:
            run.tell("area_paused", f"The AREA was switched off: {paused}", level="warning")
        run.tell("run_failed", failure["message"], level="error", data={"error": failure})
        await run.commit("failed")

    async def keep_leases(self) -> None:
        """Renew the leases of active runs for ever, and at once when a run is asked to end; drop what was lost."""
        with self._wakeups.listen(CANCELS) as asked:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(asked.wait(), self._settings.lease_seconds / 4)
                asked.clear()
                await self._renew()

    async def _renew(self) -> None:
        held = {id_: run.fence for id_, (run, _) in self._active.items()}
        if not held:
            return
        asked_at = time.monotonic()
        try:
            kept = await self._runs.renew(held)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            logger.warning("leases.not_renewed", runs=len(held))
            return
        for id_, fence in held.items():
            run, task = self._active.get(id_, (None, None))
            if run is None or task is None or run.fence != fence:
                continue
            if id_ in kept:
                run.renewed(asked_at)
                if kept[id_] and not run.cancelled:
                    run.cancel()
            elif not await self._ended(id_):
                task.cancel()

    async def _ended(self, id_: UUID) -> bool:
        # A run that committed its end between the snapshot and the renewal has left `_active` by now, or is about to.
        await asyncio.sleep(0.05)
        return id_ not in self._active

    async def rung(self) -> None:
        """The doorbell: runs wait. A worker without room keeps it for a moment, so that the next goes to another worker."""
        if self._room <= 0:
            self._freed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), LOOK_SECONDS)
        self._wake.set()

    async def work(self) -> None:
        """Claim what waits, for ever: at once when rung for or when there is room again, else by looking once a second."""
        look_at = 0.0
        while not self.stopping:
            if (pause := look_at - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
            rung = self._wake.is_set()
            self._wake.clear()
            try:
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK_SECONDS
                    await self._look()
                claimed = await self._fill()
                if not rung:
                    metrics.SWEPT.labels("worker").inc(claimed)
            except AWAY as error:
                logger.warning("claim.postgres_away", error=repr(error))
                look_at = time.monotonic() + LOOK_SECONDS
            except Exception:
                # Whatever one run brings about, the others are still claimed.
                logger.exception("claim.broke")
                look_at = time.monotonic() + LOOK_SECONDS

    @property
    def _room(self) -> int:
        return self._settings.worker_concurrency - len(self._active)

    async def _look(self) -> None:
        """What nobody rings for: timers that are due, places below a limit, and what dead workers left."""
        await self._calls.wake_callers()
        await self._runs.wake_due()
        await self._admission.sweep()
        if self._room > 0 and not self.stopping:
            for claim in await self._runs.claim_lost(self._room, self._active):
                self._start(claim)

    async def _fill(self) -> int:
        """Claim until there is no room or nothing waits; how many were claimed."""
        claimed = 0
        while not self.stopping:
            if (room := self._room) <= 0:
                self._more = True
                break
            held = self._held()
            claims, more = await self._runs.claim_next(room, self._served, held, self._most)
            for claim in claims:
                self._start(claim)
                self._served = claim["user_id"]
            claimed += len(claims)
            if not more:
                # Of a user who had all the slots that one may have, there may be more; what ended while we asked rang nobody.
                self._more = max(held.values(), default=0) >= self._most
                if not self._more or max(self._held().values(), default=0) >= self._most:
                    break
            await asyncio.sleep(GATHER_SECONDS)
        return claimed

    def _held(self) -> Counter[UUID]:
        return Counter(run.user_id for run, _ in self._active.values())

    async def stop(self) -> None:
        """Take no more work; finish or hand back what is under way."""
        self.stopping = True
        for run, _ in self._active.values():
            run.is_leaving = True
        tasks = [task for _, task in self._active.values()]
        if tasks:
            with suppress(TimeoutError):
                await asyncio.wait(tasks, timeout=STOP_SECONDS)
