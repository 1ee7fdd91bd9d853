"""Grades: what is missing is named, and nothing but what the rules say counts."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from area.app.cli import cli
from area.nodes import quality, sdk
from area.nodes.quality import Evidence, Grade, report
from tests.nodes import specimen

BEST = Evidence(
    own_tests='new_note changed write contract("acme") Fault(status=500)',
    stories="'acme.new_note' \"acme.write\"",
    stand_in=True,
    exempt={"repeatable:acme.write": "Acme takes no idempotency key and lists nothing."},
)


def best(**changed: Any) -> sdk.Service:
    service = specimen.make(judge=lambda response: None, **changed)
    service.docs_url = "https://acme.example/docs"
    service.auth = dataclasses.replace(service.auth, scopes=("notes",))  # type: ignore[type-var]
    return service


def graded(evidence: Evidence) -> quality.Report:
    return report(best(), evidence)


def test_the_best_is_platinum() -> None:
    assert (graded(BEST).grade, graded(BEST).broken) == (Grade.PLATINUM, {})
    assert graded(BEST).lacking() == {}


@pytest.mark.parametrize(
    ("change", "grade", "rule"),
    [
        ({"own_tests": ""}, Grade.NONE, "tested"),
        ({"own_tests": "new_note changed contract( Fault("}, Grade.BRONZE, "each-tested"),
        ({"own_tests": "new_note changed write Fault("}, Grade.SILVER, "contract"),
        ({"own_tests": "new_note changed write contract("}, Grade.GOLD, "faults"),
        ({"stand_in": False}, Grade.BRONZE, "stand-in"),
        ({"stories": "'acme.new_note'"}, Grade.GOLD, "story"),
        ({"exempt": {}}, Grade.BRONZE, "repeatable"),
        ({"exempt": {"repeatable:acme.other": "Another node."}}, Grade.BRONZE, "repeatable"),
    ],
)
def test_one_thing_missing_costs_its_grade(change: dict[str, object], grade: Grade, rule: str) -> None:
    got = graded(dataclasses.replace(BEST, **change))  # type: ignore[arg-type]
    assert got.grade is grade
    assert rule in got.lacking()


def test_declarations_count_too() -> None:
    service = best(where_=specimen.Typed)
    service.identifier = service.docs_url = service.judge = None
    service.actions["acme.changed"].still_there = None
    service.actions["acme.changed"].verify = sdk.Unsigned("A test.")
    got = report(service, BEST)
    assert {"connects", "documented", "judged", "subscriptions", "signed", "chosen"} <= set(got.broken)
    assert got.broken["chosen"] == ["acme.new_note.board offers no Choices", "acme.changed.board offers no Choices"]
    assert set(got.lacking()) == {"connects", "documented"}, "the next grade is bronze"


def test_evidence_is_read_from_the_repository(tmp_path: Path) -> None:
    for name, text in {
        "nodes/test_acme.py": "async def test_x(world: World): 'acme.write'",
        "nodes/test_acmeish.py": "another service",
        "engine/test_runs.py": "'acme.new_note'",
        "providers/acme.py": "",
        "nodes/grades/acme.json": '{"grade": "gold", "exempt": {"signed": "Nobody signs at Acme."}}',
    }.items():
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = quality.evidence(specimen.make(), tmp_path)
    assert found.own_tests == "async def test_x(world: World): 'acme.write'"
    assert found.stories.split("\n") == ["'acme.new_note'", "async def test_x(world: World): 'acme.write'"]
    assert (found.stand_in, found.exempt) == (True, {"signed": "Nobody signs at Acme."})


def test_every_rule_is_told_to_contributors() -> None:
    page = (Path(__file__).parents[2] / "docs" / "HOWTOCONTRIBUTE.md").read_text()
    assert [rule.key for rule in quality.RULES if f"| `{rule.key}` | {rule.text} |" not in page] == []


def test_services_are_listed_with_their_grade_and_what_the_next_one_lacks() -> None:
    shown = CliRunner().invoke(cli, ["services", "--quality"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "rss" in shown.output
    assert "platinum" in shown.output
