"""A published version, compiled once: nodes resolved, templates and conditions parsed, order computed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter, ValidationError

from area.core.errors import AreaError, Path
from area.core.lru import Lru
from area.engine import statements
from area.engine.configs import compile_config, conditions, with_values
from area.engine.liquid import one_budget
from area.engine.templates import Render, Scope, compile_condition
from area.nodes import sdk
from area.nodes.registry import Registry, UnknownComponent

PLANS_KEPT = 5_000
ITEMS_FROM = 100_000
"""Positions from here on are items of loops: see `items`."""
_BOOL: TypeAdapter[bool] = TypeAdapter(bool)


class PlanBroken(Exception):
    """A stored version cannot run with this code: a node is gone, or its inputs have changed. The message says which."""


@dataclass(slots=True)
class PlanStep:
    """One reaction, ready to run."""

    position: int
    key: str
    reaction: sdk.Reaction
    account_id: UUID | None
    config: dict[str, Any]
    render: Render | None
    conditions: dict[Path, Callable[[Scope], bool]]
    fixed: sdk.Inputs | None
    secrets: frozenset[str]
    when: Callable[[Scope], bool] | None
    after: list[int]
    stops: bool
    attempts: int
    timeout: float
    inner: "PlanStep | None" = None
    """What is run for each item, where the reaction is a loop."""
    extra: Scope = field(default_factory=dict)
    """What its templates see besides the run's scope."""

    @property
    def is_item(self) -> bool:
        """Whether this is one item of a loop."""
        return self.position >= ITEMS_FROM

    def inputs(self, scope: Scope) -> sdk.Inputs:
        """The validated inputs of one execution. Raises: TemplateFailed, pydantic.ValidationError."""
        if self.fixed is not None:
            return self.fixed
        with one_budget():
            given = self.render(scope) if self.render else self.config
            given = with_values(given, {path: asks(scope) for path, asks in self.conditions.items()})
        return self.reaction.inputs.model_validate(given)

    def shown(self, inputs: sdk.Inputs) -> dict[str, Any]:
        """The inputs as they are stored and streamed: JSON, with secrets masked."""
        dumped = inputs.model_dump(mode="json")
        _mask(dumped, self.secrets)
        if self.inner:
            _mask(dumped["config"], self.inner.secrets)
        return dumped


def _mask(dumped: dict[str, Any], secrets: frozenset[str]) -> None:
    for name in secrets:
        if dumped.get(name) is not None:
            dumped[name] = "••••"


@dataclass(slots=True)
class Plan:
    """What a run of one version does."""

    version_id: UUID
    area_id: UUID
    area_name: str
    steps: list[PlanStep]
    enricher: sdk.Action | None = None
    """The action, where its events are enriched before they are run."""

    asks: list[str] = field(init=False)
    """Keys of the steps that ask for approval."""
    listens: bool = field(init=False)
    """Whether a step may wait for something else than a moment."""
    may_stop: bool = field(init=False)
    """Whether a step may end the run while others go on beside it."""

    def __post_init__(self) -> None:
        self.asks = [step.key for step in self.steps if step.reaction.control is sdk.Control.APPROVAL]
        reactions = [each.reaction for step in self.steps for each in (step, step.inner) if each]
        self.listens = any(one.control in (sdk.Control.APPROVAL, sdk.Control.CALL) for one in reactions)
        ends = any(step.reaction.control in (sdk.Control.APPROVAL, sdk.Control.END) for step in self.steps)
        # One after another, what ends the run is stored with the run's end.
        self.may_stop = ends and any(
            step.after != [before.position] for before, step in zip(self.steps, self.steps[1:], strict=False)
        )


def compile_plan(row: asyncpg.Record, registry: Registry) -> Plan:
    """Compile a row of `statements.VERSION`. Raises: PlanBroken."""
    positions = {reaction["key"]: index for index, reaction in enumerate(row["reactions"])}
    steps = []
    for index, stored in enumerate(row["reactions"]):
        try:
            steps.append(compile_step(index, stored, positions, row["mode"], registry))
        except (UnknownComponent, AreaError) as error:
            raise PlanBroken(f"Reaction {stored.get('key')!r} cannot run any more: {error}. Edit the AREA.") from None
    # An action that is gone has no bearing on a run that it started.
    action = registry.actions.get(row["action"]["action"])
    return Plan(row["id"], row["area_id"], row["name"], steps, action if action and action.enricher else None)


def compile_step(
    index: int, stored: dict[str, Any], positions: dict[str, int], mode: str, registry: Registry
) -> PlanStep:
    """Compile one stored reaction. Raises: PlanBroken, UnknownComponent, AreaError."""
    reaction = registry.reaction(stored["reaction"])
    by_mode = [] if mode == "parallel" or index == 0 else [index - 1]
    named = stored.get("after")
    step = PlanStep(
        position=index,
        key=stored["key"],
        reaction=reaction,
        account_id=UUID(stored["accountId"]) if stored.get("accountId") else None,
        when=compile_condition(stored["when"]) if stored.get("when") else None,
        after=by_mode if named is None else [positions[key] for key in named],
        stops=stored.get("onFailure", "stop") == "stop",
        attempts=(stored.get("retry") or {}).get("attempts", reaction.attempts),
        timeout=stored.get("timeoutSeconds") or reaction.timeout,
        **_inputs(reaction, stored["config"], stored["key"]),
    )
    if reaction.control is sdk.Control.EACH:
        step.inner = _inner(step, stored, registry)
        # The account is for what is done to each item.
        step.account_id = None
    return step


def _inputs(reaction: sdk.Reaction, given: dict[str, Any], key: str) -> dict[str, Any]:
    """The fields of a `PlanStep` that are about its inputs. Raises: PlanBroken, AreaError."""
    later = {name: given[name] for name in sdk.marked(reaction.inputs, sdk.Later) if name in given}
    asked = dict(conditions(reaction.inputs, given))
    config = with_values(given, dict.fromkeys(asked, False))
    render = compile_config(reaction.inputs, {name: value for name, value in config.items() if name not in later})
    fixed = None
    if render is None and not asked:
        try:
            fixed = reaction.inputs.model_validate(config)
        except ValidationError as error:
            raise PlanBroken(
                f"The settings of reaction {key!r} no longer fit {reaction.key}: {error}. Edit the AREA."
            ) from None
    return {
        "config": config,
        "render": (lambda scope: {**render(scope), **later}) if render and later else render,
        "conditions": {path: compile_condition(expression, path) for path, expression in asked.items()},
        "fixed": fixed,
        "secrets": frozenset(sdk.marked(reaction.inputs, sdk.Secret)),
    }


def _inner(step: PlanStep, stored: dict[str, Any], registry: Registry) -> PlanStep:
    """What a loop runs for each item. A failure is the loop's to judge."""
    given = stored["config"]
    reaction = registry.reaction(given["reaction"])
    return replace(
        step,
        reaction=reaction,
        when=compile_condition(given["when"]) if given.get("when") else None,
        stops=False,
        timeout=stored.get("timeoutSeconds") or reaction.timeout,
        **_inputs(reaction, given.get("config") or {}, step.key),
    )


class Plans:
    """Compiled plans by version id. A version never changes, so neither does its plan."""

    def __init__(self, pool: asyncpg.Pool, registry: Registry) -> None:
        self._pool = pool
        self._registry = registry
        self._kept: Lru[UUID, Plan] = Lru(PLANS_KEPT)

    async def get(self, version_id: UUID) -> Plan:
        """The plan of a version. Raises: PlanBroken."""
        plan = self._kept.get(version_id)
        if plan is None:
            row = await self._pool.fetchrow(statements.VERSION, version_id)
            if row is None:
                raise PlanBroken("The AREA of this run has been deleted.")
            plan = compile_plan(row, self._registry)
            self._kept.put(version_id, plan)
        return plan
