"""A config against the model of its node: what is wrong with it, which fields are text, and where conditions are."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from area.core.errors import AreaError, InvalidInput, Path
from area.engine.filters import text_of
from area.engine.references import Kind, check_condition, check_value, item_kind
from area.engine.templates import Convert, Render, Scope, compile_value, is_template, parsed, whole_output
from area.nodes import sdk
from area.nodes.registry import Registry, UnknownComponent


def compile_config(model: type[BaseModel], config: Mapping[str, Any]) -> Render | None:
    """How to render a config, or None when it holds no template. Fields for text get text. Raises: InvalidInput."""
    made = {name: compile_value(value, (name,), convert=_convert(model, name)) for name, value in config.items()}
    if not any(made.values()):
        return None

    def render(scope: Scope) -> dict[str, Any]:
        return {name: (field(scope) if field else config[name]) for name, field in made.items()}

    return render


def conditions(model: type[BaseModel], config: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Where a config holds conditions: in fields marked so, at the top or in the items of a list."""
    for name in sdk.marked(model, sdk.Condition):
        if isinstance(config.get(name), str):
            yield (*path, name), config[name]
    for name, field in model.model_fields.items():
        item, value = _item_model(field.annotation), config.get(name)
        if item is not None and isinstance(value, list):
            for index, part in enumerate(value):
                if isinstance(part, dict):
                    yield from conditions(item, part, (*path, name, index))


def with_values(config: Any, values: Mapping[Path, Any]) -> Any:
    """A copy of ``config`` with these values at their places; what lies elsewhere is shared."""
    for path, value in values.items():
        config = _put(config, path, value)
    return config


def _put(here: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    copied: Any = dict(here) if isinstance(here, dict) else list(here)
    copied[path[0]] = _put(here[path[0]], path[1:], value)
    return copied


def _item_model(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is list:
        item = get_args(annotation)[0]
        if isinstance(item, type) and issubclass(item, BaseModel):
            return item
    return None


def _convert(model: type[BaseModel], name: str) -> Convert | None:
    field = model.model_fields.get(name)
    annotation: Any = field.annotation if field else None
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = [option for option in options if option is not type(None)]
    if not kinds or not all(_is_text(kind) for kind in kinds):
        return None
    if any(kind is not str for kind in kinds):
        return _inner_text
    return _text_or_nothing if len(kinds) < len(options) else text_of


def _is_text(annotation: Any) -> bool:
    """Text, or a list or map of it."""
    return annotation is str or (get_origin(annotation) in (list, dict) and get_args(annotation)[-1] is str)


def _text_or_nothing(value: Any) -> str | None:
    return None if value is None else text_of(value)


def _inner_text(value: Any) -> Any:
    return value if value is None or isinstance(value, list | dict) else text_of(value)


def check_config(
    registry: Registry, reaction: sdk.Reaction, config: dict[str, Any], known: Mapping[str, Kind], path: Path
) -> Iterator[AreaError]:
    """Every problem of a reaction's config. ``known`` says what its templates see."""
    asked = dict(conditions(reaction.inputs, config))
    for where, expression in asked.items():
        yield from check_condition(expression, known, (*path, *where))
    given = with_values(config, dict.fromkeys(asked, True))
    fixed, later = (set(sdk.marked(reaction.inputs, marker)) for marker in (sdk.NoTemplate, sdk.Later))
    for name, value in given.items():
        if name not in later:
            yield from _check_field(reaction.inputs, name, value, name in fixed, known, (*path, name))
    if reaction.control is sdk.Control.EACH:
        yield from _check_each(registry, config, known, path)
    try:
        reaction.inputs.model_validate(given)
    except ValidationError as error:
        # What a template will give is only known when it runs; everything else is judged now.
        absent = ("missing", "extra_forbidden")
        found = {(*path, *problem["loc"]) for problem in error.errors() if problem["type"] in absent}
        for problem in told(error, reaction.inputs, path):
            if tuple(problem.path) in found or not _is_open(_at(given, problem.path[len(path) :])):
                yield problem


def _check_field(
    model: type[BaseModel], name: str, value: Any, is_fixed: bool, known: Mapping[str, Kind], path: Path
) -> Iterator[InvalidInput]:
    yield from check_value(value, known, path)
    if is_fixed and _is_open(value):
        yield InvalidInput("This field takes no template: its value must be known when you save.", path=path)
    field = model.model_fields.get(name)
    if field is None or get_origin(field.annotation) not in (list, dict) or not isinstance(value, str):
        return
    try:
        if is_template(value) and whole_output(parsed(value, path)) is None:
            yield InvalidInput(
                "A list or an object is wanted here, and text around a template makes text: write one {{ … }} and no more.",
                path=path,
            )
    except InvalidInput:
        return  # told above


def _check_each(
    registry: Registry, config: dict[str, Any], known: Mapping[str, Kind], path: Path
) -> Iterator[AreaError]:
    """The reaction inside a loop, as if it were one of its own, with the item in its sight."""
    name, inner = config.get("reaction"), config.get("config", {})
    if not isinstance(name, str):
        return
    try:
        reaction = registry.reaction(name)
    except UnknownComponent as error:
        where = (*path, "reaction")
        yield InvalidInput(str(error), path=where, suggestion=error.suggestion, code="UNKNOWN_REACTION")
        return
    if reaction.control not in (None, sdk.Control.CALL):
        message = f"{name} steers the run as a whole, so it cannot be done for each item."
        yield InvalidInput(message, path=(*path, "reaction"))
    within = {**known, "item": item_kind(config.get("items"), known), "index": int}
    if isinstance(config.get("when"), str):
        yield from check_condition(config["when"], within, (*path, "when"))
    if isinstance(inner, dict):
        yield from check_config(registry, reaction, inner, within, (*path, "config"))
    else:
        yield InvalidInput(
            "The inputs of the reaction are an object, whose values may be templates.", path=(*path, "config")
        )


def acting(registry: Registry, key: str, config: Mapping[str, Any]) -> sdk.Reaction | None:
    """The reaction that acts, and may need an account: inside a loop that is what is run for each item."""
    found = registry.reactions.get(key)
    if found is not None and found.control is sdk.Control.EACH:
        return registry.reactions.get(str(config.get("reaction")))
    return found


def _is_open(value: Any) -> bool:
    """Whether ``value`` holds a template, so that it is not known before it runs."""
    try:
        return compile_value(value) is not None
    except InvalidInput:
        return True


def _at(value: Any, path: Path) -> Any:
    """What lies at ``path``, or on the way to it where Pydantic has names of its own."""
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            break
    return value


def told(error: ValidationError, model: type[sdk.Inputs], path: Path) -> Iterator[InvalidInput]:
    """Pydantic's findings in our words, with a suggestion for misspelled fields."""
    for problem in error.errors():
        where = (*path, *problem["loc"])
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(name, model.model_fields, n=1, cutoff=0.5)
            listed = ", ".join(model.model_fields) or "none"
            message = f"There is no field {name!r}; the fields are {listed}."
            yield InvalidInput(message, path=where, suggestion=near[0] if near else None, code="UNKNOWN_FIELD")
        elif problem["type"] == "missing":
            examples = model.model_fields[name].examples if name in model.model_fields else None
            hint = str(examples[0]) if examples else None
            yield InvalidInput(f"{name} is required.", path=where, suggestion=hint, code="REQUIRED_FIELD")
        else:
            yield InvalidInput(f"{problem['msg']}.", path=where)
