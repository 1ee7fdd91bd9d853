"""Form fields for an editor, derived from the JSON Schema of a node's inputs."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.errors import AreaError, LimitReached
from area.core.ids import uuid_of
from area.engine.connections.choices import Component, ProviderUnavailable, choices_of
from area.graphql.context import Info
from area.graphql.fields import resolved
from area.graphql.limits import refused
from area.graphql.pages import bad_input

Schema = Mapping[str, Any]
MOST_ASKED = 20
"""Fields of one operation whose choices providers are asked for."""


@strawberry.interface(description="One input of an action or a reaction, as an editor shows it.")
class FormField:
    """One input of an action or a reaction."""

    key: str = field(description="The name in `config`.")
    label: str = field(description="What to call it.")
    help: str = field(description="What it is for; may be empty.")
    is_required: bool = field(description="Whether it must be filled in.")
    accepts_template: bool = field(description="Whether it may hold templates such as {{ event.title }}.")
    default: JSON | None = field(description="The value when it is left out.")
    examples: list[JSON] = field(description="Values that make sense.")


@strawberry.type(description="A line or a block of text.")
class TextField(FormField):
    """A line or a block of text."""

    is_secret: bool = field(description="Whether to mask it.")
    is_multiline: bool = field(description="Whether it usually has several lines.")
    format: str | None = field(description="What the text is, such as uri or email.")
    pattern: str | None = field(description="Regular expression that it must match.")
    min_length: int | None = field(description="Fewest characters.")
    max_length: int | None = field(description="Most characters.")


@strawberry.type(description="A number.")
class NumberField(FormField):
    """A number."""

    is_integer: bool = field(description="Whether it is a whole number.")
    minimum: float | None = field(description="The least it may be.")
    maximum: float | None = field(description="The most it may be.")


@strawberry.type(description="Yes or no.")
class BooleanField(FormField):
    """Yes or no."""


@strawberry.type(description="One choice of a ChoiceField.")
class ChoiceOption:
    """One choice of a ChoiceField."""

    value: JSON = field(description="What to put into `config`.")
    label: str = field(description="What to show.")


@strawberry.type(description="One of several known values.")
class ChoiceField(FormField):
    """One of several known values."""

    component: strawberry.Private[Component | None]
    static: strawberry.Private[list[ChoiceOption]]
    is_dynamic: bool = field(description="Whether the provider is asked for the choices.")
    accepts_other: bool = field(description="Whether other values than the choices may be given.")

    @resolved(
        description="The choices. Dynamic ones are asked from the provider with `accountId`, and depend on the other inputs "
        "so far, `config`; null, with an error, when it cannot say."
    )
    async def options(
        self,
        info: Info,
        account_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Whose choices; needed where an account is.")
        ] = None,
        config: Annotated[JSON | None, strawberry.argument(description="The node's inputs so far, an object.")] = None,
    ) -> list[ChoiceOption] | None:
        """The choices."""
        if self.component is None:
            return self.static
        return await offered(info, self.component, self.key, account_id, config)


@strawberry.type(description="A moment, as ISO 8601 text.")
class DateTimeField(FormField):
    """A moment."""


@strawberry.type(description="Several values of one kind.")
class ListField(FormField):
    """Several values of one kind."""

    item: FormField | None = field(description="What each value is; null when anything goes.")
    min_items: int | None = field(description="Fewest values.")
    max_items: int | None = field(description="Most values.")


@strawberry.type(description="Names and values, or an object with fields of its own.")
class MapField(FormField):
    """Names and values, or an object with fields of its own."""

    fields: list[FormField] = field(description="The object's fields; empty when the names are free.")


@strawberry.type(description="Code, such as a condition.")
class CodeField(FormField):
    """Code, such as a condition."""

    language: str = field(description="The language, such as liquid or json.")


FIELD_TYPES = (TextField, NumberField, BooleanField, ChoiceField, DateTimeField, ListField, MapField, CodeField)


def form_fields(
    schema: Schema, component: Component | None = None, *, accepts_templates: bool = True
) -> list[FormField]:
    """The fields of a model's JSON Schema, in its order; those of ``component`` may ask its provider for choices."""
    fields = _fields(schema, schema.get("$defs", {}), depth=0)
    if component is not None:
        for number, (name, given) in enumerate(zip(schema.get("properties", {}), fields, strict=True)):
            if name in choices_of(component.inputs):
                fields[number] = _dynamic(given, component)
    if not accepts_templates:
        for given in fields:
            given.accepts_template = False
    return fields


async def offered(
    info: Info, component: Component, name: str, account_id: str | None, config: object
) -> list[ChoiceOption]:
    """What a provider offers for an input. Raises: GraphQLError."""
    context = info.context
    row_id = uuid_of(account_id, "ConnectedAccount") if account_id else None
    if account_id and row_id is None:
        bad_input("There is no such connected account of yours.")
    if not isinstance(config, dict | None):
        bad_input("`config` must be an object.")
    context.asked_providers += 1
    if context.asked_providers > MOST_ASKED:
        bad_input(f"One operation may ask providers for the choices of {MOST_ASKED} fields.")
    try:
        found = await context.platform.offers.of(component, name, context.user_id, row_id, config or {})
    except LimitReached as error:
        raise refused("RATE_LIMITED", error.message) from None
    except ProviderUnavailable as error:
        raise refused("PROVIDER_UNAVAILABLE", error.message) from None
    except AreaError as error:
        raise refused("BAD_USER_INPUT", error.message) from None
    return [ChoiceOption(value=cast(JSON, choice.value), label=choice.label) for choice in found]


def _dynamic(given: FormField, component: Component) -> FormField:
    """A field whose choices the provider has: the field itself, or what its list consists of."""
    if isinstance(given, ListField):
        given.item = _dynamic(given.item, component) if given.item else None
        if isinstance(given.item, ChoiceField):
            given.item.key = given.key
        return given
    return ChoiceField(
        key=given.key,
        label=given.label,
        help=given.help,
        is_required=given.is_required,
        accepts_template=given.accepts_template,
        default=given.default,
        examples=given.examples,
        component=component,
        static=[],
        is_dynamic=True,
        accepts_other=True,
    )


def _fields(schema: Schema, definitions: Schema, depth: int) -> list[FormField]:
    required = set(schema.get("required", ()))
    return [
        _field(key, part, definitions, is_required=key in required, depth=depth)
        for key, part in schema.get("properties", {}).items()
    ]


def _field(key: str, given: Schema, definitions: Schema, *, is_required: bool, depth: int) -> FormField:
    schema = _resolved(given, definitions)
    kind = schema.get("type")
    common: dict[str, Any] = {
        "key": key,
        "label": schema.get("title") or key.replace("_", " ").capitalize(),
        "help": schema.get("description", ""),
        "is_required": is_required,
        "accepts_template": kind in ("string", "array", "object", None) and not schema.get("x-no-template"),
        "default": schema.get("default"),
        "examples": schema.get("examples", []),
    }
    if schema.get("x-condition"):
        return CodeField(**common, language="liquid")
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        options = [ChoiceOption(value=value, label=_label(value)) for value in values]
        return ChoiceField(**common, component=None, static=options, is_dynamic=False, accepts_other=False)
    if kind == "boolean":
        return BooleanField(**common)
    if kind in ("integer", "number"):
        return NumberField(
            **common,
            is_integer=kind == "integer",
            minimum=schema.get("minimum", schema.get("exclusiveMinimum")),
            maximum=schema.get("maximum", schema.get("exclusiveMaximum")),
        )
    if kind == "string" and schema.get("format") == "date-time":
        return DateTimeField(**common)
    if kind == "array":
        return _list_field(common, schema, definitions, depth)
    if kind == "object":
        return MapField(**common, fields=_fields(schema, definitions, depth + 1) if depth < 3 else [])
    if kind is None:
        return CodeField(**common, language="json")
    return TextField(
        **common,
        is_secret=bool(schema.get("x-secret")),
        is_multiline=schema.get("format") == "textarea" or schema.get("maxLength", 0) > 500,
        format=schema.get("format"),
        pattern=schema.get("pattern"),
        min_length=schema.get("minLength"),
        max_length=schema.get("maxLength"),
    )


def _list_field(common: dict[str, Any], schema: Schema, definitions: Schema, depth: int) -> ListField:
    items = schema.get("items")
    item = _field("item", items, definitions, is_required=True, depth=depth + 1) if items and depth < 3 else None
    return ListField(**common, item=item, min_items=schema.get("minItems"), max_items=schema.get("maxItems"))


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """The schema without reference or alternatives: of several types the first that is not null."""
    seen = 0
    while seen < 5:
        if "$ref" in schema:
            found = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
            schema = {**found, **{name: value for name, value in schema.items() if name != "$ref"}}
        elif "anyOf" in schema or "oneOf" in schema:
            options = schema.get("anyOf") or schema.get("oneOf") or []
            chosen: Schema = next((option for option in options if option.get("type") != "null"), {})
            schema = {**chosen, **{name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}}
        else:
            break
        seen += 1
    return schema


def _label(value: object) -> str:
    text = str(value)
    return text.replace("_", " ").capitalize() if text.islower() else text
