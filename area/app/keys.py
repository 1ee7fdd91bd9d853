"""`area keys rotate`: sealing everything with the present key."""

import asyncpg

from area.core.crypto import Sealer
from area.core.settings import Settings
from area.db.session import plain_url
from area.engine.connections.keys import Rotated, rotate


async def rotate_keys(settings: Settings) -> list[Rotated]:
    """Rotate what is in the database. Raises: OSError or asyncpg.PostgresError when Postgres is out of reach."""
    sealer = Sealer(settings.secret_key.get_secret_value(), settings.other_keys)
    async with asyncpg.create_pool(plain_url(settings.database_url.get_secret_value()), min_size=1, max_size=2) as pool:
        return await rotate(pool, sealer)
