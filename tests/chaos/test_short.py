"""A short play, so that what proves the laws is itself kept in order. The long one is `make chaos`."""

from chaos.faults import KINDS
from chaos.play import Plan, play

PAUSES = {
    "processes": (1.0, 3.0),
    "redis": (1.0, 4.0),
    "postgres": (4.0, 6.0),
    "time": (0.5, 1.0),
    "outside": (0.5, 2.0),
}


async def test_under_a_few_faults_nothing_is_lost_repeated_or_forgotten() -> None:
    plan = Plan(
        seed=7,
        rate=10.0,
        counts={kind.name: kind.short for kind in KINDS},
        pauses=PAUSES,
        freeze_seconds=6.0,
        mood_seconds=3.0,
        lease_seconds=4.0,
    )

    outcome = await play(plan)

    assert [(finding.kind, finding.what) for finding in outcome.verdict.findings] == []
    assert len(outcome.evidence.incidents) == sum(plan.counts.values()), "every fault befell"
    assert len(outcome.sender.accepted) > 20, "there was a load"
    assert sum(map(len, outcome.watcher.seen.values())) > 100, "somebody watched"
