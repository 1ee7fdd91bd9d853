"""Strawberry's decorators with what they leave out: a method's own type, the frame of a mutation, the arguments of a page."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, cast

import strawberry

from area.core.errors import AreaError
from area.graphql.errors import user_errors
from area.graphql.pages import After, Before, First, Last, window

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

INPUT = strawberry.argument(description="What to do.")
"""The one argument of a mutation."""

_PAGE = [
    Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)
    for name, kind in {"first": First, "after": After, "last": Last, "before": Before}.items()
]


def resolved(*, description: str) -> Callable[[MethodT], MethodT]:
    """Decorator: this method resolves a field."""
    return cast(Callable[[MethodT], MethodT], strawberry.field(description=description))


def streamed(*, description: str) -> Callable[[MethodT], MethodT]:
    """Decorator: this async generator is a subscription."""
    return cast(Callable[[MethodT], MethodT], strawberry.subscription(description=description))


def mutates(payload: Callable[..., Any], *, description: str) -> Callable[[MethodT], MethodT]:
    """Decorator: this method is a mutation; an expected failure becomes the ``errors`` of a ``payload``."""

    def decorate(method: MethodT) -> MethodT:
        @wraps(method)
        async def answer(*given: Any, **named: Any) -> Any:
            try:
                return await method(*given, **named)
            except AreaError as error:
                return payload(errors=user_errors(error))

        return cast(MethodT, resolved(description=description)(answer))

    return decorate


def paged(parse: Callable[[str], object], *, description: str) -> Callable[[MethodT], MethodT]:
    """Decorator: this method resolves a connection. It takes ``asked``, a `Window`; clients see its four arguments.

    ``parse`` reads the key in a cursor, and raises ValueError when there is none.
    """

    def decorate(method: MethodT) -> MethodT:
        @wraps(method)
        async def page(
            self: Any,
            info: Any,
            *,
            first: int | None = None,
            after: str | None = None,
            last: int | None = None,
            before: str | None = None,
            **own: Any,
        ) -> Any:
            return await method(self, info, asked=window(parse, first, after, last, before), **own)

        shape = signature(method)
        kept = [given for name, given in shape.parameters.items() if name != "asked"]
        page.__signature__ = shape.replace(parameters=[*kept, *_PAGE])  # type: ignore[attr-defined]
        return cast(MethodT, resolved(description=description)(page))

    return decorate
