"""Schedule: start a run at a time. Cron as Debian's cron understands it, in any time zone."""

import difflib
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AwareDatetime, Field

from area.nodes import sdk

service = sdk.Service(key="schedule", name="Schedule", description="Starts a run at fixed times.")


class Cron(sdk.Inputs):
    """When, as a cron expression."""

    expression: Annotated[str, sdk.NoTemplate] = Field(
        title="Cron expression",
        description="Minute, hour, day of the month, month, day of the week; a sixth field in front counts seconds.",
        min_length=9,
        max_length=200,
        examples=["0 9 * * MON-FRI"],
    )
    timezone: Annotated[str, sdk.NoTemplate] = Field(
        "UTC",
        title="Time zone",
        description="IANA name; daylight saving is followed.",
        examples=["Europe/Paris"],
        json_schema_extra={"widget": "timezone"},
    )


class Every(sdk.Inputs):
    """How often."""

    seconds: Annotated[int, sdk.NoTemplate] = Field(
        title="Seconds", description="Time between two runs, in seconds.", ge=10, le=30 * 86400, examples=[3600]
    )


class Once(sdk.Inputs):
    """The one moment."""

    at: Annotated[AwareDatetime, sdk.NoTemplate] = Field(
        title="At", description="When, with its UTC offset.", examples=["2026-12-31T23:59:00+01:00"]
    )


@service.schedule("On a cron schedule")
def cron(where: Cron, after: datetime) -> datetime | None:
    """Fires whenever a cron expression matches the clock of a time zone."""
    local = after.astimezone(ZoneInfo(where.timezone))
    for due in CronSim(where.expression.upper(), local):
        moment = due.astimezone(UTC)
        if moment > after:
            return moment
    return None


@cron.check
def cron_can_fire(where: Cron) -> None:
    """Refuse an unknown zone, an expression that cannot be read, and one that never matches."""
    if where.timezone not in available_timezones():
        near = difflib.get_close_matches(where.timezone, available_timezones(), n=1)
        raise sdk.InvalidInput(
            "timezone",
            f"{where.timezone!r} is not a time zone. Use an IANA name such as Europe/Paris.",
            near[0] if near else None,
        )
    try:
        due = cron.fn(where, datetime.now(UTC))
    except CronSimError as error:
        raise sdk.InvalidInput(
            "expression",
            f"{where.expression!r} is not a cron expression: {error}. It has five fields, as in '0 9 * * MON-FRI'.",
            "0 9 * * *",
        ) from error
    if due is None:
        raise sdk.InvalidInput(
            "expression", f"{where.expression!r} never fires: no date matches it. Check the day and the month."
        )


@service.schedule("At an interval")
def every(where: Every, after: datetime) -> datetime | None:
    """Fires at a fixed interval, on whole multiples of it since 1970: every 3600 seconds fires on the hour."""
    return datetime.fromtimestamp((int(after.timestamp()) // where.seconds + 1) * where.seconds, UTC)


@service.schedule("Once")
def once(where: Once, after: datetime) -> datetime | None:
    """Fires one time, at a given moment."""
    return where.at.astimezone(UTC) if where.at > after else None


@once.check
def once_is_ahead(where: Once) -> None:
    """Refuse a moment that is gone."""
    if where.at <= datetime.now(UTC):
        raise sdk.InvalidInput("at", f"{where.at.isoformat()} is in the past, so it would never fire.")
