"""Starting, ending and repeating runs."""

from __future__ import annotations

from typing import Annotated, cast
from uuid import UUID

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.errors import InvalidInput
from area.engine import approvals, control, replays, trials
from area.graphql.areas import RunFilter, run_conditions
from area.graphql.context import Info
from area.graphql.enums import Decision
from area.graphql.fields import INPUT, mutates
from area.graphql.inputs import AreaReactionInput, reaction_of, row_id
from area.graphql.nodes import find
from area.graphql.pages import by_id, to_cursor
from area.graphql.payloads import ReactionTrial, ReplayRunsPayload, RunPayload, TestReactionPayload
from area.graphql.runs import Run


@strawberry.input(description="Which AREA to run now.")
class RunAreaInput:
    """Which AREA to run now."""

    id: strawberry.ID = field(description="The AREA.")
    payload: JSON | None = field(
        default=None, description="What the action would have given; its sample when left out."
    )


@strawberry.input(description="Which AREA to try out.")
class TestAreaInput:
    """Which AREA to try out."""

    id: strawberry.ID = field(description="The AREA.")
    payload: JSON | None = field(
        default=None, description="What the action would have given; its sample when left out."
    )
    event_id: strawberry.ID | None = field(
        default=None, description="A past event to try it on, in place of `payload`."
    )


@strawberry.input(description="Which reaction to try out, saved or not, and on what.")
class TestReactionInput:
    """Which reaction to try out, and on what."""

    reaction: AreaReactionInput = field(
        description="The reaction; its `when`, `after`, `onFailure` and `retry` are left aside."
    )
    action: str | None = field(
        default=None, description="Key of the action whose output it sees; then its templates are checked against that."
    )
    payload: JSON | None = field(
        default=None, description="What it sees as {{ trigger }}; the sample of `action` when left out."
    )
    event_id: strawberry.ID | None = field(
        default=None, description="A past event to try it on, in place of `payload`."
    )
    steps: JSON = field(default_factory=dict, description="What earlier steps gave, by their keys: {{ steps.key }}.")


@strawberry.input(description="What to answer to a step that asks for approval.")
class DecideApprovalInput:
    """What to answer to a step that asks for approval."""

    run_id: strawberry.ID = field(description="The run.")
    step: str = field(description="Key of the step that asks.")
    decision: Decision = field(description="Yes or no.")
    comment: str = field(default="", description="What to say with it.")


@strawberry.input(description="Which run to end.")
class CancelRunInput:
    """Which run to end."""

    id: strawberry.ID = field(description="The run.")


@strawberry.input(description="Which run to repeat.")
class ReplayRunInput:
    """Which run to repeat."""

    id: strawberry.ID = field(description="The run.")
    from_step: str | None = field(
        default=None,
        description="Key of the step to begin from; what earlier steps gave is kept. A loop is done again whole.",
    )
    use_published: bool = field(
        default=False, description="Whether to run the version that is published now, not the one that ran then."
    )


@strawberry.input(description="Which finished runs to repeat, and how.")
class ReplayRunsInput:
    """Which finished runs to repeat, and how."""

    filter: RunFilter = field(description="Which; failed ones, when it names no status.")
    from_failed: bool = field(
        default=False,
        description="Whether to begin where each failed; what steps gave that succeeded is kept, and so are the items that"
        " succeeded of a loop that failed.",
    )
    from_step: str | None = field(
        default=None, description="Key of the step to begin from; runs without such a step are skipped."
    )
    use_published: bool = field(
        default=False, description="Whether to run the version that is published now, not the one that ran then."
    )
    limit: int = field(default=100, description="How many to repeat now, 1 to 500; the oldest first.")
    after: str | None = field(default=None, description="The `cursor` of the call before, to go on.")
    idempotency_key: str | None = field(
        default=None, description="Any text; a second call with the same key and `after` makes nothing new."
    )


@strawberry.input(description="Which run to let go on now.")
class ResumeRunInput:
    """Which run to let go on now."""

    id: strawberry.ID = field(description="The run: waiting, or held for an account that works again.")


@strawberry.input(description="What became of a call that nobody answered.")
class SettleStepInput:
    """What became of a call that nobody answered."""

    id: strawberry.ID = field(description="The held run.")
    step: str = field(description="Key of the step whose outcome is unknown.")
    happened: bool = field(description="Whether the call happened; false tries it again.")
    output: JSON | None = field(default=None, description="What the call gave, for later steps; empty when left out.")


@strawberry.type
class RunMutations:
    """Starting, ending and repeating runs."""

    @mutates(RunPayload, description="Run an AREA now; its reactions happen for real.")
    async def run_area(self, info: Info, input: Annotated[RunAreaInput, INPUT]) -> RunPayload | None:
        """Run an AREA now; its reactions happen for real."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        run_id = await control.run_area(info.context.platform, user_id, area_id, input.payload)
        return await _answer(info, run_id)

    @mutates(RunPayload, description="Run an AREA now and mark the run as a test; its reactions happen for real.")
    async def test_area(self, info: Info, input: Annotated[TestAreaInput, INPUT]) -> RunPayload | None:
        """Run an AREA now and mark the run as a test; its reactions happen for real."""
        user_id = info.context.user_id
        area_id = row_id(input.id, "Area")
        payload = await _payload(info, input.payload, input.event_id)
        run_id = await control.run_area(info.context.platform, user_id, area_id, payload, is_test=True)
        return await _answer(info, run_id)

    @mutates(
        TestReactionPayload,
        description="Call one reaction once, for real, and say what came of it. Nothing is tried again, and no run is kept.",
    )
    async def test_reaction(self, info: Info, input: Annotated[TestReactionInput, INPUT]) -> TestReactionPayload | None:
        """Call one reaction once, for real, and say what came of it."""
        user_id = info.context.user_id
        if not isinstance(input.steps, dict):
            raise InvalidInput("`steps` must be an object.", path=("steps",))
        payload = await _payload(info, input.payload, input.event_id)
        draft = reaction_of(input.reaction, ("reaction",))
        trial = await trials.try_reaction(
            info.context.platform, user_id, draft, action=input.action, payload=payload, steps=input.steps
        )
        return TestReactionPayload(trial=ReactionTrial.of(trial))

    @mutates(RunPayload, description="Answer a step that asks for approval; its run goes on.")
    async def decide_approval(self, info: Info, input: Annotated[DecideApprovalInput, INPUT]) -> RunPayload | None:
        """Answer a step that asks for approval; its run goes on."""
        run_id = row_id(input.run_id, "Run", ("runId",))
        approved = input.decision is Decision.APPROVE
        await approvals.decide(
            info.context.platform, info.context.user_id, run_id, input.step, approved=approved, comment=input.comment
        )
        return await _answer(info, run_id)

    @mutates(RunPayload, description="End a run: at once when it waits, else after its present step.")
    async def cancel_run(self, info: Info, input: Annotated[CancelRunInput, INPUT]) -> RunPayload | None:
        """End a run: at once when it waits, else after its present step."""
        user_id = info.context.user_id
        run_id = row_id(input.id, "Run")
        await control.cancel_run(info.context.platform, user_id, run_id)
        return await _answer(info, run_id)

    @mutates(RunPayload, description="Say what became of a step whose outcome is unknown; its run goes on.")
    async def settle_step(self, info: Info, input: Annotated[SettleStepInput, INPUT]) -> RunPayload | None:
        """Say what became of a step whose outcome is unknown; its run goes on."""
        user_id = info.context.user_id
        run_id = row_id(input.id, "Run")
        await control.settle_step(
            info.context.platform, user_id, run_id, input.step, happened=input.happened, output=input.output
        )
        return await _answer(info, run_id)

    @mutates(RunPayload, description="Repeat a run that has ended, or is held, on the same event.")
    async def replay_run(self, info: Info, input: Annotated[ReplayRunInput, INPUT]) -> RunPayload | None:
        """Repeat a run that has ended, or is held, on the same event."""
        user_id = info.context.user_id
        run_id = row_id(input.id, "Run")
        new_id = await replays.replay_run(info.context.platform, user_id, run_id, input.from_step, input.use_published)
        return await _answer(info, new_id)

    @mutates(ReplayRunsPayload, description="Repeat many finished runs, behind everything else that waits.")
    async def replay_runs(self, info: Info, input: Annotated[ReplayRunsInput, INPUT]) -> ReplayRunsPayload | None:
        """Repeat many finished runs, behind everything else that waits."""
        wanted = run_conditions(input.filter)
        after = _cursor(input.after)
        made = await replays.replay_runs(
            info.context.platform,
            info.context.user_id,
            replays.Which(wanted.area_id, wanted.statuses, wanted.since, wanted.until, wanted.is_test),
            replays.How(input.from_step, input.from_failed, input.use_published),
            input.limit,
            after,
            input.idempotency_key,
        )
        cursor = to_cursor(made.cursor) if made.cursor else None
        return ReplayRunsPayload(count=made.count, skipped=made.skipped, cursor=cursor, has_more=made.has_more)

    @mutates(RunPayload, description="Let a run go on now that waits, or is held for an account that works again.")
    async def resume_run(self, info: Info, input: Annotated[ResumeRunInput, INPUT]) -> RunPayload | None:
        """Let a run go on now that waits, or is held for an account that works again."""
        run_id = row_id(input.id, "Run")
        await control.resume_run(info.context.platform, info.context.user_id, run_id)
        return await _answer(info, run_id)


async def _payload(info: Info, payload: object, event_id: str | None) -> object:
    if event_id is None:
        return payload
    if payload is not None:
        raise InvalidInput("Give `payload` or `eventId`, not both.", path=("eventId",))
    event = row_id(event_id, "Event", ("eventId",))
    return await trials.event_payload(info.context.platform, info.context.user_id, event)


def _cursor(after: str | None) -> UUID | None:
    try:
        return by_id(after) if after is not None else None
    except ValueError:
        raise InvalidInput("`after` is not the cursor of a call before.", path=("after",)) from None


async def _answer(info: Info, run_id: UUID) -> RunPayload:
    info.context.renew()
    return RunPayload(run=cast(Run | None, await find(info, "Run", run_id)))
