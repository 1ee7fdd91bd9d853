"""Flow reactions as tests of runs draft them, and what is refused when they are saved."""

from typing import Any

import pytest

from area.core.errors import InvalidInputs
from area.engine.areas import ReactionDraft
from tests.engine.conftest import World


def ask(key: str = "ask", **config: Any) -> ReactionDraft:
    return ReactionDraft("flow.approval", {"message": "Publish {{ trigger.body.title }}?", **config}, key=key)


def each(key: str, reaction: str, config: dict[str, Any], items: Any = "{{ trigger.body.items }}", **more: Any) -> Any:
    return ReactionDraft("flow.for_each", {"items": items, "reaction": reaction, "config": config, **more}, key=key)


def put(url: str, path: str = "/{{ item }}", method: str = "PUT") -> dict[str, Any]:
    return {"url": f"{url}{path}", "method": method}


def call(area_id: Any, key: str = "call", **more: Any) -> ReactionDraft:
    return ReactionDraft("flow.call_area", {"area_id": str(area_id), **more}, key=key)


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


async def problems_of(world: World, *reactions: ReactionDraft) -> list[tuple[Any, ...]]:
    with pytest.raises(InvalidInputs) as caught:
        await world.area(*reactions)
    return [(problem.path, problem.code) for problem in caught.value.problems]
