"""The rules of the verdict, each on made-up evidence: what must pass, and what must not."""

import pytest

from chaos.faults import FREEZE
from chaos.plant import ITEMS, SHARES
from tests.chaos.made_up import BEGIN, FIRST, SECOND, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_run_that_did_what_it_says_is_no_breach(stage: Stage) -> None:
    run = stage.pair()
    stage.call(run, "post")
    stage.call(run, "put", 0.7, 0.8)
    assert stage.breaches() == []


@pytest.mark.parametrize("state", ["skipped", "pending", None])
def test_a_step_that_was_not_begun_has_no_call(stage: Stage, state: str | None) -> None:
    run = stage.pair("cancelled", put=state or "skipped")
    if state is None:
        del run.steps["put"]
    stage.people.cancelling.add(run.id)
    stage.call(run, "post")
    assert stage.breaches() == []
    stage.call(run, "put", mood="429")
    assert stage.breaches() == [], "answered that it was not done"
    stage.call(run, "put")
    assert stage.breaches() == ["untrue: pair"]


def test_no_step_runs_in_a_run_that_has_ended(stage: Stage) -> None:
    run = stage.pair("failed", put="running")
    run.error = {"code": "UNAVAILABLE"}
    stage.call(run, "post")
    failed = stage.run("failed", "succeeded", {"told": "succeeded"}, about=str(run.id))
    stage.call(failed, "told")
    assert stage.breaches() == ["untrue: pair"]


def test_an_unknown_step_of_an_ended_run_needs_a_fault(stage: Stage) -> None:
    run = stage.pair("cancelled", post="unknown", put="skipped")
    stage.people.cancelling.add(run.id)
    stage.call(run, "post")
    assert stage.breaches() == ["other: pair"]
    stage.befalls("SIGKILL a worker", FIRST, 0.6)
    verdict = stage.verdict()
    assert (verdict.findings, [why for _, why in verdict.unknown]) == ([], ["SIGKILL a worker"])


def test_a_call_must_have_a_step(stage: Stage) -> None:
    run = stage.pair()
    stage.call(run, "post")
    stage.call(run, "put")
    stage.call(run, "nothing")
    assert stage.breaches() == ["other:"]


def test_each_item_of_a_loop_is_called_once(stage: Stage) -> None:
    items = [f"loop[{index}]" for index in range(len(ITEMS))]
    run = stage.run("loop", "succeeded", dict.fromkeys(["loop", *items, "looped"], "succeeded"))
    for step in (*items, "looped"):
        stage.call(run, step)
    assert stage.breaches() == []
    stage.call(run, items[2])
    assert stage.breaches() == ["doubled: loop"]


def test_an_item_that_is_missing_is_lost(stage: Stage) -> None:
    items = [f"loop[{index}]" for index in range(len(ITEMS))]
    run = stage.run("loop", "succeeded", dict.fromkeys(["loop", *items[1:], "looped"], "succeeded"))
    for step in (*items[1:], "looped"):
        stage.call(run, step)
    assert stage.breaches() == ["lost: loop"]


def test_a_called_area_runs_once(stage: Stage) -> None:
    run = stage.run("call", "succeeded", {"start": "succeeded", "back": "succeeded"})
    stage.call(run, "back")
    assert stage.breaches() == ["lost: call"], "nothing was started"
    child = stage.run("called", "succeeded", {"work": "succeeded"}, about=str(run.id))
    stage.call(child, "work")
    stage.evidence.called[run.id] = [child.id]
    assert stage.breaches() == []
    second = stage.run("called", "succeeded", {"work": "succeeded"}, about=str(run.id))
    stage.call(second, "work")
    assert "doubled: call" in stage.breaches()


def test_what_waits_for_a_held_run_is_not_stuck(stage: Stage) -> None:
    run = stage.run("call", "waiting", {"start": "waiting"})
    child = stage.run("called", "held", {"work": "unknown"}, about=str(run.id))
    stage.call(child, "work", mood="hang")
    stage.evidence.called[run.id] = [child.id]
    assert stage.breaches() == []
    child.status, child.steps = "cancelled", {"work": {"status": "unknown"}}
    stage.people.cancelling.add(child.id)
    assert stage.breaches() == ["stuck: call"]


def test_a_filter_lets_nothing_through(stage: Stage) -> None:
    states = {"beside": "succeeded", "gate": "succeeded", "gated": "skipped"}
    run = stage.run("gate", "succeeded", states, about="event-1")
    stage.call(run, "beside")
    stage.evidence.filtered[run.id] = 1
    assert stage.breaches() == []
    stage.call(run, "gated")
    assert stage.breaches() == ["other: gate", "untrue: gate"]
    run.steps["gated"] = {"status": "succeeded"}
    assert stage.breaches() == ["other: gate", "lost: gate"], "a filtered run that went on"


@pytest.mark.parametrize("mood", ["hang", "500"])
def test_nobody_is_called_beyond_a_filter_though_the_run_is_held(stage: Stage, mood: str) -> None:
    states = {"beside": "succeeded", "gate": "succeeded", "gated": "unknown"}
    run = stage.run("gate", "held", states, about="event-1")
    stage.call(run, "beside")
    stage.befalls("SIGKILL a worker", FIRST, 0.6)
    assert stage.breaches() == []
    stage.call(run, "gated", mood=mood)
    assert stage.breaches() == ["other: gate"]


def test_nobody_is_called_after_a_failure(stage: Stage) -> None:
    run = stage.run("refused", "failed", {"slow": "succeeded", "refused": "failed", "never": "skipped"})
    run.error = {"code": "HTTP_422"}
    told = stage.run("failed", "succeeded", {"told": "succeeded"}, about=str(run.id))
    stage.call(told, "told")
    stage.call(run, "slow")
    stage.call(run, "refused", mood="refused")
    assert stage.breaches() == []
    stage.call(run, "never", mood="500")
    assert stage.breaches() == ["other: refused"]


def test_what_goes_on_beside_a_filter_may_be_in_doubt_when_its_call_had_no_answer(stage: Stage) -> None:
    states = {"beside": "unknown", "gate": "succeeded", "gated": "skipped"}
    run = stage.run("gate", "succeeded", states, about="event-1")
    stage.evidence.filtered[run.id] = 1
    assert stage.breaches() == ["other: gate"], "unknown, and nothing befell"
    stage.call(run, "beside", mood="hang")
    stage.call(run, "beside", 0.8, 0.9, mood="500")
    assert stage.breaches() == []


def test_the_ledger_tells_of_a_filtered_event_once(stage: Stage) -> None:
    states = {"beside": "succeeded", "gate": "succeeded", "gated": "skipped"}
    run = stage.run("gate", "succeeded", states, about="event-1")
    stage.call(run, "beside")
    assert stage.breaches() == ["lost: gate"]
    stage.evidence.filtered[run.id] = 2
    assert stage.breaches() == ["doubled: gate"]
    run.about = "event-2"
    run.steps["gated"] = {"status": "succeeded"}
    stage.call(run, "gated")
    stage.sender.accepted = {"event-2": BEGIN}
    stage.evidence.filtered[run.id] = 1
    assert stage.breaches() == ["untrue: gate"]


def test_a_decision_is_kept_and_followed(stage: Stage) -> None:
    run = stage.run("approve", "succeeded", {"ask": "succeeded", "approved": "succeeded"})
    stage.call(run, "approved")
    stage.decided(run.id, approved=True)
    assert stage.breaches() == []
    stage.evidence.decisions[run.id] = False
    stage.evidence.filtered[run.id] = 1
    assert stage.breaches() == ["other: approve", "other: approve", "lost: approve"], (
        "not what was decided, and went on after a no"
    )
    stage.evidence.decisions.clear()
    stage.evidence.filtered.clear()
    assert stage.breaches()[::3] == ["lost: approve", "untrue: approve"], "gone, and went on without one"


def test_nobody_asked_for_the_cancel(stage: Stage) -> None:
    run = stage.pair("cancelled", "skipped", "skipped")
    assert stage.breaches() == ["other: pair"]
    stage.people.cancelling.add(run.id)
    assert stage.breaches() == []


def test_a_replaced_run_has_a_newer_one(stage: Stage) -> None:
    stage.run("replace", "cancelled", {"early": "skipped"}, end=0.1)
    assert stage.breaches() == ["other: replace"]
    newer = stage.run("replace", "succeeded", dict.fromkeys(["early", "pause", "late"], "succeeded"), at=0.2)
    stage.call(newer, "early")
    stage.call(newer, "late", 0.7, 0.8)
    assert stage.breaches() == []


def test_after_a_cancel_no_call_is_made(stage: Stage) -> None:
    run = stage.pair(at=0.0, end=20.0)
    stage.call(run, "post")
    stage.call(run, "put", 4.0, 4.1)
    stage.people.cancelling.add(run.id)
    stage.people.cancelled[run.id] = BEGIN + 3.0
    assert stage.breaches() == [], "on its way already"
    stage.people.cancelled[run.id] = BEGIN + 0.5
    assert stage.breaches() == ["other: pair"]
    stage.befalls(FREEZE, FIRST, 1.0, 4.0)
    assert stage.breaches() == []


def test_a_cancelled_run_is_not_left_held(stage: Stage) -> None:
    run = stage.pair("held", "unknown", "pending")
    stage.call(run, "post", mood="hang")
    assert stage.breaches() == []
    stage.people.cancelled[run.id] = BEGIN + 0.5
    assert stage.breaches() == ["stuck: pair"]


def limited(stage: Stage, *spans: tuple[float, float]) -> None:
    for at, end in spans:
        run = stage.run("limit", "succeeded", {"in": "succeeded", "out": "succeeded"}, at, end)
        stage.call(run, "in", at + 0.1, at + 0.2)
        stage.call(run, "out", at + 0.3, end - 0.1)


def in_order(stage: Stage) -> None:
    """Numbered by when, as Postgres does."""
    rows = sorted((row["at"], run.id) for run in stage.evidence.runs.values() for row in run.transitions)
    for run in stage.evidence.runs.values():
        run.transitions = [{**row, "number": rows.index((row["at"], run.id))} for row in run.transitions]


def test_a_limit_holds(stage: Stage) -> None:
    limited(stage, (0, 10), (1, 9), (9.5, 12))
    in_order(stage)
    assert stage.breaches() == []


def test_a_limit_that_does_not_hold_is_seen_by_the_rows_and_by_the_calls(stage: Stage) -> None:
    limited(stage, (0, 10), (1, 9), (8.7, 12))
    in_order(stage)
    assert stage.breaches() == ["other: limit", "other: limit"]
    stage.befalls("SIGKILL a worker", FIRST, 8.8)
    assert stage.breaches() == ["other: limit"], "calls may be cut off, rows say what they say"


def test_a_held_run_gives_its_place_away(stage: Stage) -> None:
    limited(stage, (0, 10), (3, 9))
    held = stage.run("limit", "held", {"in": "unknown"}, 0.5, 2)
    stage.call(held, "in", 1, 15, mood="hang")
    in_order(stage)
    assert stage.breaches() == []


def taken(stage: Stage) -> None:
    """A run that others took from a worker which stood still."""
    run = stage.pair(end=30.0)
    stage.call(run, "post", 12.0, 12.1)
    stage.call(run, "put", 13.0, 13.1)
    stage.changed(run, 11.0, "running", "running", 2, SECOND)
    stage.befalls(FREEZE, FIRST, 1.0, 14.0)


def test_late_writes_are_refused_and_that_is_told(stage: Stage) -> None:
    taken(stage)
    assert stage.fence(1) == []
    assert len(stage.fence(0)) == 1
    stage.befalls("SIGKILL a worker", FIRST, 15.0)
    assert stage.fence(0) == [], "it had no time to tell"


def test_who_stood_still_without_work_proves_nothing_about_the_fence(stage: Stage) -> None:
    stage.pair(end=0.5)
    stage.befalls(FREEZE, FIRST, 1.0, 14.0)
    assert stage.fence(0) == []


def test_a_play_without_load_or_harm_proves_nothing(stage: Stage) -> None:
    said = stage.missing(FLUSHALL=2)
    assert said[:3] == ["no delivery was accepted", "nothing befell anybody", "'FLUSHALL' befell 0 times instead of 2"]
    assert [words for words in said if "'gate'" in words] == ["the AREA 'gate' had no run"]
    assert said[-2:] == ["no call arrived", "the subscriber saw no line"]


def test_a_play_with_all_of_it_counts(stage: Stage) -> None:
    for area in (*SHARES, "called"):
        stage.call(stage.run(area, "succeeded", {}), "post")
    stage.befalls("FLUSHALL", None, 1.0)
    assert stage.missing(FLUSHALL=1) == []
    stage.people.cancelling |= {stage.run("pair", "succeeded", {}).id for _ in range(20)}
    stage.people.deciding[stage.run("approve", "succeeded", {}).id] = True
    assert stage.missing(FLUSHALL=1) == ["no cancel was answered", "nobody decided anything"]
