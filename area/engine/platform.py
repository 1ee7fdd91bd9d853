"""Everything a process needs, opened once and closed once."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from broadcaster import Broadcast
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from area.core.crypto import Sealer
from area.core.http import Egress
from area.core.settings import Settings
from area.db import eras, version
from area.db.session import Database, open_database
from area.engine.admission import Admission
from area.engine.broadcast import SupervisedRedis, Wakeups
from area.engine.calls import Calls
from area.engine.connections.accounts import Accounts
from area.engine.connections.attempts import Attempts
from area.engine.connections.choices import Offers
from area.engine.connections.flow import Connecting
from area.engine.connections.trials import Keys
from area.engine.context import Clients
from area.engine.doorbell import Doorbell
from area.engine.endpoint_secrets import EndpointSecrets
from area.engine.enrichment import Enrichment
from area.engine.executor import Executor
from area.engine.failures import Failures
from area.engine.feed import Feed
from area.engine.intake import Intake
from area.engine.links import Links
from area.engine.plan import Plans
from area.engine.runs import Runs
from area.nodes import registry, sdk
from area.nodes.registry import Registry

SILENCE = 10.0
"""Seconds after which a Redis that says nothing counts as gone; longer than a worker waits for a job."""


@dataclass
class Platform:
    """The platform's parts, joined."""

    settings: Settings
    db: Database
    redis: Redis
    registry: Registry
    sealer: Sealer
    clients: Clients
    accounts: Accounts
    connecting: Connecting
    keys: Keys
    offers: Offers
    endpoint_secrets: EndpointSecrets
    doorbell: Doorbell
    admission: Admission
    wakeups: Wakeups
    feed: Feed
    intake: Intake
    runs: Runs
    plans: Plans
    links: Links

    def executor(self) -> Executor:
        """A new executor of runs: one for a worker process."""
        enrichment = Enrichment(self.db.pool, self.using)
        calls = Calls(self.db.pool, self.doorbell, self.admission)
        return Executor(
            self.runs,
            self.plans,
            self.accounts,
            self.doorbell,
            self.settings,
            enrichment,
            self.admission,
            self.wakeups,
            Failures(self.db, self.settings.pause_after_failures),
            self.links,
            calls,
        )

    def using(
        self, service: sdk.Service, account_id: UUID | None, *, key: str
    ) -> AbstractAsyncContextManager[sdk.Context]:
        """A context for a call that belongs to no run; its log goes nowhere."""
        return self.accounts.using(service, lambda *_: None, account_id=account_id, idempotency_key=key)

    async def close(self) -> None:
        """Let go of everything, in the opposite order."""
        async with AsyncExitStack() as last_first:  # what one cannot let go of does not keep the others
            for close in (self.db.close, self.redis.aclose, self.clients.close, self.wakeups.stop):
                last_first.push_async_callback(close)
            await self.admission.settle()
            await self.intake.ledger.settle()
            await self.doorbell.settle()
            await self.accounts.vault.settle()


def open_redis(url: str) -> Redis:
    """A client that fails fast: the doorbell is never worth waiting for."""
    return Redis.from_url(
        url, socket_connect_timeout=2, socket_timeout=SILENCE, retry=Retry(NoBackoff(), 1), health_check_interval=15
    )


async def open_platform(settings: Settings, known: Registry | None = None) -> Platform:
    """Open the pools and start listening. ``known`` are the services, by default all that are installed.

    Raises: OSError or asyncpg.PostgresError when Postgres is out of reach.
    """
    db = await open_database(settings)
    redis = open_redis(settings.redis_url.get_secret_value())
    known = known or registry.load()
    broadcast = Broadcast(backend=SupervisedRedis(redis))
    sealer = Sealer(settings.secret_key.get_secret_value(), settings.other_keys)
    doorbell = Doorbell(redis, broadcast)
    clients = Clients(Egress(settings.egress_allow))
    admission = Admission(db.pool, doorbell)
    wakeups = Wakeups(broadcast)
    accounts = Accounts(settings, db.pool, redis, sealer, clients, known, doorbell, admission)
    attempts = Attempts(db.pool, sealer)
    await wakeups.start()
    return Platform(
        settings=settings,
        db=db,
        redis=redis,
        registry=known,
        sealer=sealer,
        clients=clients,
        accounts=accounts,
        connecting=Connecting(settings, attempts, accounts, known),
        keys=Keys(accounts, known),
        offers=Offers(accounts),
        endpoint_secrets=EndpointSecrets(db.pool, sealer, settings),
        doorbell=doorbell,
        admission=admission,
        wakeups=wakeups,
        feed=Feed(db, wakeups),
        intake=Intake(db, known, doorbell, admission, sealer),
        runs=Runs(db.pool, settings.lease_seconds),
        plans=Plans(db.pool, known),
        links=Links(settings),
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Platform]:
    """A platform for a process that serves, once the database has this code's migrations and the feed can go on in it.

    Raises: as `open_platform`, SchemaBehind when nobody applies them, and FeedElsewhere.
    """
    platform = await open_platform(settings)
    try:
        await version.applied(platform.db.pool)
        await eras.enter(platform.db.pool)
        yield platform
    finally:
        await platform.close()
