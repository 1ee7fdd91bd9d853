"""What is done to the platform: each fault by name, in lanes that go on at the same time, at seeded random moments."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import asyncpg

from chaos import audit
from chaos.cast import Cast
from chaos.outside import Outside
from chaos.proxy import Proxy
from chaos.servers import Servers


@dataclass
class Incident:
    """One fault as it happened; moments are seconds since 1970."""

    fault: str
    begin: float
    end: float = 0.0
    whom: str | None = None
    """The process that it befell, where it befell one."""


@dataclass
class Scene:
    """Everything that a fault may touch."""

    servers: Servers
    cast: Cast
    outside: Outside
    database: Callable[[], Awaitable[asyncpg.Connection]]
    rng: random.Random
    outage_seconds: float
    freeze_seconds: float
    mood_seconds: float
    incidents: list[Incident] = field(default_factory=list)

    def note(self, fault: str, whom: str | None = None) -> Incident:
        """Begin an incident."""
        incident = Incident(fault, time.time(), whom=whom)
        self.incidents.append(incident)
        return incident


class Fault(Protocol):
    """Does it and undoes it; gives False where there was nothing to do it to."""

    async def __call__(self, scene: Scene, name: str) -> bool: ...


def kill(role: str) -> Fault:
    """SIGKILL one process of a role; another starts within three seconds."""

    async def fault(scene: Scene, name: str) -> bool:
        actor = scene.cast.pick(role)
        if actor is None:
            return False
        incident = scene.note(name, actor.name)
        scene.cast.kill(actor, scene.rng.choice([0.0, scene.rng.uniform(0, 3)]))
        incident.end = time.time()
        return True

    return fault


async def freeze(scene: Scene, name: str) -> bool:
    """SIGSTOP a worker past its lease, then SIGCONT."""
    actor = scene.cast.pick("worker")
    if actor is None:
        return False
    incident = scene.note(name, actor.name)
    await scene.cast.freeze(actor, scene.freeze_seconds * scene.rng.uniform(1, 1.3))
    incident.end = time.time()
    return True


async def deploy(scene: Scene, name: str) -> bool:
    """SIGTERM to all, new ones started."""
    incident = scene.note(name)
    leaving = await scene.cast.deploy()
    incident.end = time.time()
    scene.incidents += [Incident(name, incident.begin, incident.end, actor.name) for actor in leaving]
    return True


def redis_killed(*, keep: bool) -> Fault:
    """SIGKILL Redis; it comes back with its data or without."""

    async def fault(scene: Scene, name: str) -> bool:
        incident = scene.note(name)
        await scene.servers.kill_redis(keep=keep, away=scene.rng.uniform(0, 1.5))
        incident.end = time.time()
        return True

    return fault


async def redis_flushed(scene: Scene, name: str) -> bool:
    """FLUSHALL."""
    incident = scene.note(name)
    await scene.servers.flush_redis()
    incident.end = time.time()
    return True


async def postgres_killed(scene: Scene, name: str) -> bool:
    """Immediate stop, restart."""
    incident = scene.note(name)
    await scene.servers.kill_postgres(away=scene.rng.uniform(0, 2))
    incident.end = time.time()
    return True


def unreachable(proxy_of: Callable[[Servers], Proxy], how: str) -> Fault:
    """Out of reach: ``refused``, ``silent`` (held, then delivered) or ``forgotten`` (present connections dead for ever)."""

    async def fault(scene: Scene, name: str) -> bool:
        proxy = proxy_of(scene.servers)
        incident = scene.note(name)
        try:
            match how:
                case "refused":
                    await proxy.refuse()
                    await asyncio.sleep(scene.outage_seconds)
                    await proxy.start()
                case "silent":
                    proxy.hold()
                    await asyncio.sleep(scene.outage_seconds)
                case _:
                    proxy.forget()
                    await asyncio.sleep(scene.outage_seconds)
        finally:
            proxy.release()
            incident.end = time.time()
        return True

    return fault


def mood(which: str) -> Fault:
    """The sink answers badly for a while."""

    async def fault(scene: Scene, name: str) -> bool:
        incident = scene.note(name)
        scene.outside.mood = which
        await asyncio.sleep(scene.mood_seconds)
        scene.outside.mood = "ok"
        incident.end = time.time()
        return True

    return fault


def clock_of_processes(seconds: float) -> Fault:
    """The wall clock of every process that now runs is stepped, for a while, and stepped back."""

    async def fault(scene: Scene, name: str) -> bool:
        incident = scene.note(name)
        stepped = list(scene.cast.actors)
        for actor in stepped:
            actor.step_clock(seconds)
        await asyncio.sleep(scene.mood_seconds)
        for actor in stepped:
            actor.step_clock(0.0)
        incident.end = time.time()
        return True

    return fault


def clock_of_postgres(seconds: float) -> Fault:
    """The clock of Postgres is stepped, for a while, and stepped back."""

    async def fault(scene: Scene, name: str) -> bool:
        incident = scene.note(name)
        await _step_postgres(scene, seconds)
        await asyncio.sleep(scene.mood_seconds)
        await _step_postgres(scene, 0.0)
        incident.end = time.time()
        return True

    return fault


async def _step_postgres(scene: Scene, seconds: float) -> None:
    while True:
        try:
            connection = await scene.database()
            try:
                await audit.step_clock(connection, seconds)
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.2)
            continue
        return


FREEZE = "SIGSTOP a worker past its lease"
OWN_PAUSE = "the other side stood still"
"""No fault of the programme: the services elsewhere are in this process, and it may get no time on a busy machine."""


async def own_pauses(scene: Scene) -> None:
    """Note when this process stood still for more than a second."""
    while True:
        before = time.time()
        await asyncio.sleep(0.1)
        if time.time() - before > 1.1:
            scene.incidents.append(Incident(OWN_PAUSE, before, time.time()))


@dataclass(frozen=True)
class Kind:
    """A fault of the programme."""

    name: str
    lane: str
    fault: Fault
    full: int
    """How often in a full run."""
    quick: int
    short: int
    """How often in the test of the play itself."""


KINDS = [
    Kind("SIGKILL a worker", "processes", kill("worker"), 20, 4, 1),
    Kind("SIGKILL a scheduler", "processes", kill("scheduler"), 20, 3, 1),
    Kind("SIGKILL the API", "processes", kill("api"), 20, 2, 1),
    Kind("deploy: SIGTERM to all, new ones", "processes", deploy, 3, 1, 0),
    Kind(FREEZE, "time", freeze, 6, 1, 1),
    Kind("clocks of processes + 60 s", "time", clock_of_processes(60), 2, 1, 0),
    Kind("clocks of processes - 60 s", "time", clock_of_processes(-60), 2, 1, 0),
    Kind("clock of Postgres + 60 s", "time", clock_of_postgres(60), 1, 0, 0),
    Kind("clock of Postgres - 60 s", "time", clock_of_postgres(-60), 1, 0, 0),
    Kind("SIGKILL Redis, data kept", "redis", redis_killed(keep=True), 20, 2, 1),
    Kind("SIGKILL Redis, data gone", "redis", redis_killed(keep=False), 20, 2, 0),
    Kind("FLUSHALL", "redis", redis_flushed, 5, 1, 0),
    Kind("Redis refuses connections", "redis", unreachable(lambda s: s.redis_proxy, "refused"), 1, 0, 0),
    Kind("Redis is silent", "redis", unreachable(lambda s: s.redis_proxy, "silent"), 1, 1, 0),
    Kind("Redis forgets connections", "redis", unreachable(lambda s: s.redis_proxy, "forgotten"), 1, 0, 0),
    Kind("Postgres: immediate stop, restart", "postgres", postgres_killed, 20, 3, 1),
    Kind("Postgres refuses connections", "postgres", unreachable(lambda s: s.postgres_proxy, "refused"), 1, 0, 0),
    Kind("Postgres is silent", "postgres", unreachable(lambda s: s.postgres_proxy, "silent"), 1, 1, 0),
    Kind("Postgres forgets connections", "postgres", unreachable(lambda s: s.postgres_proxy, "forgotten"), 1, 0, 0),
    Kind("the other side answers 500", "outside", mood("500"), 2, 1, 0),
    Kind("the other side answers 429", "outside", mood("429"), 2, 1, 0),
    Kind("the other side hangs", "outside", mood("hang"), 2, 1, 0),
    Kind("the other side closes in the middle", "outside", mood("cut"), 2, 1, 0),
]


async def play(scene: Scene, counts: Mapping[str, int], pauses: Mapping[str, tuple[float, float]]) -> None:
    """Every fault as often as ``counts`` says, each lane in an order and with pauses of its own."""
    lanes: dict[str, list[Kind]] = {}
    for kind in KINDS:
        lanes.setdefault(kind.lane, []).extend([kind] * counts.get(kind.name, 0))
    async with asyncio.TaskGroup() as group:
        for name, kinds in lanes.items():
            rng = random.Random(f"{name} {scene.rng.random()}")
            rng.shuffle(kinds)
            group.create_task(_lane(scene, kinds, rng, pauses[name]))


async def _lane(scene: Scene, kinds: list[Kind], rng: random.Random, pause: tuple[float, float]) -> None:
    for kind in kinds:
        await asyncio.sleep(rng.uniform(*pause))
        while not await kind.fault(scene, kind.name):
            await asyncio.sleep(0.2)
