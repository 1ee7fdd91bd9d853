"""A published version, compiled once: nodes resolved, templates and conditions parsed, order computed."""

from collections.abc import Callable
from dataclasses import dataclass
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
        for name in self.secrets:
            if dumped.get(name) is not None:
                dumped[name] = "••••"
        return dumped


@dataclass(slots=True)
class Plan:
    """What a run of one version does."""

    version_id: UUID
    area_id: UUID
    area_name: str
    steps: list[PlanStep]
    enricher: sdk.Action | None = None
    """The action, where its events are enriched before they are run."""


def compile_plan(row: asyncpg.Record, registry: Registry) -> Plan:
    """Compile a row of `statements.VERSION`. Raises: PlanBroken."""
    positions = {reaction["key"]: index for index, reaction in enumerate(row["reactions"])}
    steps = []
    for index, stored in enumerate(row["reactions"]):
        try:
            steps.append(_step(index, stored, positions, row["mode"], registry))
        except (UnknownComponent, AreaError) as error:
            raise PlanBroken(f"Reaction {stored.get('key')!r} cannot run any more: {error}. Edit the AREA.") from None
    # An action that is gone has no bearing on a run that it started.
    action = registry.actions.get(row["action"]["action"])
    return Plan(row["id"], row["area_id"], row["name"], steps, action if action and action.enricher else None)


def _step(index: int, stored: dict[str, Any], positions: dict[str, int], mode: str, registry: Registry) -> PlanStep:
    reaction = registry.reaction(stored["reaction"])
    asked = dict(conditions(reaction.inputs, stored["config"]))
    config = with_values(stored["config"], dict.fromkeys(asked, False))
    render = compile_config(reaction.inputs, config)
    fixed = None
    if render is None and not asked:
        try:
            fixed = reaction.inputs.model_validate(config)
        except ValidationError as error:
            raise PlanBroken(
                f"The settings of reaction {stored['key']!r} no longer fit {reaction.key}: {error}. Edit the AREA."
            ) from None
    by_mode = [] if mode == "parallel" or index == 0 else [index - 1]
    named = stored.get("after")
    return PlanStep(
        position=index,
        key=stored["key"],
        reaction=reaction,
        account_id=UUID(stored["accountId"]) if stored.get("accountId") else None,
        config=config,
        render=render,
        conditions={path: compile_condition(expression, path) for path, expression in asked.items()},
        fixed=fixed,
        secrets=frozenset(sdk.marked(reaction.inputs, sdk.Secret)),
        when=compile_condition(stored["when"]) if stored.get("when") else None,
        after=by_mode if named is None else [positions[key] for key in named],
        stops=stored.get("onFailure", "stop") == "stop",
        attempts=(stored.get("retry") or {}).get("attempts", 5),
        timeout=stored.get("timeoutSeconds") or reaction.timeout,
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
