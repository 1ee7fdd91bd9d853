"""Templates and conditions: compiled once a version, rendered with limits. Rendered text is never evaluated again."""

from collections.abc import Callable, Mapping
from typing import Any

from liquid import BoundTemplate
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions import Path as Reference
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from area.core.errors import InvalidInput, Path
from area.engine.filters import TooCostly, plain
from area.engine.liquid import Context, parse, said

Scope = Mapping[str, Any]
Render = Callable[[Scope], Any]
Convert = Callable[[Any], Any]

MAX_TEMPLATE = 100_000
"""Longest template text, in characters."""
MAX_DEPTH = 50
"""Deepest nesting of a config."""
CLOCK = ("now", "today")
"""Names that Liquid itself knows."""


class TemplateFailed(Exception):
    """A template could not be rendered: a limit was passed, or a filter met a value it cannot take."""


def parsed(text: str, path: Path) -> BoundTemplate:
    """The template in ``text``. Raises: InvalidInput when it is none."""
    if len(text) > MAX_TEMPLATE:
        raise InvalidInput(f"This template has {len(text)} characters; {MAX_TEMPLATE} is the most.", path=path)
    try:
        return parse(text)
    except LiquidError as error:
        raise InvalidInput(f"This template does not parse: {said(error)}.", path=path, code="TEMPLATE_SYNTAX") from None


def is_template(text: str) -> bool:
    """Whether ``text`` holds Liquid."""
    return "{{" in text or "{%" in text


def compile_value(value: Any, path: Path = (), *, convert: Convert | None = None) -> Render | None:
    """How to render ``value``, or None when it holds no template.

    What is one output and nothing else, such as ``{{ trigger.n }}``, keeps its type, or becomes what ``convert`` makes of it.
    Raises: InvalidInput when a template does not parse, or ``value`` is nested too deeply.
    """
    if isinstance(value, str):
        return _compile_text(value, path, convert) if is_template(value) else None
    if isinstance(value, dict | list) and len(path) > MAX_DEPTH:
        raise InvalidInput(f"This is nested more than {MAX_DEPTH} levels deep.", path=path[:3])
    if isinstance(value, dict):
        parts = {key: compile_value(item, (*path, key), convert=convert) for key, item in value.items()}
        if not any(parts.values()):
            return None
        return lambda scope: {key: (made(scope) if made else value[key]) for key, made in parts.items()}
    if isinstance(value, list):
        items = [compile_value(item, (*path, index), convert=convert) for index, item in enumerate(value)]
        if not any(items):
            return None
        return lambda scope: [made(scope) if made else value[index] for index, made in enumerate(items)]
    return None


def compile_condition(expression: str, path: Path = ()) -> Callable[[Scope], bool]:
    """A Liquid expression as a yes-or-no question. Raises: InvalidInput when it does not parse."""
    template = parsed(condition_text(expression, path), path)
    return lambda scope: _render(template, scope) == "1"


def condition_text(expression: str, path: Path) -> str:
    """The template that asks a condition. Raises: InvalidInput when it is no single expression."""
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


def _compile_text(text: str, path: Path, convert: Convert | None) -> Render:
    template = parsed(text, path)
    whole = whole_output(template)
    if whole is None:
        return lambda scope: _render(template, scope)
    segments = plain_segments(whole)
    if segments is None:
        value: Render = lambda scope: _evaluate(template, whole, scope)  # noqa: E731
    else:
        value = lambda scope: _lookup(scope, segments)  # noqa: E731
    return value if convert is None else _converted(value, convert)


def _converted(value: Render, convert: Convert) -> Render:
    def made(scope: Scope) -> Any:
        try:
            return convert(value(scope))
        except TooCostly as error:
            raise _failed(error) from None

    return made


def whole_output(template: BoundTemplate) -> Expression | None:
    """The expression of a template that is one output and, but for space, nothing else."""
    shown = [node for node in template.nodes if not (isinstance(node, ContentNode) and node.blank)]
    return shown[0].expression if len(shown) == 1 and isinstance(shown[0], OutputNode) else None


def plain_segments(expression: Expression) -> list[str | int] | None:
    """The names and indexes of a reference that has no filters and nothing computed in it."""
    if not isinstance(expression, FilteredExpression) or expression.filters:
        return None
    left = expression.left
    if not isinstance(left, Reference) or left.path[0] in CLOCK:
        return None
    return [part for part in left.path if isinstance(part, str | int)] if not left.children() else None


def _render(template: BoundTemplate, scope: Scope) -> str:
    try:
        return template.render(scope)
    except Exception as error:
        raise _failed(error) from None


def _evaluate(template: BoundTemplate, expression: Expression, scope: Scope) -> Any:
    try:
        return plain(expression.evaluate(Context(template, globals=scope)))
    except Exception as error:
        raise _failed(error) from None


def _failed(error: Exception) -> TemplateFailed:
    """Filters meet whatever a payload holds, so any error of theirs is the template's, and its run's alone."""
    return TemplateFailed(f"The template could not be rendered: {said(error)}.")


def _lookup(scope: Scope, segments: list[str | int]) -> Any:
    value: Any = scope
    for segment in segments:
        if isinstance(value, Mapping) and segment in value:
            value = value[segment]
        elif isinstance(value, Mapping | list | str) and segment == "size":
            value = len(value)
        elif isinstance(value, list) and value and segment in ("first", "last"):
            value = value[0 if segment == "first" else -1]
        elif isinstance(value, list) and isinstance(segment, int) and -len(value) <= segment < len(value):
            value = value[segment]
        else:
            return None
    return value
