"""Watched sources: which break concerns whom."""

import pytest

from area.nodes import hook


@pytest.mark.parametrize(("watched", "fires"), [(None, True), ("rss.new_item", True), ("schedule.cron", False)])
def test_broken_is_of_the_action_that_is_watched_or_of_any(watched: str | None, fires: bool) -> None:
    told = hook.BrokenHook.model_validate(hook.broken.sample())
    assert hook.broken.fn(hook.Which(action=watched), told) is fires
