"""The platform's processes: started, killed, frozen, stopped, and started again when they end by themselves."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaos.nursery import AHEAD
from chaos.processes import Child, Nursery

ROLES_PREPARED = 1_000
"""Database roles made beforehand for each kind of process: one for every process that may ever start."""
STOP_SECONDS = 30.0
AGAIN_SECONDS = 0.5
STARTING_SECONDS = 10.0


@dataclass
class Actor:
    """One process. Its name is its role in Postgres too, so that the audit knows who wrote what."""

    name: str
    role: str
    process: Child
    clock: Path
    log: Path
    started_at: float = field(default_factory=time.time)
    is_frozen: bool = False
    is_leaving: bool = False
    """We have ended it or asked it to end."""

    @property
    def is_up(self) -> bool:
        """Whether it runs undisturbed."""
        return self.process.code is None and not self.is_frozen and not self.is_leaving

    def step_clock(self, seconds: float) -> None:
        """Let it believe that it is later by ``seconds`` than it is."""
        with self.clock.open("r+b") as file:  # in place: it has the file in its memory
            file.write(AHEAD.pack(seconds))


@dataclass(frozen=True)
class SelfEnded:
    """A process that ended though nobody asked it to."""

    name: str
    at: float
    lived: float
    code: int | None
    last_words: str


def names(role: str) -> list[str]:
    """The names that processes of a role may get."""
    return [f"{role}-{number}" for number in range(1, ROLES_PREPARED + 1)]


class Cast:
    """Everybody on stage: so many of each role, whatever happens to them."""

    def __init__(
        self,
        directory: Path,
        environ: Callable[[str], Mapping[str, str]],
        wanted: Mapping[str, int],
        rng: random.Random,
    ) -> None:
        self.actors: list[Actor] = []
        self.self_ended: list[SelfEnded] = []
        self.stubborn: list[str] = []
        """Those that did not stop when told to, or not with code 0."""
        self._directory = directory
        self._nursery = Nursery(directory)
        self._environ = environ
        self._wanted = dict(wanted)
        self._rng = rng
        self._numbers = dict.fromkeys(wanted, 0)
        self._not_before = dict.fromkeys(wanted, 0.0)

    def fill(self) -> None:
        """Start whoever is missing; note who ended by himself. To be called often, from one thread at a time."""
        for actor in list(self.actors):
            code = actor.process.code
            if code is None:
                continue
            self.actors.remove(actor)
            if not actor.is_leaving:
                words = actor.log.read_text(errors="replace").strip().splitlines()
                last = words[-1] if words else ""
                lived = time.time() - actor.started_at
                self.self_ended.append(SelfEnded(actor.name, time.time(), lived, code, last))
                self._not_before[actor.role] = time.monotonic() + AGAIN_SECONDS
        for role, wanted in self._wanted.items():
            # Two APIs cannot have one port: the next one waits until the last one is gone.
            there = sum(actor.role == role and (role == "api" or not actor.is_leaving) for actor in self.actors)
            for _ in range(there, wanted):
                if time.monotonic() >= self._not_before[role]:
                    self.start(role)

    def start(self, role: str) -> Actor:
        """One more process of a role."""
        self._numbers[role] += 1
        name = f"{role}-{self._numbers[role]}"
        clock, log = self._directory / f"{name}.clock", self._directory / f"{name}.log"
        clock.write_bytes(AHEAD.pack(0.0))
        process = self._nursery.start(role, self._environ(name), self._directory, log, clock)
        actor = Actor(name, role, process, clock, log)
        self.actors.append(actor)
        return actor

    def pick(self, role: str) -> Actor | None:
        """Somebody of a role who runs undisturbed."""
        there = [actor for actor in self.actors if actor.role == role and actor.is_up]
        return self._rng.choice(there) if there else None

    def kill(self, actor: Actor, away: float) -> None:
        """SIGKILL; another takes the place after ``away`` seconds."""
        actor.is_leaving = True
        actor.process.signal(signal.SIGKILL)
        self._not_before[actor.role] = time.monotonic() + away

    async def freeze(self, actor: Actor, seconds: float) -> None:
        """SIGSTOP for so long, then SIGCONT."""
        actor.is_frozen = True
        actor.process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            actor.process.signal(signal.SIGCONT)
            actor.is_frozen = False

    async def deploy(self) -> list[Actor]:
        """SIGTERM to all; new ones start beside them. Returns, when the old ones have gone, who they were."""
        leaving, stopped_at = [actor for actor in self.actors if actor.is_up], time.time()
        for actor in leaving:
            actor.is_leaving = True
            actor.process.signal(signal.SIGTERM)
        for actor in leaving:
            code = await _end(actor)
            # One that has not read its settings yet has nothing to finish either.
            was_starting = code == -signal.SIGTERM and stopped_at - actor.started_at < STARTING_SECONDS
            if code != 0 and not was_starting:
                self.stubborn.append(f"{actor.name} ended with code {code} when told to stop")
        return leaving

    def said(self, words: str) -> int:
        """How many lines of all the logs hold ``words``."""
        return sum(path.read_text(errors="replace").count(words) for path in self._directory.glob("*.log"))

    async def close(self) -> None:
        """End everybody, politely first. Their wires to Postgres and Redis run through this loop, so it must not block."""
        self._wanted = {}
        for actor in self.actors:
            actor.process.signal(signal.SIGTERM)
            actor.process.signal(signal.SIGCONT)
        for actor in self.actors:
            await _end(actor)
        self._nursery.close()


async def _end(actor: Actor) -> int | None:
    """Wait for its end, and bring it about where that takes too long; its code."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            while actor.process.code is None:
                await asyncio.sleep(0.05)
    actor.process.signal(signal.SIGKILL)
    return actor.process.code
