"""Strawberry's decorators with the types that they leave out: the method keeps its own signature."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def resolved(*, description: str) -> Callable[[MethodT], MethodT]:
    """Decorator: this method resolves a field."""
    return cast(Callable[[MethodT], MethodT], strawberry.field(description=description))


def streamed(*, description: str) -> Callable[[MethodT], MethodT]:
    """Decorator: this async generator is a subscription."""
    return cast(Callable[[MethodT], MethodT], strawberry.subscription(description=description))
