"""Sealing everything with the present key, while all goes on: in batches, each write conditional on what was read.

What is left to do is what the key's id in front of a sealed value says, so that a rotation may be stopped and started again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg

from area.core import log
from area.core.crypto import SealBroken, Sealer
from area.engine.connections.store import context_of
from area.engine.endpoint_secrets import context_of as endpoint_context

logger = log.get(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A column that holds sealed values, as SQL. ``put`` is the assignment of a new one."""

    name: str
    table: str
    value: str
    put: str
    context: Callable[[asyncpg.Record], str]
    key: str = "id"
    where: str = "true"
    columns: tuple[str, ...] = ()
    """What ``context`` needs besides the key."""


PLACES = (
    Place(
        name="connected accounts",
        table="connected_accounts",
        value="credentials",
        put="credentials = given.sealed",
        context=lambda row: context_of(row["user_id"], row["service"], row["external_id"]),
        columns=("user_id", "service", "external_id"),
    ),
    Place(
        name="connection attempts",
        table="connection_attempts",
        value="secret",
        put="secret = given.sealed",
        context=lambda row: f"connection_attempt:{row['key']}",
    ),
    Place(
        name="hooks at providers",
        table="hooks",
        value="secret",
        put="secret = given.sealed",
        context=lambda _: "hook",
    ),
    Place(
        name="secrets of webhooks",
        table="hooks",
        value="config ->> 'secret'",
        put="config = jsonb_set(t.config, '{secret}', to_jsonb(given.sealed))",
        context=lambda _: "hook",
        where="kind = 'webhook'",
    ),
    Place(
        name="endpoints of services",
        table="services",
        value="endpoint_secret",
        put="endpoint_secret = given.sealed",
        context=lambda row: endpoint_context(row["key"]),
        key="key",
    ),
)
"""Every sealed value in the database. A new one is added here."""


@dataclass(slots=True)
class Rotated:
    """What became of one place."""

    name: str
    sealed: int = 0
    unreadable: int = 0
    """Sealed with a key that is not known here."""


async def rotate(pool: asyncpg.Pool, sealer: Sealer, tell: Callable[[Rotated], None] | None = None) -> list[Rotated]:
    """Seal every value with the present key. ``tell`` hears of each batch. Values that do not open are counted and left."""
    return [await _rotate(pool, sealer, place, tell) for place in PLACES]


async def _rotate(pool: asyncpg.Pool, sealer: Sealer, place: Place, tell: Callable[[Rotated], None] | None) -> Rotated:
    done, after = Rotated(place.name), None
    # Constants of ours only: no value is put into these texts.
    shown = ", ".join((f"{place.key}::text AS key", f"{place.value} AS sealed", *place.columns))
    find = (
        f"SELECT {shown} FROM {place.table} WHERE {place.value} IS NOT NULL AND {place.where} "  # noqa: S608
        f"AND NOT starts_with({place.value}, $1) AND ($2::text IS NULL OR {place.key}::text > $2) "
        f"ORDER BY {place.key}::text LIMIT {BATCH}"
    )
    write = (
        f"UPDATE {place.table} t SET {place.put} FROM unnest($1::text[], $2::text[], $3::text[]) AS given(key, was, sealed) "  # noqa: S608
        f"WHERE t.{place.key}::text = given.key AND t.{place.value} = given.was"
    )
    while rows := await pool.fetch(find, f"{sealer.key_id}.", after):
        after = rows[-1]["key"]
        ready = list(_resealed(sealer, place, rows, done))
        if ready:
            await pool.execute(write, *(list(column) for column in zip(*ready, strict=True)))
            done.sealed += len(ready)
        if tell:
            tell(done)
    return done


def _resealed(sealer: Sealer, place: Place, rows: list[Any], done: Rotated) -> Iterable[tuple[Any, str, str]]:
    for row in rows:
        context = place.context(row)
        try:
            yield row["key"], row["sealed"], sealer.seal(sealer.open(row["sealed"], context), context)
        except SealBroken as error:
            done.unreadable += 1
            logger.warning("keys.unreadable", place=place.name, row=row["key"], error=str(error))
