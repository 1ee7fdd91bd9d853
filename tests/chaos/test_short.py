"""A short play, so that what proves the laws is itself kept in order. The long one is `make chaos`."""

import pytest

from chaos.faults import KINDS, OWN_PAUSE
from chaos.play import Plan, play

PAUSES = {
    "processes": (0.5, 1.5),
    "redis": (1.0, 2.0),
    "postgres": (2.0, 3.0),
    "time": (0.5, 1.0),
    "outside": (0.5, 1.0),
}


@pytest.mark.timeout(300)  # half a minute on a machine of its own; processes start slowly on one that is busy
async def test_under_a_few_faults_nothing_is_lost_repeated_or_forgotten() -> None:
    plan = Plan(
        seed=7,
        rate=20.0,
        counts={kind.name: kind.short for kind in KINDS},
        pauses=PAUSES,
        freeze_seconds=4.0,
        mood_seconds=2.0,
        lease_seconds=3.0,
    )

    outcome = await play(plan)

    assert [(finding.kind, finding.what) for finding in outcome.verdict.findings] == []
    befell = [incident for incident in outcome.evidence.incidents if incident.fault != OWN_PAUSE]
    assert len(befell) == sum(plan.counts.values()), "every fault befell"
    assert len(outcome.sender.accepted) > 20, "there was a load"
    assert sum(map(len, outcome.watcher.seen.values())) > 100, "somebody watched"
