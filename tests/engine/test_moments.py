"""Moments that were missed: the newest of them, found without a walk over all."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from area.engine.moments import missed

START = datetime(2026, 1, 1, tzinfo=UTC)


class Moments:
    """A schedule that has certain moments, and counts how often it is asked."""

    def __init__(self, seconds: list[int]) -> None:
        self.all = [START + timedelta(seconds=number) for number in seconds]
        self.asked = 0

    def following(self, after: datetime) -> datetime | None:
        self.asked += 1
        place = bisect_right(self.all, after)
        return self.all[place] if place < len(self.all) else None


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.integers(1, 5_000), min_size=1, max_size=200, unique=True).map(sorted),
    st.integers(1, 30),
    st.integers(0, 6_000),
)
def test_the_newest_are_found_in_their_order(seconds: list[int], most: int, now: int) -> None:
    schedule = Moments(seconds)
    moment = max(START + timedelta(seconds=now), schedule.all[0])
    passed = [due for due in schedule.all if due <= moment]
    assert missed(schedule.following, schedule.all[0], moment, most) == passed[-most:]


def test_a_month_of_seconds_is_no_walk() -> None:
    month = 30 * 86_400

    def following(after: datetime) -> datetime:
        nonlocal asked
        asked += 1
        return START + timedelta(seconds=int((after - START).total_seconds()) + 1)

    asked = 0
    moment = START + timedelta(seconds=month)
    assert missed(following, START, moment, 1) == [moment]
    assert asked < 200
    found = missed(following, START, moment, 100)
    assert found == [START + timedelta(seconds=month - 99 + number) for number in range(100)]
    assert asked < 6_000


def test_a_schedule_that_has_ended_fires_its_last() -> None:
    schedule = Moments([0, 10])
    assert missed(schedule.following, schedule.all[0], START + timedelta(days=1), 1) == [schedule.all[1]]
    assert missed(schedule.following, schedule.all[0], START + timedelta(days=1), 5) == schedule.all
