"""A service whose reactions keep no promise."""

import asyncio
from typing import Any

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(key="strange", name="Strange", description="Keeps no promise.")


class Given(sdk.Inputs):
    """Anything."""

    value: Any = Field(None, title="Value", description="Anything.", examples=[1])


class Promised(sdk.Outputs):
    """A number."""

    number: int = Field(title="Number", description="A number.", examples=[7])


class Anything(sdk.Outputs):
    """Anything."""

    value: Any = Field(None, title="Value", description="Anything.", examples=[1])


class _Unknown:
    def __repr__(self) -> str:
        return "unknown"


def nested(levels: int) -> Any:
    """A value with so many lists in one another."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "surrogate": "a\ud800b",
    "nul": {"k\x00": "a\x00b"},
    "large": 2**70,
    "infinite": float("inf"),
    "shallow": nested(90),
}
UNFIT: dict[str, Any] = {"deep": nested(150), "deeper": nested(2000), "object": _Unknown()}


@service.reaction("Value", idempotent=True, pure=True)
async def value(ctx: sdk.Context, given: Given) -> Anything:
    """Answers with a value that JSON or Postgres has trouble with."""
    return Anything.model_construct(value={**VALUES, **UNFIT}[given.value])


@service.reaction("Megabytes", idempotent=True, pure=True)
async def megabytes(ctx: sdk.Context, given: Given) -> Anything:
    """Answers with far too much."""
    return Anything(value="x" * 5_000_000)


@service.reaction("Never", idempotent=False, timeout=600)
async def never(ctx: sdk.Context, given: Given) -> Anything:
    """Does not answer."""
    await asyncio.Event().wait()
    raise AssertionError


@service.reaction("Other", idempotent=True, pure=True)
async def other(ctx: sdk.Context, given: Given) -> Promised:
    """Answers with something else than it promised."""
    answers: dict[str, Any] = {"none": None, "text": "seven", "wrong": {"number": "seven"}, "missing": {}, "list": [1]}
    answer: Promised = answers[given.value]
    return answer


@service.reaction("Break", idempotent=True, pure=True)
async def breaks(ctx: sdk.Context, given: Given) -> Anything:
    """Raises what nobody expects."""
    errors: dict[str, BaseException] = {
        "recursion": RecursionError("too deep"),
        "memory": MemoryError(),
        "exit": SystemExit(1),
        "cancel": asyncio.CancelledError(),
        "odd": sdk.Rejected({"not": "text"}),  # type: ignore[arg-type]
        "message": ValueError("a\ud800b\x00"),
    }
    raise errors[given.value]


@service.reaction("Log", idempotent=True, pure=True)
async def logs(ctx: sdk.Context, given: Given) -> Anything:
    """Writes lines that cannot be stored as they are."""
    ctx.log("a\ud800b\x00", level="no\x00 level at all, and long", value=nested(300), large=2**70, odd=_Unknown())
    return Anything()


@service.reaction("Tell", idempotent=True, pure=True)
async def tells(ctx: sdk.Context, given: Given) -> Anything:
    """Writes a line with as much as it is told."""
    ctx.log("much", text="z" * given.value)
    return Anything()


@service.reaction("Hear", idempotent=True, pure=True)
async def hears(ctx: sdk.Context, given: Given) -> Anything:
    """Answers with the length of what it is told."""
    return Anything(value=len(given.value))
