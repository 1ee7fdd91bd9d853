"""Making, changing and ending AREAs."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import field

from area.core.errors import InvalidInputs, NotFound, Path
from area.core.ids import to_global
from area.db import models as m
from area.engine import areas as engine
from area.graphql.areas import Area
from area.graphql.context import Info
from area.graphql.fields import INPUT, mutates
from area.graphql.inputs import CreateAreaInput, UpdateAreaInput, draft_of, row_id
from area.graphql.payloads import AreaPayload, DeleteAreaPayload


@strawberry.input(description="Which version of an AREA shall run.")
class PublishAreaInput:
    """Which version of an AREA shall run."""

    id: strawberry.ID = field(description="The AREA.")
    version: int = field(description="One of its versions.")


@strawberry.input(description="Whether an AREA shall react.")
class SetAreaEnabledInput:
    """Whether an AREA shall react."""

    id: strawberry.ID = field(description="The AREA.")
    is_enabled: bool = field(description="Whether it reacts from now on.")


@strawberry.input(description="Which AREA to delete.")
class DeleteAreaInput:
    """Which AREA to delete."""

    id: strawberry.ID = field(description="The AREA.")


@strawberry.input(description="Which AREA to copy.")
class DuplicateAreaInput:
    """Which AREA to copy."""

    id: strawberry.ID = field(description="The AREA.")
    name: str | None = field(default=None, description="The copy's name; made up when left out.")


@strawberry.type
class AreaMutations:
    """Making, changing and ending AREAs."""

    @mutates(AreaPayload, description="Make an AREA.")
    async def create_area(self, info: Info, input: Annotated[CreateAreaInput, INPUT]) -> AreaPayload | None:
        """Make an AREA."""
        user_id = info.context.user_id
        return _answer(info, await engine.create_area(info.context.platform, user_id, await _draft(info, input)))

    @mutates(AreaPayload, description="Save a new version of an AREA and publish it.")
    async def update_area(self, info: Info, input: Annotated[UpdateAreaInput, INPUT]) -> AreaPayload | None:
        """Save a new version of an AREA and publish it."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        return _answer(
            info,
            await engine.update_area(
                info.context.platform, user_id, area_id, input.expected_version, await _draft(info, input)
            ),
        )

    @mutates(AreaPayload, description="Let another version of an AREA run: roll back, or forward.")
    async def publish_area(self, info: Info, input: Annotated[PublishAreaInput, INPUT]) -> AreaPayload | None:
        """Let another version of an AREA run: roll back, or forward."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        return _answer(info, await engine.publish_area(info.context.platform, user_id, area_id, input.version))

    @mutates(AreaPayload, description="Switch an AREA on or off.")
    async def set_area_enabled(self, info: Info, input: Annotated[SetAreaEnabledInput, INPUT]) -> AreaPayload | None:
        """Switch an AREA on or off."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        return _answer(info, await engine.set_area_enabled(info.context.platform, user_id, area_id, input.is_enabled))

    @mutates(DeleteAreaPayload, description="Delete an AREA; its finished runs stay readable.")
    async def delete_area(self, info: Info, input: Annotated[DeleteAreaInput, INPUT]) -> DeleteAreaPayload | None:
        """Delete an AREA; its finished runs stay readable."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        await engine.delete_area(info.context.platform, user_id, area_id)
        return DeleteAreaPayload(deleted_id=strawberry.ID(to_global("Area", area_id)))

    @mutates(AreaPayload, description="Copy an AREA; the copy is switched off.")
    async def duplicate_area(self, info: Info, input: Annotated[DuplicateAreaInput, INPUT]) -> AreaPayload | None:
        """Copy an AREA; the copy is switched off."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        return _answer(info, await engine.duplicate_area(info.context.platform, user_id, area_id, input.name))


async def _draft(info: Info, given: CreateAreaInput | UpdateAreaInput) -> engine.AreaDraft:
    """The draft of an input whose accounts are all the caller's. Raises: InvalidInputs."""
    draft = draft_of(given)
    used: list[tuple[Path, UUID | None]] = [(("account_id",), draft.account_id)]
    used += [(("reactions", index, "account_id"), one.account_id) for index, one in enumerate(draft.reactions)]
    problems = [
        NotFound("There is no such connected account of yours.", path=path)
        for path, account_id in used
        if account_id and await info.context.loaders.accounts.load(account_id) is None
    ]
    if problems:
        raise InvalidInputs(problems)
    return draft


def _answer(info: Info, row: m.Area) -> AreaPayload:
    info.context.renew()
    return AreaPayload(area=Area.of(row))
