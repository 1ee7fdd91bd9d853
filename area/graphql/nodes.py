"""What has an id of its own, and the one place that finds it again by that id."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import strawberry
from strawberry import field

from area.core.ids import from_global
from area.graphql.context import Info

Finder = Callable[[Info, str], Awaitable[Any]]
_finders: dict[str, Finder] = {}


@strawberry.interface(description="Something with an id of its own: `node(id)` finds it again.")
class Node:
    """Something with an id of its own."""

    id: strawberry.ID = field(description="Opaque and stable; never shared between types.")


def finds(kind: str) -> Callable[[Finder], Finder]:
    """Decorator: this function finds nodes of ``kind`` by their key, None when there is none that the caller may see."""

    def register(finder: Finder) -> Finder:
        _finders[kind] = finder
        return finder

    return register


async def find(info: Info, kind: str, key: UUID | str | None) -> Any:
    """The node of this kind and key, or None."""
    finder = _finders.get(kind)
    return await finder(info, str(key)) if finder and key is not None else None


async def find_by_id(info: Info, global_id: str) -> Any:
    """The node with this opaque id, or None when there is none that the caller may see."""
    try:
        kind, key = from_global(global_id)
        return await find(info, kind, key)
    except ValueError:
        return None
