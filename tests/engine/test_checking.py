"""What is said of a reaction's inputs when an AREA is saved."""

from typing import Any

import pytest
from pydantic import Field, model_validator

from area.core.errors import AreaError
from area.engine.areas import AreaDraft, ReactionDraft
from area.engine.checking import check_draft
from area.nodes import sdk
from area.nodes.registry import Registry, load

service = sdk.Service(key="checkprobe", name="Probe", description="A service of this test.")


class Either(sdk.Inputs):
    """One of two."""

    left: str | None = Field(None, title="Left", description="One.", examples=["a"])
    right: str | None = Field(None, title="Right", description="The other.", examples=["b"])

    @model_validator(mode="after")
    def _one(self) -> "Either":
        if not (self.left or self.right):
            raise ValueError("give left or right")
        return self


@service.reaction("Take one", idempotent=True)
async def take(ctx: sdk.Context, given: Either) -> sdk.Outputs:
    """Takes one of two."""
    return sdk.Outputs()


def told(config: dict[str, Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    problems: list[AreaError] = []
    draft = AreaDraft("Test", "webhook.received", {}, [ReactionDraft("checkprobe.take", config)])
    check_draft(Registry([*load().services.values(), service]), draft, 5, problems)
    return [(str(problem), tuple(problem.path)) for problem in problems]


def test_a_problem_of_the_inputs_as_a_whole_is_told_unless_a_template_may_mend_it() -> None:
    assert told({}) == [("Value error, give left or right.", ("reactions", 0, "config"))]
    assert told({"left": "{{ trigger.body.x }}"}) == []
    assert told({"right": "b"}) == []


@pytest.mark.parametrize(
    ("action", "config", "problem"),
    [
        ("account.needs_reconnect", {"service": "twich"}, ("There is no service 'twich'.", "service", "twitch")),
        ("hook.broken", {"action": "rss.new_items"}, ("There is no action 'rss.new_items'.", "action", "rss.new_item")),
        ("hook.broken", {"action": "nothing like it"}, ("There is no action 'nothing like it'.", "action", None)),
    ],
)
def test_an_action_that_watches_what_does_not_exist_is_not_saved(
    action: str, config: dict[str, Any], problem: tuple[str, str, str | None]
) -> None:
    problems: list[AreaError] = []
    draft = AreaDraft("Test", action, config, [ReactionDraft("flow.log", {"message": "Oh"})])

    assert check_draft(load(), draft, 5, problems) is None

    assert [(str(one), one.path, one.suggestion) for one in problems] == [
        (problem[0], ("action", "config", problem[1]), problem[2])
    ]


@pytest.mark.parametrize(
    ("action", "config"),
    [
        ("account.needs_reconnect", {"service": "twitch"}),
        ("hook.broken", {"action": "rss.new_item"}),
        ("hook.broken", {}),
    ],
)
def test_an_action_that_watches_what_exists_is_saved(action: str, config: dict[str, Any]) -> None:
    problems: list[AreaError] = []
    draft = AreaDraft("Test", action, config, [ReactionDraft("flow.log", {"message": "Oh"})])

    assert check_draft(load(), draft, 5, problems) is not None
    assert problems == []
