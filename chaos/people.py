"""Those who meddle with runs while they go on: one cancels them, one decides what they ask."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from area.core.ids import to_global
from area.core.settings import Settings
from area.engine.links import Links

CANCEL = "mutation($id: ID!) { cancelRun(input: {id: $id}) { errors { code message } } }"
DECIDE = """
mutation($id: ID!, $decision: Decision!) {
  decideApproval(input: {runId: $id, step: "ask", decision: $decision}) { errors { code message } }
}
"""
# Held runs pile up in a play: seldom is one of them meant.
SOMEBODY = """
SELECT id FROM runs WHERE status IN ('queued', 'running', 'waiting') OR (status = 'held' AND $1) ORDER BY random() LIMIT 1
"""
UNDECIDED = """
SELECT r.id FROM runs r JOIN areas a ON a.id = r.area_id
WHERE a.name = 'approve' AND r.status IN ('queued', 'running', 'waiting')
  AND NOT EXISTS (SELECT 1 FROM approvals p WHERE p.run_id = r.id) ORDER BY r.id LIMIT 20
"""
HELD_TOO = 0.2
"""Of the cancels, how many may mean a held run."""
APPROVED = 0.6
"""Of the questions, how many are approved."""
ANSWER_SECONDS = 15.0

Database = Callable[[], Awaitable[asyncpg.Connection]]


class People:
    """What they asked for, and what they were answered."""

    def __init__(self, settings: Settings, token: str, database: Database, rng: random.Random) -> None:
        self.cancelling: set[UUID] = set()
        """Runs that were asked to be cancelled, whatever came of it."""
        self.cancelled: dict[UUID, float] = {}
        """When the platform said yes to that."""
        self.deciding: dict[UUID, bool] = {}
        """What they mean to answer to each run that asks: whether to go on."""
        self.decided: set[UUID] = set()
        """The runs of which the platform took the decision."""
        self.wrong: list[str] = []
        """Answers that nobody could act on."""
        self._url = settings.public_url
        self._links = Links(settings)
        self._token = token
        self._database = database
        self._rng = rng

    async def cancel(self) -> None:
        """Cancel whatever goes on, for ever."""
        async with self._session() as session:
            while True:
                await asyncio.sleep(self._rng.uniform(0.2, 0.8))
                for run in await self._ask(SOMEBODY, self._rng.random() < HELD_TOO):
                    self.cancelling.add(run)
                    if await self._mutate(session, CANCEL, {"id": to_global("Run", run)}) == []:
                        self.cancelled[run] = time.time()

    async def decide(self) -> None:
        """Answer whatever asks, for ever: before the question is put, as it is put, or long after."""
        async with self._session() as session:
            while True:
                await asyncio.sleep(self._rng.uniform(0.1, 0.5))
                due = [run for run in await self._ask(UNDECIDED) if self._rng.random() < 0.5]
                await asyncio.gather(*(self._decide(session, run) for run in due))

    async def _decide(self, session: aiohttp.ClientSession, run: UUID) -> None:
        yes = self.deciding.setdefault(run, self._rng.random() < APPROVED)
        if self._rng.random() < 0.5:
            given = {"id": to_global("Run", run), "decision": "APPROVE" if yes else "REJECT"}
            if await self._mutate(session, DECIDE, given) == []:
                self.decided.add(run)
            return
        with suppress(aiohttp.ClientError, OSError):
            form = {"decision": "approve" if yes else "reject"}
            async with session.post(self._links.url(run, "ask"), data=form) as answer:
                if answer.status == 200:
                    self.decided.add(run)
                elif answer.status not in (409, 503):  # its run has ended or it is decided; Postgres is away
                    self.wrong.append(f"the link of {run} answered {answer.status}: {(await answer.text())[:200]}")

    async def _mutate(self, session: aiohttp.ClientSession, query: str, variables: dict[str, Any]) -> Any:
        """The errors of a mutation; None where there was no answer."""
        headers = {"Authorization": f"Bearer {self._token}"}
        body = {"query": query, "variables": variables}
        with suppress(aiohttp.ClientError, OSError, ValueError):
            async with session.post(f"{self._url}/graphql", json=body, headers=headers) as answer:
                data = (await answer.json()).get("data") or {}
            for payload in data.values():
                return payload and payload["errors"]
        return None

    async def _ask(self, query: str, *given: Any) -> list[UUID]:
        """Ids; none while Postgres is away."""
        try:
            connection = await self._database()
        except (OSError, asyncpg.PostgresError):
            return []
        try:
            return [row["id"] for row in await connection.fetch(query, *given)]
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return []
        finally:
            connection.terminate()

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
