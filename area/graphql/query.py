"""The entry points for reading."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import strawberry

from area.graphql.catalogue import Service
from area.graphql.context import Info
from area.graphql.fields import paged, resolved
from area.graphql.nodes import Node, find_by_id
from area.graphql.pages import LARGEST_PAGE, Connection, Window, bad_input, connection, cut, from_cursor
from area.graphql.viewer import Viewer, viewer_of
from area.nodes import sdk


@strawberry.type(description="The entry points for reading.")
class Query:
    """The entry points for reading."""

    @resolved(description="The signed-in user; null when nobody is.")
    async def viewer(self, info: Info) -> Viewer | None:
        """The signed-in user."""
        return await viewer_of(info)

    @resolved(description="The thing with this id; null when there is none, or it is not yours.")
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],
    ) -> Node | None:
        """The thing with this id."""
        found: Node | None = await find_by_id(info, id)
        return found

    @resolved(description="The things with these ids, in the same order; null for each that is missing or not yours.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids.")],
    ) -> list[Node | None]:
        """The things with these ids."""
        if len(ids) > LARGEST_PAGE:
            bad_input(f"`ids` may hold {LARGEST_PAGE} ids; it holds {len(ids)}.")
        return list(await asyncio.gather(*(find_by_id(info, one) for one in ids)))

    @paged(from_cursor, description="The catalogue, by key.")
    async def services(
        self,
        info: Info,
        asked: Window[str],
        search: Annotated[
            str | None, strawberry.argument(description="Only services with this in their name or description.")
        ] = None,
    ) -> Connection[Service] | None:
        """The catalogue."""
        wanted = (search or "").lower()
        services = [
            service
            for _, service in sorted(info.context.platform.registry.services.items())
            if wanted in f"{service.name} {service.description}".lower()
        ]
        return connection(cut(_within(services, asked), asked), Service.of, lambda service: service.key)

    @resolved(description="The service with this key; null when there is none.")
    async def service(
        self, info: Info, key: Annotated[str, strawberry.argument(description="Such as github.")]
    ) -> Service | None:
        """The service with this key."""
        found = info.context.platform.registry.services.get(key)
        return Service.of(found) if found else None


def _within(services: Sequence[sdk.Service], asked: Window[str]) -> Sequence[sdk.Service]:
    rows = [
        service
        for service in services
        if (asked.after is None or service.key > asked.after) and (asked.before is None or service.key < asked.before)
    ]
    return (rows[::-1] if asked.is_backward else rows)[: asked.limit + 1]
