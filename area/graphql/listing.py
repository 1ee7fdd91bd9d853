"""Lists of AREAs: which ones, in which order, from which cursor."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import orjson
import strawberry
from strawberry import enum_value, field

from area.db import models as m
from area.graphql.areas import Area, AreaStatus
from area.graphql.context import Info
from area.graphql.enums import stored
from area.graphql.loaders import AreaConditions
from area.graphql.pages import Connection, Window, connection, rekeyed


@strawberry.input(description="Which AREAs to list; what is left out does not matter.")
class AreaFilter:
    """Which AREAs to list."""

    search: str | None = field(default=None, description="Only those with this in their name.")
    statuses: list[AreaStatus] | None = field(default=None, description="Only those in one of these states.")
    action: str | None = field(default=None, description="Only those that the action with this key starts.")
    reaction: str | None = field(default=None, description="Only those that use the reaction with this key.")


@strawberry.enum(description="By what AREAs are put in order.")
class AreaOrderField(Enum):
    """By what AREAs are put in order."""

    CREATED_AT = enum_value("created_at", description="When they were created.")
    UPDATED_AT = enum_value("updated_at", description="When they were last changed.")
    NAME = enum_value("name", description="Their names.")


@strawberry.enum(description="Which end of an order comes first.")
class OrderDirection(Enum):
    """Which end of an order comes first."""

    ASC = enum_value("asc", description="The least, or the oldest.")
    DESC = enum_value("desc", description="The greatest, or the newest.")


@strawberry.input(description="The order of a list of AREAs.")
class AreaOrder:
    """The order of a list of AREAs."""

    by: AreaOrderField = field(name="field", default=AreaOrderField.CREATED_AT, description="By what.")
    direction: OrderDirection = field(default=OrderDirection.DESC, description="Which end comes first.")


AreaFilterArgument = Annotated[AreaFilter | None, strawberry.argument(description="Which AREAs to list.")]
AreaOrderArgument = Annotated[
    AreaOrder | None, strawberry.argument(description="In which order; a cursor is good for its own order only.")
]


async def area_connection(
    info: Info, asked: Window[str], filter: AreaFilter | None, order: AreaOrder | None
) -> Connection[Area]:
    """The caller's AREAs. Raises: GraphQLError BAD_USER_INPUT when a cursor belongs to another order."""
    given, order = filter or AreaFilter(), order or AreaOrder()
    wanted = AreaConditions(
        given.search or "", [stored(status) for status in given.statuses or ()], given.action, given.reaction
    )
    name = stored(order.by)

    def parse(key: str) -> tuple[Any, UUID]:
        of, value, row_id = orjson.loads(key)
        if of != name:
            raise ValueError("a cursor of another order")
        return (datetime.fromisoformat(value) if name != "name" else str(value)), UUID(row_id)

    def key(row: m.Area) -> str:
        return orjson.dumps([name, getattr(row, name), str(row.id)]).decode()

    page = await info.context.loaders.area_page(
        rekeyed(asked, parse), wanted, name, is_falling=order.direction is OrderDirection.DESC
    )
    return connection(page, Area.of, key)
