"""Drawn AREAs, and what befalls their workers: what `test_crashes` plays."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from area.engine.areas import ReactionDraft
from tests.engine.conftest import http, log

HANGS = 0
"""A call that the sink never answers: its worker dies meanwhile."""
ANSWERS = st.sampled_from([HANGS, 504, 500, 404, 429, 200])


@dataclass(frozen=True)
class Step:
    """One reaction of a drawn AREA."""

    kind: str
    key: str
    after: tuple[str, ...] | None
    when: bool | None
    on_failure: str
    attempts: int
    method: str
    passes: bool
    reads: str | None
    items: int
    concurrency: int
    stops: bool
    answers: tuple[tuple[int, ...], ...]
    """What the sink answers one call after another, for each item; 200 from there on."""

    def draft(self, url: str) -> ReactionDraft:
        more: dict[str, Any] = {
            "after": None if self.after is None else list(self.after),
            "when": None if self.when is None else f"{str(self.when).lower()} == true",
            "on_failure": self.on_failure,
            "retry": {"attempts": self.attempts},
        }
        match self.kind:
            case "http":
                return http(self.key, f"{url}/{self.key}", self.method, **more)
            case "each":
                config = {
                    "items": list(range(self.items)), "stops": self.stops, "concurrency": self.concurrency,
                    "reaction": "http.request", "config": {"method": self.method, "url": f"{url}/{self.key}[{{{{ item }}}}]"},
                }  # fmt: skip
                return ReactionDraft("flow.for_each", config, key=self.key, **more)
            case "filter":
                return ReactionDraft(
                    "flow.filter", {"condition": f"{str(self.passes).lower()} == true"}, self.key, **more
                )
            case "stop":
                return ReactionDraft("flow.stop", {}, self.key, **more)
            case "delay":
                return ReactionDraft("flow.delay", {"seconds": 3600}, self.key, **more)
        return log(self.key, f"saw {{{{ steps.{self.reads}.status }}}}" if self.reads else "hello", **more)

    @property
    def ends_the_run(self) -> bool:
        """Whether the run ends where this step succeeds."""
        return self.kind == "stop" or (self.kind == "filter" and not self.passes)

    @property
    def called(self) -> list[str]:
        """The keys of what it calls: its own, or those of its items."""
        if self.kind == "each":
            return [f"{self.key}[{index}]" for index in range(self.items)]
        return [self.key] if self.kind == "http" else []


@dataclass(frozen=True)
class Act:
    """What happens next to the run."""

    what: str
    """work, cancel, settle, resume"""
    fault: str = ""
    """What befalls the worker: it dies before or after a commit, is told to stop, its run is cancelled, or it is frozen and
    another takes over."""
    at: int = 0
    """At which commit of its own."""
    lag: int = 0
    """How many commits it makes after a call hangs, before it dies."""
    happened: bool = False


@dataclass(frozen=True)
class Play:
    """An AREA, and what happens to a run of it."""

    mode: str
    steps: tuple[Step, ...]
    acts: tuple[Act, ...]

    def before(self, step: Step) -> tuple[str, ...]:
        """What a step waits for."""
        index = self.steps.index(step)
        by_mode = (self.steps[index - 1].key,) if self.mode == "sequential" and index else ()
        return by_mode if step.after is None else step.after

    @property
    def is_one_by_one(self) -> bool:
        """Whether no two calls are under way at once."""
        return self.mode == "sequential" and all(step.concurrency == 1 for step in self.steps if step.kind == "each")


@st.composite
def plays(draw: st.DrawFn) -> Play:
    """Any AREA of up to six reactions, and up to eight events."""
    mode = draw(st.sampled_from(["sequential", "parallel"]))
    # Few kinds of answers to one AREA, so that the same two meet often.
    some = st.sampled_from(draw(st.lists(ANSWERS, min_size=1, max_size=3, unique=True)))
    steps: list[Step] = []
    for index in range(draw(st.integers(1, 6))):
        known = [step.key for step in steps]
        kind = draw(st.sampled_from(["http", "http", "http", "each", "each", "filter", "stop", "delay", "log"]))
        items = draw(st.integers(1, 4)) if kind == "each" else 1
        answers = st.one_of(st.just(()), *(st.tuples(*[some] * number) for number in (1, 2, 3)))
        named = (
            draw(st.lists(st.sampled_from(known), max_size=2, unique=True)) if known and mode == "parallel" else None
        )
        after = tuple(named) if named else None
        seen = [s.key for s in steps if s.kind == "http" and (s.key in (after or ()) or (mode != "parallel"))]
        steps.append(
            Step(
                kind,
                f"s{index}",
                after,
                draw(st.sampled_from([None, None, None, None, True, False])),
                draw(st.sampled_from(["stop", "continue"])),
                draw(st.integers(1, 3)),
                draw(st.sampled_from(["POST", "PUT"])),
                draw(st.booleans()),
                draw(st.sampled_from(seen)) if seen and kind == "log" else None,
                items,
                draw(st.integers(1, 2)),
                draw(st.booleans()),
                tuple(draw(answers) for _ in range(items)) if kind in ("http", "each") else (),
            )
        )
    return Play(mode, tuple(steps), tuple(draw(st.lists(acts(), min_size=1, max_size=8))))


@st.composite
def acts(draw: st.DrawFn) -> Act:
    """One event."""
    what = draw(st.sampled_from(["work"] * 7 + ["cancel", "settle", "settle", "resume"]))
    fault = draw(st.sampled_from(["", "before", "after", "after", "stop", "cancel", "heard", "freeze", "frozen"]))
    if what != "work":
        return Act(what, happened=draw(st.booleans()))
    return Act(what, fault, draw(st.integers(1, 8)), draw(st.integers(0, 3)))
