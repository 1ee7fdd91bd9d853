"""Tokens of a service's app itself (RFC 6749, 4.4): fetched once for all processes, kept sealed in Redis and here.

Redis may be away: then each process fetches its own, which costs the provider a few more and nobody anything.
"""

import asyncio
import hashlib
import time

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from area.core import log
from area.core.crypto import SealBroken, Sealer
from area.core.ids import new_id
from area.engine.client import Gate
from area.engine.connections.authorise import AppAuth, HeaderAuth
from area.engine.connections.tokens import TokenEndpoints
from area.engine.context import Access, Clients
from area.nodes import sdk

logger = log.get(__name__)

DEFAULT_LIFE = 3600.0
"""Seconds that a token is kept whose answer does not say how long it lives."""
MARGIN = 60.0
"""Seconds before its end at which another is fetched."""
LOCK_SECONDS = 20
REDIS_SECONDS = 1.0

_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class AppTokens:
    """The app tokens of one process."""

    def __init__(self, redis: Redis, sealer: Sealer, clients: Clients, endpoints: TokenEndpoints) -> None:
        self._redis = redis
        self._sealer = sealer
        self._clients = clients
        self._endpoints = endpoints
        self._kept: dict[str, tuple[float, str]] = {}
        self._fetching: dict[tuple[str, str | None], asyncio.Task[str]] = {}

    def access(self, service: sdk.Service, gate: Gate) -> Access:
        """How requests of the app itself are authorised. Raises: sdk.Rejected when it is not set up."""
        settings, app = self._clients.settings(service.key), service.app_auth
        if isinstance(app, sdk.ClientCredentials):
            return Access(auth=AppAuth(self, service, app.authorise, settings), gate=gate)
        if app is None:
            raise sdk.Rejected(f"{service.name} has no authorisation for the app itself.")
        secret = settings.get(app.setting)
        if not secret:
            name = f"AREA_{service.key}_{app.setting}".upper()
            raise sdk.Rejected(f"{service.name} is not set up here: the operator has to set {name}.", code="NOT_SET_UP")
        return Access(auth=HeaderAuth(lambda request: app.authorise(request, secret, settings)), gate=gate)

    async def token(self, service: sdk.Service, *, refused: str | None = None) -> str:
        """The service's app token; another than the ``refused`` one. Raises: sdk.NodeError."""
        kept = self._kept.get(service.key)
        if kept and kept[0] > time.monotonic() and kept[1] != refused:
            return kept[1]
        key = service.key, refused
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._find(service, refused))
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        return await asyncio.shield(task)

    async def _find(self, service: sdk.Service, refused: str | None) -> str:
        try:
            return await self._shared(service, refused)
        except (RedisError, OSError) as error:
            logger.warning("app_token.redis_away", service=service.key, error=repr(error))
        token, life = await self._fetch(service)
        return self._keep(service, token, life)

    async def _shared(self, service: sdk.Service, refused: str | None) -> str:
        """The token that all processes share, fetched by the one of them that holds the lock."""
        name, lock, deadline = self._name(service), str(new_id()), time.monotonic() + LOCK_SECONDS
        while True:
            found = await self._stored(service, name)
            if found and found[0] != refused:
                return self._keep(service, *found)
            if await self._redis.set(f"{name}:lock", lock, nx=True, ex=LOCK_SECONDS) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        try:
            # Another process may have fetched one between the look and the lock.
            found = await self._stored(service, name)
            if found and found[0] != refused:
                return self._keep(service, *found)
            token, life = await self._fetch(service)
            sealed = self._sealer.seal(orjson.dumps([token, time.time() + life]).decode(), _context(service))
            await self._redis.set(name, sealed, ex=max(1, int(life)))
        finally:
            await self._redis.eval(_UNLOCK, 1, f"{name}:lock", lock)
        return self._keep(service, token, life)

    async def _stored(self, service: sdk.Service, name: str) -> tuple[str, float] | None:
        sealed = await asyncio.wait_for(self._redis.get(name), REDIS_SECONDS)
        if sealed is None:
            return None
        try:
            token, ends = orjson.loads(
                self._sealer.open(sealed if isinstance(sealed, str) else sealed.decode(), _context(service))
            )
        except (SealBroken, ValueError):
            return None  # sealed by a key that has been replaced: another is fetched
        left = ends - time.time()
        return (token, left) if left > MARGIN else None

    async def _fetch(self, service: sdk.Service) -> tuple[str, float]:
        grant = await self._endpoints.app_token(service)
        return grant.access_token, grant.expires_in or DEFAULT_LIFE

    def _keep(self, service: sdk.Service, token: str, life: float) -> str:
        self._kept[service.key] = time.monotonic() + max(life - MARGIN, 1.0), token
        return token

    def _name(self, service: sdk.Service) -> str:
        client = self._clients.settings(service.key).get("client_id", "")
        return f"area:app-token:{service.key}:{hashlib.sha256(client.encode()).hexdigest()[:12]}"


def _context(service: sdk.Service) -> str:
    return f"app_token:{service.key}"
