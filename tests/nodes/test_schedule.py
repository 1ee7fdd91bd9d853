"""Schedules, and cron across both changes of daylight saving."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from area.nodes import schedule, sdk


def fires(expression: str, timezone: str, after: datetime, count: int) -> list[str]:
    """The next ``count`` moments, each asked from the one before, as the engine does."""
    found = []
    for _ in range(count):
        after = schedule.cron.fn(schedule.Cron(expression=expression, timezone=timezone), after)
        found.append(after.strftime("%m-%d %H:%MZ"))
    return found


def test_cron_follows_the_zone() -> None:
    assert fires("0 9 * * MON-FRI", "Europe/Paris", datetime(2026, 1, 2, 8, 0, tzinfo=UTC), 2) == [
        "01-05 08:00Z",
        "01-06 08:00Z",
    ]


def test_cron_is_strictly_after() -> None:
    due = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
    assert fires("0 9 * * *", "UTC", due, 1) == ["01-02 09:00Z"]
    assert fires("0 9 * * *", "UTC", due - timedelta(microseconds=1), 1) == ["01-01 09:00Z"]


def test_cron_in_spring_runs_the_skipped_hour_once() -> None:
    # 2026-03-29 02:30 does not exist in Paris: the run happens when the clock jumps to 03:00, at 01:00Z.
    assert fires("30 2 * * *", "Europe/Paris", datetime(2026, 3, 28, 0, 0, tzinfo=UTC), 3) == [
        "03-28 01:30Z",
        "03-29 01:00Z",
        "03-30 00:30Z",
    ]


def test_cron_in_autumn_runs_a_fixed_hour_once_and_every_hour_each_time() -> None:
    # 2026-10-25 02:30 happens twice in Paris, at 00:30Z and 01:30Z.
    assert fires("30 2 * * *", "Europe/Paris", datetime(2026, 10, 24, 12, 0, tzinfo=UTC), 2) == [
        "10-25 00:30Z",
        "10-26 01:30Z",
    ]
    assert fires("30 * * * *", "Europe/Paris", datetime(2026, 10, 24, 23, 45, tzinfo=UTC), 3) == [
        "10-25 00:30Z",
        "10-25 01:30Z",
        "10-25 02:30Z",
    ]


@pytest.mark.parametrize(
    ("expression", "timezone", "field", "suggestion"),
    [
        ("0 0 31 2 *", "UTC", "expression", None),
        ("61 * * * *", "UTC", "expression", "0 9 * * *"),
        ("every day at 9", "UTC", "expression", "0 9 * * *"),
        ("0 9 * * *", "Europe/Pari", "timezone", "Europe/Paris"),
    ],
)
def test_cron_that_cannot_fire_is_refused(expression: str, timezone: str, field: str, suggestion: str | None) -> None:
    assert schedule.cron.checker is not None
    with pytest.raises(sdk.InvalidInput) as caught:
        schedule.cron.checker(schedule.Cron(expression=expression, timezone=timezone))
    assert caught.value.field == field
    assert suggestion is None or caught.value.suggestion == suggestion


def test_cron_on_leap_days_is_accepted() -> None:
    assert schedule.cron.checker is not None
    schedule.cron.checker(schedule.Cron(expression="0 0 29 2 *"))


def test_every_is_aligned_and_strictly_after() -> None:
    every = schedule.every.fn
    hourly = schedule.Every(seconds=3600)
    assert every(hourly, datetime(2026, 1, 1, 8, 59, 59, tzinfo=UTC)) == datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
    assert every(hourly, datetime(2026, 1, 1, 9, 0, tzinfo=UTC)) == datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
    with pytest.raises(ValidationError):
        schedule.Every(seconds=9)


def test_once_fires_once() -> None:
    where = schedule.Once(at=datetime.fromisoformat("2026-12-31T23:59:00+01:00"))
    due = datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
    assert schedule.once.fn(where, due - timedelta(seconds=1)) == due
    assert schedule.once.fn(where, due) is None


def test_once_in_the_past_is_refused() -> None:
    assert schedule.once.checker is not None
    with pytest.raises(sdk.InvalidInput, match="in the past"):
        schedule.once.checker(schedule.Once(at=datetime(2020, 1, 1, tzinfo=UTC)))
