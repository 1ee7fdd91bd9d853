"""A config against the model of its node: which fields are text, and where conditions are."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from area.core.errors import Path
from area.engine.filters import text_of
from area.engine.templates import Convert, Render, Scope, compile_value
from area.nodes import sdk


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
