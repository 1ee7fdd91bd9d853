"""What a verdict is made of. A finding is a breach of the bar; an explanation is why something allowed happened."""

from collections import Counter
from dataclasses import dataclass, field

from chaos.evidence import Evidence, Run

FINAL = ("succeeded", "failed", "cancelled")
KINDS = ("lost", "stuck", "doubled", "gaps", "changed", "untrue", "other")


@dataclass(frozen=True)
class Finding:
    """One breach."""

    kind: str
    what: str
    run: Run | None = None


@dataclass
class Verdict:
    """All findings, and what was explained."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[tuple[Run, str]] = field(default_factory=list)
    """Runs with a call that may have happened, and why nobody knows."""
    repeated: list[tuple[Run, str]] = field(default_factory=list)
    """Calls made again with the same key, and why."""

    def breach(self, kind: str, what: str, run: Run | None = None) -> None:
        """Note one."""
        self.findings.append(Finding(kind, what, run))

    def explained(self) -> Counter[str]:
        """How often each explanation was needed."""
        return Counter(
            [f"unknown: {why}" for _, why in self.unknown] + [f"same key again: {why}" for _, why in self.repeated]
        )


def explain(
    verdict: Verdict,
    evidence: Evidence,
    run: Run,
    what: str,
    owned: tuple[str, float, float],
    explained: list[tuple[Run, str]],
    kind: str,
) -> None:
    """Find the fault that befell whoever had the run between two moments; without one it is a breach."""
    who, begin, end = owned
    incident = evidence.harm(who, begin, end)
    if incident is None:
        verdict.breach(
            kind, f"{run.area} run {run.id}: {what}, and nothing befell {who} between {begin:.2f} and {end:.2f}", run
        )
    else:
        explained.append((run, incident.fault))
