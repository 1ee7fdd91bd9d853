"""A service: one provider's actions and reactions, declared by decorators on plain functions."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from area.nodes.sdk.components import Action, Delivery, Reaction
from area.nodes.sdk.models import Inputs, Outputs, Page, Tick
from area.nodes.sdk.webhooks import Verify

Function = Callable[..., Any]
ModelT = TypeVar("ModelT", Inputs, Outputs)


@dataclass(eq=False)
class Service:
    """One provider. ``raise_for_status`` lets the engine map failing statuses before the node sees them."""

    key: str
    name: str
    description: str
    base_url: str | None = None
    auth: Any = None
    docs_url: str | None = None
    raise_for_status: bool = True
    actions: dict[str, Action] = field(default_factory=dict, init=False, repr=False)
    reactions: dict[str, Reaction] = field(default_factory=dict, init=False, repr=False)

    def poll(self, title: str, *, every: timedelta) -> Callable[[Function], Action]:
        """Decorate ``async fn(ctx, where) -> list[Out] | Page[Out]``, called once in ``every``."""

        def declare(fn: Function) -> Action:
            return self._action(fn, title, Delivery.POLL, 1, _returned(fn), every=every)

        return declare

    def webhook(self, title: str, *, verify: Verify) -> Callable[[Function], Action]:
        """Decorate ``fn(where, delivery) -> Out | None``; None means that the delivery fires nothing."""

        def declare(fn: Function) -> Action:
            return self._action(fn, title, Delivery.WEBHOOK, 0, _returned(fn), verify=verify)

        return declare

    def schedule(self, title: str) -> Callable[[Function], Action]:
        """Decorate ``fn(where, after) -> datetime | None``: the next due moment strictly after ``after``, in UTC."""

        def declare(fn: Function) -> Action:
            return self._action(fn, title, Delivery.SCHEDULE, 0, Tick)

        return declare

    def internal(self, title: str) -> Callable[[Function], Action]:
        """Decorate ``fn(where, payload: Out) -> bool``: whether an event of the platform itself matches."""

        def declare(fn: Function) -> Action:
            return self._action(fn, title, Delivery.MANUAL, 0, _parameter(fn, 1, Outputs))

        return declare

    def reaction(
        self,
        title: str,
        *,
        idempotent: bool | Callable[[Any], bool],
        timeout: float = 30.0,
        pure: bool = False,
    ) -> Callable[[Function], Reaction]:
        """Decorate ``async fn(ctx, inputs) -> Out``. ``pure`` means that nothing outside the run changes."""

        def declare(fn: Function) -> Reaction:
            reaction = Reaction(
                key=self._key(fn),
                name=title,
                description=_description(fn),
                service=self,
                inputs=_parameter(fn, 1, Inputs),
                outputs=_returned(fn),
                fn=fn,
                idempotent=idempotent,
                pure=pure,
                timeout=timeout,
            )
            self.reactions[reaction.key] = reaction
            return reaction

        return declare

    def _action(
        self,
        fn: Function,
        title: str,
        delivery: Delivery,
        position: int,
        outputs: type[Outputs],
        *,
        every: timedelta | None = None,
        verify: Verify | None = None,
    ) -> Action:
        action = Action(
            key=self._key(fn),
            name=title,
            description=_description(fn),
            service=self,
            delivery=delivery,
            inputs=_parameter(fn, position, Inputs),
            outputs=outputs,
            fn=fn,
            every=every,
            verify=verify,
        )
        self.actions[action.key] = action
        return action

    def _key(self, fn: Function) -> str:
        key = f"{self.key}.{fn.__name__.rstrip('_')}"
        if key in self.actions or key in self.reactions:
            raise TypeError(f"{key} is declared twice: rename one of the functions")
        return key


def _description(fn: Function) -> str:
    text = inspect.getdoc(fn)
    if not text:
        raise TypeError(f"{fn.__qualname__} has no docstring: it is the description that users read")
    return " ".join(text.split())


def _parameter(fn: Function, position: int, base: type[ModelT]) -> type[ModelT]:
    names = list(inspect.signature(fn).parameters)
    model = get_type_hints(fn).get(names[position]) if len(names) > position else None
    if not (isinstance(model, type) and issubclass(model, base)):
        raise TypeError(
            f"parameter {position + 1} of {fn.__qualname__} must be annotated with a sdk.{base.__name__} model"
        )
    return model


def _returned(fn: Function) -> type[Outputs]:
    hint = get_type_hints(fn).get("return", Any)
    if hint is NoneType:
        return Outputs
    model = _unwrap(hint)
    if model is None:
        raise TypeError(f"{fn.__qualname__} must be annotated to return a sdk.Outputs model, a list or a Page of one")
    return model


def _unwrap(hint: Any) -> type[Outputs] | None:
    """The model in ``Out``, ``Out | None``, ``list[Out]``, ``Page[Out]`` or a union of those."""
    if isinstance(hint, type) and issubclass(hint, Outputs):
        return hint
    if get_origin(hint) in (list, Page, Union, UnionType):
        return next((model for model in map(_unwrap, get_args(hint)) if model is not None), None)
    return None
