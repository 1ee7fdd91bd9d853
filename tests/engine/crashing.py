"""The sink, the workers and the person of one drawn run, and how its worker dies at odd moments."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from area.core.errors import Conflict
from area.engine import control
from area.engine.execution import FINAL
from area.engine.feed import TERMINAL
from area.engine.runs import Checkpoint, Runs
from tests.engine.conftest import Sink, World
from tests.engine.crash_plays import HANGS, Act, Play, Step


@dataclass
class Call:
    """One call that the sink received."""

    key: str
    method: str
    idempotency_key: str
    answer: int
    number: int


class Scripted(Sink):
    """A sink that answers the calls of each step as its script says, and remembers in which order they came."""

    _numbers = count()

    @property
    def address(self) -> str:
        """Where the steps of this run call: a late call of another run is not taken for one of its own."""
        return f"{self.url}/{self.number}"

    def begin(self, steps: tuple[Step, ...], clock: "count[int]") -> None:
        """Another run: nothing has come, and what is answered is as its steps say."""
        self.number = next(self._numbers)
        self.received: list[Call] = []
        self.hung = asyncio.Event()
        self._clock = clock
        self._script = {
            key: list(script) for step in steps for key, script in zip(step.called, step.answers, strict=False)
        }

    async def handle(self, request: Request) -> Response:
        number, _, key = request.url.path.strip("/").partition("/")
        if number != str(self.number):
            return JSONResponse({}, 410)
        script = self._script[key]
        answer = script.pop(0) if script else 200
        self.received.append(Call(key, request.method, request.headers["idempotency-key"], answer, next(self._clock)))
        if answer == HANGS:
            hold = self.hold
            self.hung.set()
            await hold.wait()
        return JSONResponse({}, answer or 200, {"Retry-After": "1"} if answer == 429 else {})

    def count(self, key: str) -> int:
        """How many calls of a step have come."""
        return sum(call.key == key for call in self.received)

    def let_go(self) -> None:
        """Whoever waited for an answer is dead."""
        self.hold.set()
        self.hold = asyncio.Event()
        self.hung.clear()


class Worker(Runs):
    """What one worker writes, until something befalls it."""

    def __init__(self, story: "Story", act: Act) -> None:
        platform = story.world.platform
        super().__init__(story.world.pool, platform.settings.lease_seconds)
        self.executor = replace(platform, runs=self).executor()
        self.is_dead = False
        self.commits = 0
        self.lag = act.lag
        self.dying = asyncio.Event()
        self.other: asyncio.Task[None] | None = None
        """Who has taken over while this one is frozen."""
        self.not_its_own: dict[str, int] = {}
        """What it was about to call when it froze, and how often that had been called when it went on."""
        self._story, self._act = story, act

    async def commit(self, checkpoint: Checkpoint) -> bool:
        self.commits += 1
        if self.is_dead:
            await self._die()
        if self._story.sink.hung.is_set():
            self.lag -= 1
            if self.lag < 0:
                self.dying.set()
        fault = self._act.fault if self.commits == self._act.at else ""
        if self._story.sink.hung.is_set() and fault in ("freeze", "frozen"):
            fault = "before"  # one death at a time
        if fault == "stop":
            self._story.tasks.append(asyncio.create_task(self.executor.stop()))
            await asyncio.sleep(0)
        if fault in ("cancel", "heard"):
            await self._story.cancel()
        if fault == "heard":
            await self.executor._renew()
        if fault == "frozen":
            await self._taken_over(checkpoint)
        if fault == "before":
            await self._die()
        told = await self._written(checkpoint)
        if fault == "freeze":
            await self._taken_over(checkpoint)
            checkpoint.asked_at = 0.0
        if fault == "after":
            await self._die()
        return told

    async def _written(self, checkpoint: Checkpoint) -> bool:
        told = await super().commit(checkpoint)
        self._story.wrote(checkpoint)
        if told and self._story.heard_at is None:
            self._story.heard_at = len(self._story.sink.received)
        return told

    async def _die(self) -> None:
        self.die()
        await asyncio.Event().wait()

    def die(self) -> None:
        """Nothing of it is done any more."""
        self.is_dead = True
        for _, task in list(self.executor._active.values()):
            task.cancel()

    async def _taken_over(self, checkpoint: Checkpoint) -> None:
        """It is frozen for so long that another has taken the run over, and rests or ends it."""
        run, _ = self.executor._active[checkpoint.run_id]
        await self._story.lapse()
        self.other = asyncio.create_task(self._story.work(Act("work")))
        await asyncio.shield(self.other)
        # By its own clock too, its lease is over.
        run._held_until = 0.0
        self._story.deaths += 1
        self.not_its_own = {row[2]: self._story.sink.count(row[2]) for row in checkpoint.steps if row[4] == "running"}


@dataclass
class Story:
    """One run, from its event to its end."""

    world: World
    sink: Scripted
    run: UUID
    play: Play
    clock: "count[int]"
    tasks: list[Any] = field(default_factory=list)
    again: list[tuple[str, int]] = field(default_factory=list)
    """What a person wanted tried again, and when."""
    happened: set[str] = field(default_factory=set)
    cancelled_at: int | None = None
    """How many calls there had been when the run was cancelled while nobody executed it."""
    heard_at: int | None = None
    """How many calls there had been when its worker heard that the run is cancelled."""
    was_cancelled: bool = False
    barred: set[str] = field(default_factory=set)
    """The steps that had no turn yet when the run failed or was stopped."""
    deaths: int = 0
    written: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """The steps that have ended, as they were written."""
    ended: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    """Ended steps that were written again as something else."""

    def wrote(self, checkpoint: Checkpoint) -> None:
        for row in checkpoint.steps:
            key, state = row[2], (row[4], row[8])
            if self.written.get(key, state) != state:
                self.torn.append(f"{key}: {self.written[key]} became {state}")
            if state[0] in FINAL:
                self.written[key] = state
                self.ended.add(key)
        if any(self._ends_the_run(row[2], row[4]) for row in checkpoint.steps):
            self.barred |= {step.key for step in self.play.steps if not self.ended.issuperset(self.play.before(step))}

    def _ends_the_run(self, key: str, status: str) -> bool:
        step = next((step for step in self.play.steps if step.key == key), None)
        if step is None:
            return False
        return (status == "succeeded" and step.ends_the_run) or (status == "failed" and step.on_failure == "stop")

    async def act(self, act: Act) -> None:
        match act.what:
            case "work":
                if await self.world.status(self.run) == "waiting":
                    await self.world.due_now(self.run)
                await self.work(act)
            case "cancel":
                if await self.cancel() and self.cancelled_at is None:
                    self.cancelled_at = len(self.sink.received)
            case "settle":
                await self.settle(act.happened)
            case "resume":
                with suppress(Conflict):
                    await control.resume_run(self.world.platform, self.world.user, self.run)

    async def cancel(self) -> bool:
        if await self.world.status(self.run) in TERMINAL:
            return False
        self.was_cancelled = True
        await control.cancel_run(self.world.platform, self.world.user, self.run)
        return True

    async def settle(self, happened: bool) -> None:
        unknown = [key for key, step in (await self.world.steps(self.run)).items() if step["status"] == "unknown"]
        if await self.world.status(self.run) != "held":
            return
        assert unknown, "held, and nothing to settle"
        await control.settle_step(self.world.platform, self.world.user, self.run, unknown[0], happened=happened)
        if happened:
            self.happened.add(unknown[0])
            self.ended.add(unknown[0])
        else:
            self.again.append((unknown[0], next(self.clock)))

    async def lapse(self) -> None:
        if await self.world.status(self.run) == "running":
            await self.world.expire_lease(self.run)

    async def work(self, act: Act) -> None:
        """A worker takes the run as far as it can, or until it dies."""
        await self.lapse()
        worker = Worker(self, act)
        task = asyncio.create_task(worker.executor.execute([self.run]))
        async with asyncio.timeout(30):
            await self._until_hung(worker, task)
            if not task.done() and worker.lag:
                # What is beside the call that hangs goes on for a while.
                dying = asyncio.create_task(worker.dying.wait())
                await asyncio.wait([task, dying], timeout=0.03, return_when=asyncio.FIRST_COMPLETED)
                dying.cancel()
            if not task.done():
                worker.die()
            self.deaths += worker.is_dead
            await asyncio.wait([task])
            late = [key for key, made in worker.not_its_own.items() if self.sink.count(key) > made]
            assert not late, f"{late} called by a worker that had lost the run"
            if worker.other:
                await asyncio.wait([worker.other])
            await asyncio.gather(*worker._batcher.tasks, *self.tasks, return_exceptions=True)
        self.tasks.clear()
        self.sink.let_go()
        # What a dead worker had sent to Postgres is written all the same.
        self.ended |= {key for key, step in (await self.world.steps(self.run)).items() if step["status"] in FINAL}

    async def _until_hung(self, worker: Worker, task: "asyncio.Task[None]") -> None:
        hung: asyncio.Task[Any] | None = None
        while not (task.done() or (hung and hung.done())):
            hung = asyncio.create_task(self.sink.hung.wait())
            await asyncio.wait([task, hung], return_when=asyncio.FIRST_COMPLETED)
            if worker.other and not worker.other.done():
                # It is the other's call that hangs, and the other that dies of it.
                await asyncio.wait([worker.other])
                hung = None
        if hung:
            hung.cancel()

    async def state(self) -> tuple[Any, ...]:
        steps = await self.world.steps(self.run)
        return len(self.sink.received), [(key, step["status"], step["attempt"]) for key, step in steps.items()]

    async def finish(self, happened: bool) -> None:
        """Let it come to its end with nothing more in its way than calls that hang."""
        before: tuple[Any, ...] | None = None
        idle = 0
        for _ in range(80):
            status = await self.world.status(self.run)
            if status in TERMINAL:
                return
            if status == "held":
                await self.settle(happened)
                continue
            if status == "waiting":
                assert await self.world.pool.fetchval("SELECT due_at FROM runs WHERE id = $1", self.run), (
                    "waits for ever"
                )
                await self.world.due_now(self.run)
            deaths = self.deaths
            await self.work(Act("work"))
            status = await self.world.status(self.run)
            if self.deaths == deaths:
                assert status not in ("queued", "running"), f"{status} after a worker that nothing befell"
                steps = await self.world.steps(self.run)
                unknown = [key for key, step in steps.items() if step["status"] == "unknown"]
                assert status in (*TERMINAL, "held") or not unknown, f"{status} though {unknown} is unknown"
            now = await self.state()
            idle = idle + 1 if now == before else 0
            assert idle < 2, f"it goes round and round: {status}, {now}"
            before = now
        raise AssertionError(f"no end: {await self.state()}")


def calls_of(sink: Scripted) -> dict[str, list[Call]]:
    """The calls by the key of their step."""
    found: dict[str, list[Call]] = {}
    for call in sink.received:
        found.setdefault(call.key, []).append(call)
    return found


def kinds(rows: list[Any]) -> Counter[tuple[str, str]]:
    """How many lines of each kind each step has."""
    return Counter((row["step"], row["kind"]) for row in rows)
