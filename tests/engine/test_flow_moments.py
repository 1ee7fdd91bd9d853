"""Cases and moments in runs: what a switch chooses, and a wait for a moment."""

from area.engine.areas import ReactionDraft
from tests.engine.conftest import World, log
from tests.engine.flow_drafts import problems_of


async def test_a_switch_chooses_and_later_steps_ask(world: World) -> None:
    cases = [{"name": "big", "when": "trigger.body.n > 100"}, {"name": "odd", "when": "trigger.body.odd"}]
    area = await world.area(
        ReactionDraft("flow.switch", {"cases": cases, "otherwise": "rest"}, key="switch"),
        log("big", when='steps.switch.case == "big"'),
        log("rest", when='steps.switch.case == "rest"'),
    )
    runs = [await world.happen(area, body) for body in ({"n": 101, "odd": True}, {"n": 1}, {"n": 1, "odd": True})]
    found = [{key: step["status"] for key, step in (await world.steps(run)).items()} for run in runs]
    assert found == [
        {"switch": "succeeded", "big": "succeeded", "rest": "skipped"},
        {"switch": "succeeded", "big": "skipped", "rest": "succeeded"},
        {"switch": "succeeded", "big": "skipped", "rest": "skipped"},
    ]
    assert (await world.steps(runs[0]))["switch"]["input"]["cases"] == [
        {"name": "big", "when": True},
        {"name": "odd", "when": True},
    ]


async def test_the_cases_of_a_switch_are_checked_when_saved(world: World) -> None:
    cases = [{"name": "a", "when": "trigger.bdy.n > 1"}, {"name": "b", "when": "{% if"}, {"name": "c"}]
    assert await problems_of(world, ReactionDraft("flow.switch", {"cases": cases}, key="s")) == [
        (("reactions", 0, "config", "cases", 0, "when"), "UNKNOWN_REFERENCE"),
        (("reactions", 0, "config", "cases", 1, "when"), "INVALID_INPUT"),
        (("reactions", 0, "config", "cases", 2, "when"), "REQUIRED_FIELD"),
    ]


async def test_a_run_waits_until_the_moment_it_was_given(world: World) -> None:
    area = await world.area(ReactionDraft("flow.wait_until", {"at": "{{ trigger.body.at }}"}, key="w"), log("after"))
    later, past = await world.happen(area, {"at": "2099-01-01"}), await world.happen(area, {"at": "2020-01-01"})
    never = await world.happen(area, {"at": "soon"})
    assert await world.status(past) == "succeeded"
    assert (await world.steps(never))["w"]["error"]["code"] == "INVALID_INPUT"
    assert (await world.steps(later))["w"]["error"]["message"].startswith("2099-01-01T00:00:00+00:00 is more than 366")
