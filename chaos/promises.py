"""What each AREA promises: which steps a run that succeeded has, which must not be repeated, what it may fail with."""

from chaos.evidence import Evidence, Run
from chaos.load import passes
from chaos.plant import ITEMS

STEPS = {
    "pair": ["post", "put"],
    "timer": ["before", "wait", "after"],
    "parallel": ["left", "right", "log"],
    "tick": ["tick"],
    "item": ["item"],
    "failed": ["told"],
    "loop": ["loop", *(f"loop[{index}]" for index in range(len(ITEMS))), "looped"],
    "call": ["start", "back"],
    "called": ["work"],
    "approve": ["ask", "approved"],
    "gate": ["beside", "gate", "gated"],
    "refused": ["slow", "refused", "never"],
    "limit": ["in", "out"],
    "replace": ["early", "pause", "late"],
}
"""All of them succeed, unless `wanted` says otherwise."""
ONCE = {"post", "after", "left", "item", "loop[]", "work", "approved", "gated", "slow", "in", "early"}
"""Steps that must not be repeated; the other calls may be, with one key. ``loop[]`` is any item."""
INNER = {"wait", "log", "loop", "start", "ask", "gate", "pause"}
"""Steps that call nobody."""
UNFRIENDLY = {"UNAVAILABLE", "UNREACHABLE", "THROTTLED"}
"""What any run may fail with when the other side misbehaves."""
FAILURES = {
    "loop": UNFRIENDLY | {"ITEM_FAILED"},
    "call": UNFRIENDLY | {"CALLED_AREA_FAILED"},
    "refused": UNFRIENDLY | {"HTTP_422"},
}
SUCCEEDED = {"succeeded"}
SKIPPED = {"skipped"}


def is_once(step: str) -> bool:
    """Whether a step's call must not be repeated."""
    name, bracket, _ = step.partition("[")
    return (f"{name}[]" if bracket else name) in ONCE


def may_fail_with(run: Run) -> set[str]:
    """The codes that a failed run may have."""
    return FAILURES.get(run.area, UNFRIENDLY)


def is_shut(run: Run, evidence: Evidence) -> bool:
    """Whether a run must not reach its last step: for a filter, for want of a yes, or for what failed before it."""
    match run.area:
        case "approve":
            return not evidence.decisions.get(run.id)
        case "gate":
            return not passes(run.about or "")
        case _:
            return run.area == "refused"


def wanted(run: Run, evidence: Evidence) -> dict[str, set[str]] | None:
    """What the steps of a run that succeeded may be; None where it cannot have succeeded."""
    steps = STEPS[run.area]
    if run.area == "refused" or (run.area == "approve" and run.id not in evidence.decisions):
        return None
    states = dict.fromkeys(steps, SUCCEEDED)
    if is_shut(run, evidence):
        states[steps[-1]] = SKIPPED
        if run.area == "gate":
            # It goes on beside the filter, and may have been waiting to be tried again when that ended the run. What it says
            # then is held against its calls, as of every step.
            states["beside"] = {"succeeded", "skipped", "unknown"}
    return states
