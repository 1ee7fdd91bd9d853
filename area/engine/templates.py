"""Liquid templates and conditions: checked when an AREA is saved, compiled once a version, rendered with limits."""

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError
from pydantic import BaseModel

from area.core.errors import InvalidInput, Path

Scope = Mapping[str, Any]
Render = Callable[[Scope], Any]

MAX_TEMPLATE = 100_000
"""Longest template text, in characters."""

_WHOLE = re.compile(r"^\s*\{\{-?\s*([A-Za-z_][\w-]*(?:\.[\w-]+|\[\d+\]|\[\"[^\"]*\"\]|\['[^']*'\])*)\s*-?\}\}\s*$")


class _Limited(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = 256 * 1024
    context_depth_limit = 30
    local_namespace_limit = 256 * 1024


_environment = _Limited()


class TemplateFailed(Exception):
    """A template could not be rendered: a limit was passed, or a filter met a value it cannot take."""


def _parse(text: str, path: Path) -> BoundTemplate:
    if len(text) > MAX_TEMPLATE:
        raise InvalidInput(f"This template has {len(text)} characters; {MAX_TEMPLATE} is the most.", path=path)
    try:
        return _environment.from_string(text)
    except LiquidError as error:
        raise InvalidInput(
            f"This template does not parse: {error.args[0]}", path=path, code="TEMPLATE_SYNTAX"
        ) from None


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def compile_value(value: Any, path: Path = ()) -> Render | None:
    """How to render ``value``, or None when it holds no template. A whole reference keeps its type.

    Raises: InvalidInput when a template does not parse.
    """
    if isinstance(value, str):
        return _compile_text(value, path) if _is_template(value) else None
    if isinstance(value, dict):
        parts = {key: compile_value(item, (*path, key)) for key, item in value.items()}
        if not any(parts.values()):
            return None
        return lambda scope: {key: (made(scope) if made else value[key]) for key, made in parts.items()}
    if isinstance(value, list):
        items = [compile_value(item, (*path, index)) for index, item in enumerate(value)]
        if not any(items):
            return None
        return lambda scope: [made(scope) if made else value[index] for index, made in enumerate(items)]
    return None


def _compile_text(text: str, path: Path) -> Render:
    template = _parse(text, path)
    if _WHOLE.match(text):
        segments = next(iter(_references(template)), None)
        if segments:
            return lambda scope: _lookup(scope, segments)
    return lambda scope: _render(template, scope)


def compile_condition(expression: str, path: Path = ()) -> Callable[[Scope], bool]:
    """A Liquid expression as a yes-or-no question. Raises: InvalidInput when it does not parse."""
    inner = _condition_text(expression, path)
    template = _parse(inner, path)
    return lambda scope: _render(template, scope) == "1"


def _condition_text(expression: str, path: Path) -> str:
    bare = expression.strip()
    if bare.startswith("{{") and bare.endswith("}}"):
        bare = bare[2:-2].strip()
    if not bare or "%}" in bare or "{%" in bare:
        raise InvalidInput(
            "A condition is one Liquid expression, without {% %}.",
            path=path,
            suggestion='trigger.body.kind == "release"',
        )
    return "{% if " + bare + " %}1{% endif %}"


def _render(template: BoundTemplate, scope: Scope) -> str:
    try:
        return template.render(**scope)
    except (LiquidError, RecursionError, OverflowError, ArithmeticError, TypeError, ValueError) as error:
        raise TemplateFailed(f"The template could not be rendered: {error.args[0] if error.args else error}") from None


def _lookup(scope: Scope, segments: list[Any]) -> Any:
    value: Any = scope
    for segment in segments:
        if isinstance(value, Mapping):
            value = value.get(segment)
        elif isinstance(value, list) and isinstance(segment, int) and -len(value) <= segment < len(value):
            value = value[segment]
        elif isinstance(value, list | str) and segment == "size":
            value = len(value)
        else:
            return None
    return value


def _references(template: BoundTemplate) -> Iterator[list[Any]]:
    for variables in template.analyze().globals.values():
        for variable in variables:
            yield list(variable.segments)


def check_value(value: Any, known: Mapping[str, Any], path: Path) -> Iterator[InvalidInput]:
    """Every reference of ``value`` that names what does not exist. ``known`` maps names to output models or nested maps."""
    if isinstance(value, str) and _is_template(value):
        yield from _check_template(value, known, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from check_value(item, known, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_value(item, known, (*path, index))


def check_condition(expression: str, known: Mapping[str, Any], path: Path) -> Iterator[InvalidInput]:
    """As `check_value`, for a condition."""
    try:
        text = _condition_text(expression, path)
    except InvalidInput as problem:
        yield problem
        return
    yield from _check_template(text, known, path)


def _check_template(text: str, known: Mapping[str, Any], path: Path) -> Iterator[InvalidInput]:
    try:
        template = _parse(text, path)
        # Unknown filters are told by rendering: an empty scope touches every plain output.
        template.render()
    except InvalidInput as problem:
        yield problem
        return
    except LiquidError as error:
        if "filter" in str(error):
            yield InvalidInput(f"{error.args[0]}.", path=path, code="TEMPLATE_SYNTAX")
            return
    for segments in _references(template):
        problem_here = _check_reference(segments, known, path)
        if problem_here:
            yield problem_here


def _check_reference(segments: list[Any], known: Mapping[str, Any], path: Path) -> InvalidInput | None:
    here: Any = known
    for depth, segment in enumerate(segments):
        names = _names(here)
        if names is None:
            return None
        if not isinstance(segment, str) or segment not in names:
            said = ".".join(str(part) for part in segments[: depth + 1])
            close = get_close_matches(str(segment), names, n=1, cutoff=0.5)
            parent = ".".join(str(part) for part in segments[:depth])
            listed = ", ".join(sorted(names)) or "nothing"
            return InvalidInput(
                f"{{{{ {said} }}}} names what does not exist; {parent or 'a template'} has {listed}.",
                path=path,
                suggestion=".".join([*map(str, segments[:depth]), close[0]]) if close else None,
                code="UNKNOWN_REFERENCE",
            )
        here = _child(here, segment)
    return None


def _names(here: Any) -> list[str] | None:
    if isinstance(here, Mapping):
        return list(here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return list(here.model_fields)
    return None


def _child(here: Any, name: str) -> Any:
    if isinstance(here, Mapping):
        return here[name]
    annotation = here.model_fields[name].annotation
    if get_origin(annotation) in (Union, UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        annotation = options[0] if len(options) == 1 else None
    return annotation
