"""The two base models of a node, and the markers that annotate their fields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Inputs(BaseModel):
    """What a user fills in. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Outputs(BaseModel):
    """What a node hands to the steps after it. Every field has an example."""

    model_config = ConfigDict(defer_build=True)


OutT = TypeVar("OutT", bound=Outputs)


@dataclass(frozen=True, slots=True)
class Page(Generic[OutT]):
    """The items of one poll, and the provider's own cursor: any JSON value, given back as ``ctx.cursor``."""

    items: list[OutT]
    cursor: Any = None


class Marker:
    """Base of the markers: the class itself annotates a field and shows in its JSON Schema."""

    keyword: ClassVar[str]

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), cls.keyword: True}


class Identity(Marker):
    """The output field that makes an item the same item: its dedupe key."""

    keyword = "x-identity"


class Condition(Marker):
    """A ``bool`` input that is stored as a Liquid expression; the engine evaluates it and passes the bool."""

    keyword = "x-condition"


class NoTemplate(Marker):
    """An input that takes no templates: its value must be known when the AREA is saved."""

    keyword = "x-no-template"


class ServiceKey(Marker):
    """An input that names a service; an AREA with another name is not saved. With `NoTemplate`."""

    keyword = "x-service-key"


class ActionKey(Marker):
    """An input that names an action; an AREA with another name is not saved. With `NoTemplate`."""

    keyword = "x-action-key"


class Later(Marker):
    """An input of a `Control.EACH` reaction that is rendered for each item, with ``item`` and ``index``."""

    keyword = "x-later"


class Secret(Marker):
    """An input that is masked wherever it is shown."""

    keyword = "x-secret"


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an input; ``value`` is what is stored, ``label`` what is shown."""

    value: str | int
    label: str


@dataclass(frozen=True, slots=True)
class Choices:
    """An input whose choices come from the provider: ``async fn(ctx, so_far) -> list[Choice]``.

    ``so_far`` maps the names of the node's other inputs to what has been filled in. Other values are allowed too.
    """

    fn: Callable[..., Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-choices": True}


class EachInputs(Inputs):
    """What the inputs of a `Control.EACH` reaction have in common; each field is declared again, with its title."""

    items: list[Any]
    reaction: str
    config: dict[str, Any]
    when: str | None
    concurrency: int
    stops: bool


class Misfire(StrEnum):
    """What a schedule does with moments that passed while no scheduler ran: its inputs say so as ``misfire``."""

    ONCE = "once"
    ALL = "all"
    SKIP = "skip"


class Tick(Outputs):
    """The moment that a schedule fired for."""

    scheduled_at: Annotated[datetime, Identity] = Field(
        title="Scheduled at",
        description="The moment this run was due, in UTC.",
        examples=[datetime(2026, 3, 1, 8, 0, tzinfo=UTC)],
    )


def marked(model: type[BaseModel], marker: type[Marker] | type[Choices]) -> Iterator[str]:
    """Names of the fields that carry a marker."""
    for name, field in model.model_fields.items():
        if any(mark is marker or isinstance(mark, marker) for mark in field.metadata):
            yield name


def sample_of(model: type[BaseModel]) -> dict[str, Any]:
    """JSON-ready values from the fields' examples, or their defaults where there is no example."""
    values = {name: field.examples[0] for name, field in model.model_fields.items() if field.examples}
    return model.model_validate(values).model_dump(mode="json")
