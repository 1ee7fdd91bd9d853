"""Connected accounts: whose end concerns whom."""

import pytest

from area.nodes import account


@pytest.mark.parametrize(("watched", "fires"), [(None, True), ("twitch", True), ("discord", False)])
def test_needs_reconnect_is_of_the_service_that_is_watched_or_of_any(watched: str | None, fires: bool) -> None:
    told = account.DeadAccount.model_validate(account.needs_reconnect.sample())
    assert account.needs_reconnect.fn(account.Which(service=watched), told) is fires
