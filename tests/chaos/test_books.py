"""The rules of the verdict for events, sources and logs, each on made-up evidence."""

from uuid import uuid4

import pytest

from chaos.evidence import Run
from tests.chaos.made_up import BEGIN, FIRST, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def run(stage: Stage) -> Run:
    made = stage.pair(about="event-0")
    stage.call(made, "post")
    stage.call(made, "put")
    assert stage.breaches() == []
    return made


def test_a_delivery_that_was_accepted_has_its_run(stage: Stage, run: Run) -> None:
    stage.sender.accepted["event-99"] = BEGIN
    assert stage.breaches() == ["lost:"]


def test_a_delivery_has_one_run(stage: Stage, run: Run) -> None:
    second = stage.pair(about="event-0")
    stage.call(second, "post")
    stage.call(second, "put")
    assert stage.breaches() == ["doubled: pair"]


def test_an_event_has_one_run(stage: Stage, run: Run) -> None:
    stage.evidence.events.append({"id": uuid4(), "kind": "poll", "dedupe_key": ""})
    assert stage.breaches() == ["lost:"]


def test_a_schedule_fires_at_its_moments(stage: Stage) -> None:
    run = stage.run("tick", "succeeded", {"tick": "succeeded"}, about=None)
    stage.call(run, "tick")
    run.dedupe_key = "at:2026-01-01T00:00:20+00:00"
    assert stage.breaches() == []
    run.dedupe_key = "at:2026-01-01T00:00:21+00:00"
    assert stage.breaches() == ["other: tick"]


def test_a_polled_item_has_one_run(stage: Stage) -> None:
    assert stage.breaches(["item 1"]) == ["lost:"]
    for expected in ([], ["doubled:"]):
        run = stage.run("item", "succeeded", {"item": "succeeded"}, about="item 1")
        stage.call(run, "item")
        assert stage.breaches(["item 1"]) == expected


def test_a_failure_is_told_once_and_has_a_known_reason(stage: Stage) -> None:
    run = stage.pair("failed", "failed", "skipped")
    run.error = {"code": "UNAVAILABLE"}
    assert stage.breaches() == ["lost: pair"]
    told = stage.run("failed", "succeeded", {"told": "succeeded"}, about=str(run.id))
    stage.call(told, "told")
    assert stage.breaches() == []
    run.error = {"code": "INTERNAL"}
    assert stage.breaches() == ["other: pair"]


def test_a_success_has_its_call(stage: Stage, run: Run) -> None:
    stage.evidence.calls.clear()
    assert stage.breaches() == ["lost: pair", "lost: pair"]


def test_a_call_is_repeated_for_a_fault_alone(stage: Stage, run: Run) -> None:
    stage.call(run, "put", 0.9)
    assert stage.breaches() == ["doubled: pair"]
    stage.befalls("SIGKILL a worker", FIRST, 0.6)
    assert stage.breaches() == []


def test_a_log_has_no_gap_and_its_subscriber_saw_it(stage: Stage, run: Run) -> None:
    run.last_seq = 2
    assert stage.breaches() == ["gaps: pair", "gaps: pair"], "neither the lines nor the subscriber have it"


@pytest.mark.parametrize(("end", "expected"), [(61.0, []), (62.0, ["stuck: pair"])])
def test_a_run_ends_within_a_minute_after_the_last_fault(stage: Stage, end: float, expected: list[str]) -> None:
    run = stage.pair(end=end)
    stage.call(run, "post")
    stage.call(run, "put")
    stage.befalls("FLUSHALL", None, 0.5, 1.5)
    assert stage.breaches() == expected


def test_an_end_stays(stage: Stage, run: Run) -> None:
    stage.changed(run, 2.0, "succeeded", "queued", 1)
    assert stage.breaches() == ["changed: pair"]


@pytest.mark.parametrize("number", ["fence", "seq"])
def test_no_number_goes_back(stage: Stage, run: Run, number: str) -> None:
    run.transitions[-1] = {**run.transitions[-1], f"{number}_was": 5}
    assert stage.breaches() == ["changed: pair"]


def test_what_postgres_saw_changed_and_what_the_books_found_wrong_is_told(stage: Stage, run: Run) -> None:
    stage.evidence.broken.append({"what": "a line of the log changed", "run_id": run.id})
    stage.sender.wrong.append("500")
    stage.people.wrong.append("500")
    stage.watcher.refused.append("error")
    assert stage.breaches() == ["changed: pair", "other:", "other:", "other:"]


def test_only_who_calls_has_called(stage: Stage, run: Run) -> None:
    child = stage.run("called", "succeeded", {"work": "succeeded"}, about=str(run.id))
    stage.call(child, "work")
    assert stage.breaches() == ["other: called"]
    caller = stage.run("call", "succeeded", {"start": "succeeded", "back": "succeeded"})
    stage.call(caller, "back")
    child.about = str(caller.id)
    stage.evidence.called[caller.id] = [run.id]
    assert stage.breaches() == ["other: call"]
