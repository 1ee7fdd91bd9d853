"""Trying an action out before an AREA is built on it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.errors import AreaError, InvalidInputs
from area.engine import trying
from area.graphql.context import Info
from area.graphql.errors import ERRORS, UserError
from area.graphql.fields import INPUT, mutates
from area.graphql.inputs import AreaActionInput, action_of


@strawberry.input(description="Which source to look at.")
class TestActionInput:
    """Which source to look at."""

    action: AreaActionInput = field(description="The action, as an AREA would have it.")


@strawberry.type(description="The answer of testAction.")
class TestActionPayload:
    """The answer of testAction."""

    events: list[JSON] = field(
        default_factory=list,
        description="What the source has now, newest last, 10 at most. An AREA starts with what comes after.",
    )
    is_sample: bool = field(
        default=False, description="Whether it is an example, since this action's events are not there to be asked for."
    )
    next_due_at: datetime | None = field(default=None, description="When a schedule fires next.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type
class TryingMutations:
    """Trying an action out."""

    @mutates(TestActionPayload, description="Look at an action's source once, and save nothing.")
    async def test_action(self, info: Info, input: Annotated[TestActionInput, INPUT]) -> TestActionPayload | None:
        """Look at an action's source once."""
        problems: list[AreaError] = []
        draft = action_of(input.action, problems)
        if problems:
            raise InvalidInputs(problems)
        seen = await trying.look(info.context.platform, info.context.user_id, draft)
        return TestActionPayload(events=seen.events, is_sample=seen.is_sample, next_due_at=seen.next_due_at)
