"""Schedule: start a run at a time. Cron as Debian's cron understands it, in any time zone."""

import difflib
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AwareDatetime, Field, model_validator

from area.nodes import sdk

service = sdk.Service(key="schedule", name="Schedule", description="Starts a run at fixed times.")


MISSED = Field(
    sdk.Misfire.ONCE,
    title="Missed moments",
    description="Moments that passed while no scheduler ran: fire once for the latest, for all (the newest 100), or skip them.",
    examples=["once"],
)


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
    misfire: Annotated[sdk.Misfire, sdk.NoTemplate] = MISSED


class Every(sdk.Inputs):
    """How often."""

    seconds: Annotated[int, sdk.NoTemplate] = Field(
        title="Seconds", description="Time between two runs, in seconds.", ge=10, le=30 * 86400, examples=[3600]
    )
    jitter_seconds: Annotated[int, sdk.NoTemplate] = Field(
        0,
        title="Jitter",
        description="Each moment is put off by up to so many seconds, less than the interval, so that not all comes at once.",
        ge=0,
        examples=[60],
    )
    misfire: Annotated[sdk.Misfire, sdk.NoTemplate] = MISSED

    @model_validator(mode="after")
    def _jitter_is_less(self) -> Self:
        if self.jitter_seconds >= self.seconds:
            raise ValueError(f"the jitter must be less than the interval of {self.seconds} seconds")
        return self


class Once(sdk.Inputs):
    """The one moment."""

    at: Annotated[AwareDatetime, sdk.NoTemplate] = Field(
        title="At", description="When, with its UTC offset.", examples=["2026-12-31T23:59:00+01:00"]
    )
    misfire: Annotated[sdk.Misfire, sdk.NoTemplate] = MISSED


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
    """Fires at a fixed interval, on whole multiples of it since 1970: every 3600 seconds fires on the hour. Jitter puts it off."""
    number = int(after.timestamp() - where.jitter_seconds) // where.seconds
    while (moment := _shifted(where, number)) <= after:
        number += 1
    return moment


def _shifted(where: Every, number: int) -> datetime:
    """The moment of one interval. Its jitter is always the same: whoever asks, and whenever, is told one moment."""
    digest = hashlib.sha256(f"{where.seconds}:{number}".encode()).digest()
    late = int.from_bytes(digest[:8], "big") % (where.jitter_seconds * 1000 + 1) / 1000
    return datetime.fromtimestamp(number * where.seconds, UTC) + timedelta(seconds=late)


@service.schedule("Once")
def once(where: Once, after: datetime) -> datetime | None:
    """Fires one time, at a given moment."""
    return where.at.astimezone(UTC) if where.at > after else None


@once.check
def once_is_ahead(where: Once) -> None:
    """Refuse a moment that is gone."""
    if where.at <= datetime.now(UTC):
        raise sdk.InvalidInput("at", f"{where.at.isoformat()} is in the past, so it would never fire.")
