"""A service's whole story in one test: stand-in, account, AREA, delivery or poll, run; all real but the provider.

::

    async def test_story(settings: Settings, user: UUID) -> None:
        async with living(settings, user, standin := acme_standin.make()) as world:
            account = await world.account("acme", "notes:write")
            area = await world.area(
                ReactionDraft("acme.write", {"text": "{{ trigger.text }}"}, key="write", account_id=account),
                action="acme.changed",
                config={"board": "b1"},
                account_id=account,
            )
            await world.look(area)                # the scheduler's turn: subscribes, or polls
            await standin.change("b1", "hello")   # the provider delivers to our real routes
            run = await world.run_of(area)
            await world.execute(run)
            assert await world.status(run) == "succeeded"
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import httpx
import uvicorn
from starlette.types import ASGIApp

from area.app.server import make_app
from area.core.settings import Settings
from area.db.models import Area
from area.engine import polling
from area.engine.connections.connected import Secrets
from area.engine.connections.flow import Wanted
from area.engine.connections.store import NewAccount
from area.engine.platform import Platform, open_platform
from area.graphql.context import BROWSER_COOKIE
from area.nodes import sdk
from area.nodes.registry import Registry, load
from tests.engine.conftest import World
from tests.providers.base import StandIn, serving
from tests.providers.oauth import User


class Living(World):
    """One user's AREAs on a platform of its own, which knows these providers."""

    def __init__(self, platform: Platform, user: UUID, standins: Sequence[StandIn]) -> None:
        super().__init__(platform, user)
        self.standins = {standin.service: standin for standin in standins}

    async def account(self, key: str, *scopes: str, who: User | None = None) -> UUID:
        """An account at a service with consent to these scopes and to those that it always asks for."""
        service, standin = self.platform.registry.services[key], self.standins[key]
        assert service.auth, f"{key} has no consent page: connect it by `key`"
        who = who or standin.users[0]
        wanted = list(dict.fromkeys([*service.auth.scopes, *scopes]))
        grant = service.auth.read_grant(standin.auth.issue(who, *wanted))
        return await self.platform.accounts.store.save(
            NewAccount(
                user_id=self.user,
                service=key,
                method="oauth2",
                profile=sdk.Profile(who.id, who.login, facts=who.facts),
                secrets=Secrets(grant.access_token, grant.refresh_token),
                scopes=frozenset(wanted) if grant.scopes is None else grant.scopes,
                expires_in=grant.expires_in,
                check_every=service.auth.validate_every,
            )
        )

    async def connect(self, key: str, *nodes: str, who: str = "", untick: Sequence[str] = ()) -> UUID:
        """An account as a person connects it, for these nodes: the consent page, and the way back to our address."""
        started = await self.platform.connecting.start(self.user, Wanted(key, nodes=nodes), with_cookie=True)
        back = await self.standins[key].consent(started.url, user=who, untick=untick)
        assert started.browser
        async with httpx.AsyncClient(cookies={BROWSER_COOKIE: started.browser}, trust_env=False) as browser:
            answer = await browser.get(back)
        assert answer.status_code < 400, f"{back} said {answer.status_code}: {answer.text}"
        person = next(one for one in self.standins[key].users if not who or one.login == who)
        mine = "SELECT id FROM connected_accounts WHERE user_id = $1 AND service = $2 AND external_id = $3"
        found: UUID = await self.pool.fetchval(mine, self.user, key, person.id)
        return found

    async def look(self, area: Area) -> None:
        """The scheduler's turn at the AREA's source, now: subscribe, look after, or poll. What fails is raised."""
        await self.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", area.hook_id)
        await polling.tick(self.platform)
        failed = await self.pool.fetchval("SELECT last_error FROM hooks WHERE id = $1", area.hook_id)
        assert failed is None, f"the source of {area.name}: {failed}"


@asynccontextmanager
async def living(
    settings: Settings, user: UUID, *standins: StandIn, services: Sequence[sdk.Service] = ()
) -> AsyncIterator[Living]:
    """Serve the stand-ins, and a platform that knows them with its API; ``services`` are those not in area.nodes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with serving(*standins) as given:
            with _environment(given):
                registry = Registry([*load().services.values(), *services])
                platform = await open_platform(settings.model_copy(update={"public_url": url}), registry)
                for key in registry.services:
                    platform.clients.settings(key)  # read once, while the environment has it
            try:
                async with _serving(make_app(platform), listening):
                    yield Living(platform, user, standins)
            finally:
                await platform.close()


@asynccontextmanager
async def _serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
