"""Flow: steps that steer the run itself and touch nothing outside it."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(key="flow", name="Flow", description="Logs, waits, filters and computes inside a run.")


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

    values: dict[str, Any] = Field(
        title="Values", description="The names and their values.", examples=[{"total": "84"}]
    )


class Reason(sdk.Inputs):
    """Why the run ends."""

    reason: str = Field(
        "", title="Reason", description="Shown in the run's log.", max_length=1000, examples=["Nothing to do"]
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


@service.reaction("Go on only if", idempotent=True, pure=True)
async def filter_(ctx: sdk.Context, test: Test) -> Passed:
    """Ends the run here, as filtered, when a condition is false."""
    if not test.condition:
        raise sdk.Filtered("The condition is false.")
    return Passed()


@service.reaction("Set values", idempotent=True, pure=True)
async def set_(ctx: sdk.Context, given: Values) -> Computed:
    """Computes named values for the steps that follow."""
    return Computed(values=given.values)


@service.reaction("Stop", idempotent=True, pure=True)
async def stop(ctx: sdk.Context, why: Reason) -> sdk.Outputs:
    """Ends the run here, as succeeded."""
    raise sdk.StopRun(why.reason)
