"""The platform's own secret for a service's endpoint, where the provider has none to give. It outlives the key it was made with."""

import hashlib
import hmac

import asyncpg

from area.core.crypto import Sealer
from area.core.settings import Settings

FIND = "SELECT endpoint_secret FROM services WHERE key = $1 AND endpoint_secret IS NOT NULL"
# Of two processes that ask first at once, both get what one of them made.
KEEP = """
INSERT INTO services AS s (key, name, endpoint_secret) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET endpoint_secret = coalesce(s.endpoint_secret, excluded.endpoint_secret) RETURNING endpoint_secret
"""


class EndpointSecrets:
    """Made once for each service, kept sealed in its row, and remembered here."""

    def __init__(self, pool: asyncpg.Pool, sealer: Sealer, settings: Settings) -> None:
        self._pool = pool
        self._sealer = sealer
        self._settings = settings
        self._kept: dict[str, str] = {}

    async def of(self, service: str, name: str) -> str:
        """64 hex characters, known to this platform and to whom it subscribes at. Raises: SealBroken."""
        secret = self._kept.get(service)
        if secret is None:
            sealed = await self._pool.fetchval(FIND, service)
            if sealed is None:
                made = self._sealer.seal(first_secret(self._settings, service), context_of(service))
                sealed = await self._pool.fetchval(KEEP, service, name, made)
            secret = self._kept[service] = self._sealer.open(sealed, context_of(service))
        return secret


def first_secret(settings: Settings, service: str) -> str:
    """What a service's secret is at first."""
    key = settings.secret_key.get_secret_value().encode()
    return hmac.new(key, f"endpoint:{service}".encode(), hashlib.sha256).hexdigest()


def context_of(service: str) -> str:
    """What binds a sealed secret to its row."""
    return f"service_endpoint:{service}"
