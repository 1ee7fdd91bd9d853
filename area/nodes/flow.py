"""Flow: steps that steer the run itself."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from area.core.ids import row_uuid
from area.nodes import sdk

service = sdk.Service(
    key="flow", name="Flow", description="Logs, waits, asks, filters, branches, loops and computes inside a run."
)

FARTHEST = timedelta(days=366)
MOST_ITEMS = 1000
LONGEST_CALL = timedelta(days=30)
"""How long a step waits for the end of an AREA that it called."""


class Level(StrEnum):
    """How much a log line matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Line(sdk.Inputs):
    """What to log."""

    message: str = Field(
        title="Message",
        description="The line to write to the run's log.",
        max_length=10_000,
        examples=["New order {{ trigger.body.order }}"],
        json_schema_extra={"widget": "textarea"},
    )
    level: Level = Field(Level.INFO, title="Level", description="How much the line matters.", examples=["info"])
    repeat: int = Field(
        1, title="Repeat", description="How many numbered lines to write.", ge=1, le=10_000, examples=[1]
    )


class Logged(sdk.Outputs):
    """What was logged."""

    message: str = Field(title="Message", description="The line, as written.", examples=["New order 42"])
    lines: int = Field(title="Lines", description="How many lines were written.", examples=[1])


class Wait(sdk.Inputs):
    """How long."""

    seconds: int = Field(
        title="Seconds", description="How long to wait, up to 30 days.", ge=1, le=30 * 86400, examples=[60]
    )


class Waited(sdk.Outputs):
    """When the wait ended."""

    resumed_at: datetime = Field(
        title="Resumed at", description="When the run went on, in UTC.", examples=["2026-03-01T08:01:00Z"]
    )


class Test(sdk.Inputs):
    """Whether to go on."""

    condition: Annotated[bool, sdk.Condition] = Field(
        title="Go on if",
        description="A Liquid expression; the run stops here when it is false.",
        examples=["trigger.body.total > 100"],
        json_schema_extra={"widget": "code"},
    )


class Passed(sdk.Outputs):
    """The condition held."""

    passed: bool = Field(True, title="Passed", description="Always true: a false one ends the run.", examples=[True])


class Values(sdk.Inputs):
    """Named values."""

    values: dict[str, Any] = Field(
        title="Values",
        description="Names and what they stand for; later steps read them.",
        examples=[{"total": "{{ trigger.body.price | times: 2 }}"}],
        json_schema_extra={"widget": "keyvalue"},
    )


class Computed(sdk.Outputs):
    """The values."""

    values: dict[str, Any] = Field(title="Values", description="The names and their values.", examples=[{"total": 84}])


class Reason(sdk.Inputs):
    """Why the run ends."""

    reason: str = Field(
        "", title="Reason", description="Shown in the run's log.", max_length=1000, examples=["Nothing to do"]
    )


class Moment(sdk.Inputs):
    """Until when."""

    at: datetime = Field(
        title="Until",
        description="A date and time; without a UTC offset, in the time zone below. At once when it has passed.",
        examples=["2026-12-31T23:59:00+01:00"],
    )
    timezone: str = Field(
        "UTC",
        title="Time zone",
        description="IANA name, for a date and time without an offset.",
        examples=["Europe/Paris"],
        json_schema_extra={"widget": "timezone"},
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value[:60]!r} is not a time zone; use an IANA name such as Europe/Paris")
        return value


class OnTimeout(StrEnum):
    """What it means when nobody decides in time."""

    REJECT = "reject"
    APPROVE = "approve"
    FAIL = "fail"


class OnReject(StrEnum):
    """What the run does when the answer is no."""

    STOP = "stop"
    CONTINUE = "continue"


class Question(sdk.Inputs):
    """What to decide."""

    message: str = Field(
        title="Question",
        description="What is to be approved or rejected; shown with the two buttons.",
        min_length=1,
        max_length=2000,
        examples=["Publish {{ trigger.title }}?"],
        json_schema_extra={"widget": "textarea"},
    )
    expires_in_hours: int = Field(
        72, title="Hours to decide", description="How long the run waits.", ge=1, le=720, examples=[72]
    )
    on_timeout: OnTimeout = Field(
        OnTimeout.REJECT,
        title="When nobody decides",
        description="Reject, approve, or fail the step.",
        examples=["reject"],
    )
    on_reject: OnReject = Field(
        OnReject.STOP,
        title="When it is rejected",
        description="Stop ends the run here, as filtered; continue goes on with `approved` false.",
        examples=["stop"],
    )


class Decision(sdk.Outputs):
    """What was decided."""

    approved: bool = Field(title="Approved", description="Whether the answer was yes.", examples=[True])
    comment: str = Field("", title="Comment", description="What was said with it; may be empty.", examples=["Nice"])
    decided_by: str = Field(
        title="Decided by",
        description="The owner's mail address, `link` for whoever had the link, or `timeout`.",
        examples=["link"],
    )
    decided_at: datetime = Field(title="Decided at", description="When, in UTC.", examples=["2026-03-01T08:01:00Z"])


class Case(BaseModel):
    """One case of a switch."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(title="Name", description="What `case` is when this one matches.", min_length=1, examples=["big"])
    when: Annotated[bool, sdk.Condition] = Field(
        title="When", description="A Liquid expression.", examples=["trigger.body.total > 100"]
    )


class Cases(sdk.Inputs):
    """Which cases there are."""

    cases: list[Case] = Field(
        title="Cases",
        description="Looked at in this order; the first whose condition holds is it.",
        min_length=1,
        max_length=50,
        examples=[[{"name": "big", "when": "trigger.body.total > 100"}]],
    )
    otherwise: str = Field(
        "other", title="Otherwise", description="What `case` is when none matches.", examples=["other"]
    )


class Chosen(sdk.Outputs):
    """Which case it is."""

    case: str = Field(
        title="Case",
        description='Its name; give later steps a condition such as steps.switch.case == "big".',
        examples=["big"],
    )


class Each(sdk.EachInputs):
    """What to do for each item."""

    items: list[Any] = Field(
        title="Items",
        description=f"A list of {MOST_ITEMS} items at most; as a rule one template, such as {{{{ trigger.body.orders }}}}.",
        max_length=MOST_ITEMS,
        examples=[["first", "second"]],
    )
    reaction: Annotated[str, sdk.NoTemplate] = Field(
        title="Reaction",
        description="The reaction's key in the catalogue.",
        examples=["flow.log"],
        json_schema_extra={"widget": "reaction"},
    )
    config: Annotated[dict[str, Any], sdk.Later] = Field(
        default_factory=dict,
        title="Its inputs",
        description="As in a reaction of its own; {{ item }} is the item and {{ index }} its place, from 0.",
        examples=[{"message": "{{ index }}: {{ item }}"}],
    )
    when: Annotated[str | None, sdk.Later] = Field(
        None,
        title="Only if",
        description="A Liquid expression; items for which it is false are skipped.",
        examples=["index < 10"],
        json_schema_extra={"widget": "code"},
    )
    concurrency: int = Field(
        1, title="At once", description="How many items are worked on at the same time.", ge=1, le=20, examples=[1]
    )
    stops: bool = Field(
        True,
        title="Stop at a failure",
        description="Whether the first item that fails ends the loop and fails the step; else the others go on.",
        examples=[True],
    )


class Result(BaseModel):
    """What became of one item."""

    index: int
    status: str
    output: Any = None
    error: dict[str, Any] | None = None


class Collected(sdk.Outputs):
    """What became of the items."""

    results: list[Result] = Field(
        title="Results",
        description="One for each item, in order: its status (succeeded, failed or skipped), output and error.",
        examples=[[{"index": 0, "status": "succeeded", "output": {"status": 200}, "error": None}]],
    )
    succeeded: int = Field(title="Succeeded", description="How many items succeeded.", examples=[1])
    failed: int = Field(title="Failed", description="How many items failed.", examples=[0])
    skipped: int = Field(title="Skipped", description="How many items were skipped.", examples=[0])


class Called(sdk.Inputs):
    """Which AREA to start."""

    area_id: Annotated[str, sdk.NoTemplate] = Field(
        title="AREA",
        description="One of your own.",
        examples=["0198c9a5-7b1e-7c3a-9f00-5a1c2b3d4e5f"],
        json_schema_extra={"widget": "area"},
    )
    payload: Any = Field(
        default_factory=dict,
        title="Payload",
        description="What it sees: as {{ trigger.payload }} if its action is area.called, else as {{ trigger }}.",
        examples=[{"order": "{{ trigger.body.order }}"}],
    )
    wait: bool = Field(
        False,
        title="Wait for its end",
        description="Whether this step ends as that run does, after 30 days at the latest.",
        examples=[True],
    )

    @field_validator("area_id")
    @classmethod
    def _row_id(cls, value: str) -> str:
        found = row_uuid(value, "Area")
        if found is None:
            raise ValueError(f"{value[:60]!r} is not the id of an AREA")
        return str(found)


class Outcome(sdk.Outputs):
    """The run that was started."""

    run_id: str = Field(title="Run", description="The run's id.", examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b"])
    status: str = Field(
        title="Status", description="`queued`; or how it ended, when it was waited for.", examples=["succeeded"]
    )
    steps: dict[str, Any] = Field(
        default_factory=dict,
        title="Steps",
        description="What its steps gave, by their keys, when it was waited for.",
        examples=[{"request": {"status": 200}}],
    )


@service.reaction("Write to the log", idempotent=True, pure=True)
async def log(ctx: sdk.Context, line: Line) -> Logged:
    """Writes one line to the run's log, or many numbered ones."""
    for number in range(1, line.repeat + 1):
        ctx.log(line.message if line.repeat == 1 else f"{line.message} {number}/{line.repeat}", line.level.value)
    return Logged(message=line.message, lines=line.repeat)


@service.reaction("Wait", idempotent=True, pure=True)
async def delay(ctx: sdk.Context, wait: Wait) -> Waited:
    """Waits before the next step. The run holds no worker meanwhile, and survives restarts."""
    if not ctx.resumed:
        raise sdk.Park(ctx.now() + timedelta(seconds=wait.seconds))
    return Waited(resumed_at=ctx.now())


@service.reaction("Wait until", idempotent=True, pure=True)
async def wait_until(ctx: sdk.Context, moment: Moment) -> Waited:
    """Waits for a date and time before the next step. The run holds no worker meanwhile, and survives restarts."""
    until = moment.at if moment.at.tzinfo else moment.at.replace(tzinfo=ZoneInfo(moment.timezone))
    if until > ctx.now() + FARTHEST:
        raise sdk.Rejected(f"{until.isoformat()} is more than {FARTHEST.days} days ahead.")
    if not ctx.resumed and until > ctx.now():
        raise sdk.Park(until.astimezone(UTC))
    return Waited(resumed_at=ctx.now())


@service.reaction("Ask for approval", idempotent=True, pure=True, control=sdk.Control.APPROVAL)
async def approval(ctx: sdk.Context, asked: Question) -> Decision:
    """Waits until a person approves or rejects, by a link or by the API. Earlier steps can send the link: it is
    {{ run.approvals.KEY }}, with this step's key."""
    if ctx.answer is not None:
        decision = Decision.model_validate(ctx.answer)
    elif not ctx.resumed:
        ctx.log(f"Waiting for a decision at {ctx.answer_url}", question=asked.message)
        raise sdk.Park(ctx.now() + timedelta(hours=asked.expires_in_hours))
    elif asked.on_timeout == OnTimeout.FAIL:
        raise sdk.Rejected(f"Nobody decided within {asked.expires_in_hours} h.", code="APPROVAL_TIMED_OUT")
    else:
        decision = Decision(approved=asked.on_timeout == OnTimeout.APPROVE, decided_by="timeout", decided_at=ctx.now())
    if not decision.approved and asked.on_reject == OnReject.STOP:
        said = f": {decision.comment}" if decision.comment else "."
        raise sdk.Filtered(f"Rejected by {decision.decided_by}{said}", decision)
    return decision


@service.reaction("Choose a case", idempotent=True, pure=True)
async def switch(ctx: sdk.Context, given: Cases) -> Chosen:
    """Finds the first case whose condition holds. Later steps ask for its name."""
    return Chosen(case=next((case.name for case in given.cases if case.when), given.otherwise))


@service.reaction("For each item", idempotent=True, pure=True, control=sdk.Control.EACH)
async def for_each(ctx: sdk.Context, given: Each) -> Collected:
    """Runs one reaction for each item of a list. What is done is kept: a restart repeats no finished item."""
    results = [Result.model_validate(result) for result in ctx.answer]
    failed = [result for result in results if result.status == "failed"]
    if failed and given.stops:
        first = failed[0]
        why = (first.error or {}).get("message", "")
        done = sum(result.status == "succeeded" for result in results)
        raise sdk.Rejected(
            f"Item {first.index} failed: {why} ({done} of {len(results)} succeeded.)", code="ITEM_FAILED"
        )
    return Collected(
        results=results,
        succeeded=sum(result.status == "succeeded" for result in results),
        failed=len(failed),
        skipped=sum(result.status == "skipped" for result in results),
    )


@service.reaction("Run another AREA", idempotent=True, control=sdk.Control.CALL)
async def call_area(ctx: sdk.Context, called: Called) -> Outcome:
    """Starts another AREA of yours, once, and may wait for its end. Calls nest ten deep at most."""
    if called.wait and ctx.answer is not None:
        outcome = Outcome.model_validate(ctx.answer)
        if outcome.status != "succeeded":
            why = (ctx.answer.get("error") or {}).get("message", "")
            raise sdk.Rejected(f"The AREA that was run {outcome.status}. {why}".strip(), code="CALLED_AREA_FAILED")
        return outcome
    if ctx.resumed:
        raise sdk.Rejected(f"The AREA that was run has not ended within {LONGEST_CALL.days} days.")
    run_id = await ctx.start_area(called.area_id, called.payload, wait=called.wait)
    if called.wait:
        raise sdk.Park(ctx.now() + LONGEST_CALL)
    return Outcome(run_id=run_id, status="queued")


@service.reaction("Go on only if", idempotent=True, pure=True, control=sdk.Control.END)
async def filter_(ctx: sdk.Context, test: Test) -> Passed:
    """Ends the run here, as filtered, when a condition is false."""
    if not test.condition:
        raise sdk.Filtered("The condition is false.")
    return Passed()


@service.reaction("Set values", idempotent=True, pure=True)
async def set_(ctx: sdk.Context, given: Values) -> Computed:
    """Computes named values for the steps that follow."""
    return Computed(values=given.values)


@service.reaction("Stop", idempotent=True, pure=True, control=sdk.Control.END)
async def stop(ctx: sdk.Context, why: Reason) -> sdk.Outputs:
    """Ends the run here, as succeeded."""
    raise sdk.StopRun(why.reason)
