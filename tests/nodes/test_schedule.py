"""Schedules, and cron across both changes of daylight saving."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_jitter_puts_each_moment_off_by_less_than_it_says() -> None:
    where = schedule.Every(seconds=600, jitter_seconds=120)
    moment, found = datetime(2026, 1, 1, tzinfo=UTC), []
    for _ in range(200):
        moment = schedule.every.fn(where, moment)
        found.append(moment)
    late = [moment.timestamp() % 600 for moment in found]
    assert all(0 <= seconds <= 120 for seconds in late)
    assert len(set(late)) > 100, "not all alike"
    assert [int(moment.timestamp() // 600) for moment in found] == list(
        range(int(found[0].timestamp() // 600), int(found[0].timestamp() // 600) + 200)
    ), "one in each interval"
    with pytest.raises(ValidationError, match="less than the interval"):
        schedule.Every(seconds=60, jitter_seconds=60)


MOMENTS = st.integers(0, 60 * 365 * 86_400).map(
    lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]
)


def _part(most: int) -> st.SearchStrategy[str]:
    number = st.integers(0, most)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(1, most).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.lists(number, min_size=1, max_size=3).map(lambda several: ",".join(map(str, several))),
    )


CRON = st.builds(
    lambda minute, hour, day, weekday: f"{minute} {hour} {day} * {weekday}",
    _part(59),
    _part(23),
    st.sampled_from(["*", "1", "31", "*/10", "L"]),
    st.sampled_from(["*", "MON-FRI", "0", "6,7", "MON#1"]),
)


@settings(deadline=None, max_examples=200)
@given(CRON, ZONES, MOMENTS)
def test_the_next_moment_of_a_cron_comes_after_and_leaves_none_out(expression: str, zone: str, after: datetime) -> None:
    where = schedule.Cron(expression=expression, timezone=zone)
    first = schedule.cron.fn(where, after)
    if first is None:
        return
    second = schedule.cron.fn(where, first)
    assert first > after
    assert second is None or second > first
    # From wherever it is asked between two moments, the answer is the same: none is left out, and none is told twice.
    for between in (after + (first - after) / 2, first - timedelta(microseconds=1)):
        if between >= after:
            assert schedule.cron.fn(where, between) == first
    if second is not None:
        assert schedule.cron.fn(where, first + (second - first) / 2) == second


@settings(deadline=None)
@given(st.integers(10, 90 * 60), st.integers(0, 100), MOMENTS)
def test_the_next_moment_of_an_interval_comes_after_and_leaves_none_out(
    seconds: int, share: int, after: datetime
) -> None:
    where = schedule.Every(seconds=seconds, jitter_seconds=share * (seconds - 1) // 100)
    first = schedule.every.fn(where, after)
    second = schedule.every.fn(where, first)
    assert after < first <= after + timedelta(seconds=2 * seconds)
    assert second > first
    assert second.timestamp() // seconds == first.timestamp() // seconds + 1
    assert schedule.every.fn(where, after + (first - after) / 2) == first


def test_a_spring_and_an_autumn_of_other_zones() -> None:
    # Lord Howe goes by half an hour: 02:00 becomes 02:30 on 2026-10-04 (15:30Z the day before), and back on 2026-04-05.
    assert fires("15 2 * * *", "Australia/Lord_Howe", datetime(2026, 10, 2, 20, 0, tzinfo=UTC), 2) == [
        "10-03 15:30Z",
        "10-04 15:15Z",
    ]
    assert fires("45 1 * * *", "Australia/Lord_Howe", datetime(2026, 4, 4, 0, 0, tzinfo=UTC), 2) == [
        "04-04 14:45Z",
        "04-05 15:15Z",
    ]
    # New York: 02:30 of 2026-03-08 does not exist, 01:30 of 2026-11-01 happens twice.
    assert fires("30 2 * * *", "America/New_York", datetime(2026, 3, 7, 12, 0, tzinfo=UTC), 2) == [
        "03-08 07:00Z",
        "03-09 06:30Z",
    ]
    assert fires("30 1 * * *", "America/New_York", datetime(2026, 10, 31, 12, 0, tzinfo=UTC), 2) == [
        "11-01 05:30Z",
        "11-02 06:30Z",
    ]
    # A job with a * in its minutes or hours goes by the time that passes, so it runs in both hours.
    assert fires("*/30 1 * * *", "America/New_York", datetime(2026, 11, 1, 4, 59, tzinfo=UTC), 5) == [
        "11-01 05:00Z",
        "11-01 05:30Z",
        "11-01 06:00Z",
        "11-01 06:30Z",
        "11-02 06:00Z",
    ]


def test_once_fires_once() -> None:
    where = schedule.Once(at=datetime.fromisoformat("2026-12-31T23:59:00+01:00"))
    due = datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
    assert schedule.once.fn(where, due - timedelta(seconds=1)) == due
    assert schedule.once.fn(where, due) is None


def test_once_in_the_past_is_refused() -> None:
    assert schedule.once.checker is not None
    with pytest.raises(sdk.InvalidInput, match="in the past"):
        schedule.once.checker(schedule.Once(at=datetime(2020, 1, 1, tzinfo=UTC)))
