"""What is checked when an AREA is saved: names, fields, templates, conditions, order. Every problem is told at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from pydantic import ValidationError

from area.core.errors import AreaError, InvalidInput, Path
from area.engine.configs import check_config, told
from area.engine.references import check_condition
from area.nodes import sdk
from area.nodes.registry import Registry, UnknownComponent

_KEY = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
MAX_TIMEOUT = 600


class _Reaction(Protocol):
    reaction: str
    config: dict[str, Any]
    key: str | None
    when: str | None
    after: list[str] | None
    on_failure: str
    retry: dict[str, Any] | None
    timeout_seconds: int | None


class _ActionDraft(Protocol):
    @property
    def action(self) -> str: ...
    @property
    def config(self) -> dict[str, Any]: ...


class _Draft(_ActionDraft, Protocol):
    @property
    def reactions(self) -> "list[Any]": ...
    @property
    def mode(self) -> str: ...
    @property
    def max_concurrent_runs(self) -> int | None: ...


@dataclass
class Checked:
    """A draft that may be saved: its action resolved, its inputs valid, every reaction named."""

    action: sdk.Action
    where: sdk.Inputs
    keys: list[str]
    account: sdk.Account | None = None
    """The account that the action acts for."""
    baseline: dict[str, Any] | None = None
    """Where the cursor of its source begins, unless the source is watched already; None: where its first look finds it."""


def check_draft(registry: Registry, draft: _Draft, max_reactions: int, problems: list[AreaError]) -> Checked | None:
    """Add every problem of ``draft`` to ``problems``; the answer is None when its action is unusable."""
    if draft.max_concurrent_runs is not None and draft.max_concurrent_runs < 1:
        problems.append(InvalidInput("At least one run at once.", path=("maxConcurrentRuns",)))
    action, where = check_action(registry, draft, problems)
    keys = _keys(draft.reactions, max_reactions, problems)
    known: dict[str, Any] = {
        "trigger": action.outputs if action else _Anything(),
        "steps": {},
        "run": _run(registry, draft.reactions, keys),
    }
    for index, reaction in enumerate(draft.reactions[:max_reactions]):
        path: Path = ("reactions", index)
        problems.extend(_order(reaction, index, keys, path))
        visible = {**known, "steps": _visible(known["steps"], reaction, index, keys, draft.mode)}
        found = _reaction(registry, reaction, path, problems)
        if reaction.when is not None:
            problems.extend(check_condition(reaction.when, visible, (*path, "when")))
        if found is not None:
            problems.extend(check_config(registry, found, reaction.config, visible, (*path, "config")))
            known["steps"][keys[index]] = found.outputs
        else:
            known["steps"][keys[index]] = _Anything()
    return Checked(action, where, keys) if action and where is not None else None


def check_action(
    registry: Registry, draft: _ActionDraft, problems: list[AreaError]
) -> tuple[sdk.Action | None, sdk.Inputs | None]:
    """The draft's action and its inputs, where they are usable; else why not is added to ``problems``."""
    action = _action(registry, draft, problems)
    where = _where(action, draft.config, problems) if action else None
    if action and where is not None:
        unknown = list(_unknown(registry, action, where))
        problems.extend(unknown)
        where = None if unknown else where
    return action, where


class _Anything:
    """Stands for outputs that are not known, so that one wrong name is told once."""


def _run(registry: Registry, reactions: list[_Reaction], keys: list[str]) -> dict[str, Any]:
    """What templates know of their run."""
    asking = [
        key
        for key, reaction in zip(keys, reactions, strict=True)
        if (found := registry.reactions.get(reaction.reaction)) and found.control is sdk.Control.APPROVAL
    ]
    return {"id": str, "is_test": bool, "area": {"id": str, "name": str}, "approvals": dict.fromkeys(asking, str)}


def _action(registry: Registry, draft: _ActionDraft, problems: list[AreaError]) -> sdk.Action | None:
    try:
        return registry.action(draft.action)
    except UnknownComponent as error:
        problems.append(
            InvalidInput(str(error), path=("action", "action"), suggestion=error.suggestion, code="UNKNOWN_ACTION")
        )
        return None


def _reaction(registry: Registry, reaction: _Reaction, path: Path, problems: list[AreaError]) -> sdk.Reaction | None:
    try:
        return registry.reaction(reaction.reaction)
    except UnknownComponent as error:
        where = (*path, "reaction")
        problems.append(InvalidInput(str(error), path=where, suggestion=error.suggestion, code="UNKNOWN_REACTION"))
        return None


def _where(action: sdk.Action, config: dict[str, Any], problems: list[AreaError]) -> sdk.Inputs | None:
    path: Path = ("action", "config")
    try:
        where = action.inputs.model_validate(config)
        if action.checker:
            action.checker(where)
    except ValidationError as error:
        problems.extend(told(error, action.inputs, path))
        return None
    except sdk.InvalidInput as error:
        problems.append(InvalidInput(error.message, path=(*path, error.field), suggestion=error.suggestion))
        return None
    return where


def _unknown(registry: Registry, action: sdk.Action, where: sdk.Inputs) -> Iterator[InvalidInput]:
    """Inputs that name a service or an action that does not exist: the AREA would never run."""
    known: tuple[tuple[type[sdk.ServiceKey | sdk.ActionKey], str, Callable[[str], object]], ...] = (
        (sdk.ServiceKey, "service", registry.service),
        (sdk.ActionKey, "action", registry.action),
    )
    for marker, kind, find in known:
        for field in sdk.marked(action.inputs, marker):
            value = getattr(where, field)
            if value is None:
                continue
            try:
                find(value)
            except UnknownComponent as error:
                yield InvalidInput(
                    f"There is no {kind} {value[:60]!r}.",
                    path=("action", "config", field),
                    suggestion=error.suggestion,
                    code=f"UNKNOWN_{kind.upper()}",
                )


def _keys(reactions: list[Any], max_reactions: int, problems: list[AreaError]) -> list[str]:
    if not reactions:
        problems.append(
            InvalidInput("An AREA needs at least one reaction.", path=("reactions",), suggestion="flow.log")
        )
    if len(reactions) > max_reactions:
        told_limit = f"An AREA has at most {max_reactions} reactions; this one has {len(reactions)}."
        problems.append(InvalidInput(told_limit, path=("reactions",)))
    keys: list[str] = []
    for index, reaction in enumerate(reactions):
        key = reaction.key
        if key is None:
            base = re.sub(r"[^a-z0-9_]", "_", reaction.reaction.rpartition(".")[2].lower())[:30] or "step"
            base = base if base[0].isalpha() else f"step_{base}"
            key, number = base, 1
            while key in keys:
                number += 1
                key = f"{base}_{number}"
        elif not _KEY.match(key):
            message = f"{key[:60]!r} is no key: a lower-case letter first, then letters, digits and _, 40 at most."
            problems.append(InvalidInput(message, path=("reactions", index, "key")))
        elif key in keys:
            message = f"Two reactions have the key {key!r}; each needs its own."
            problems.append(InvalidInput(message, path=("reactions", index, "key"), suggestion=f"{key}_2"))
        keys.append(key)
    return keys


def _order(reaction: _Reaction, index: int, keys: list[str], path: Path) -> Iterator[InvalidInput]:
    for place, name in enumerate(reaction.after or []):
        if name not in keys[:index]:
            near = get_close_matches(name, keys[:index], n=1)
            yield InvalidInput(
                f"{name!r} is no reaction before this one.",
                path=(*path, "after", place),
                suggestion=near[0] if near else None,
            )
    if reaction.on_failure not in ("stop", "continue"):
        yield InvalidInput("What a failure does is stop or continue.", path=(*path, "onFailure"))
    attempts = (reaction.retry or {}).get("attempts", 1)
    if not 1 <= attempts <= sdk.MAX_ATTEMPTS:
        yield InvalidInput(f"Between 1 and {sdk.MAX_ATTEMPTS} attempts.", path=(*path, "retry", "attempts"))
    if reaction.timeout_seconds is not None and not 1 <= reaction.timeout_seconds <= MAX_TIMEOUT:
        yield InvalidInput(f"Between 1 and {MAX_TIMEOUT} seconds.", path=(*path, "timeoutSeconds"))


def _visible(steps: Mapping[str, Any], reaction: _Reaction, index: int, keys: list[str], mode: str) -> dict[str, Any]:
    """The earlier steps that are sure to have ended: all in sequence, else those that this one waits for."""
    if reaction.after is None:
        return dict(steps) if mode == "sequential" else {}
    return {key: output for key, output in steps.items() if key in keys[:index]}
