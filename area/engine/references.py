"""What templates refer to, checked when an AREA is saved: every name against the models of what will be there, every filter too."""

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions import Path as Reference
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.loop import LoopExpression
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.expression import Expression
from pydantic import BaseModel

from area.core.errors import InvalidInput, Path
from area.engine.liquid import environment
from area.engine.templates import CLOCK, condition_text, is_template, parsed, whole_output

Kind = Any
"""What is known of a value: a map of names, a model, a type annotation, or `Any`."""

_SCALARS = (str, bytes, int, float, bool, datetime, date, UUID, Enum)
_LISTS: tuple[Any, ...] = (list, set, tuple, frozenset)
_LOOP = dict.fromkeys(("name", "length", "index", "index0", "rindex", "rindex0", "first", "last", "parentloop"), Any)


def check_value(value: Any, known: Mapping[str, Kind], path: Path) -> Iterator[InvalidInput]:
    """Every reference and filter of ``value`` that does not exist. ``known`` says what templates see."""
    if isinstance(value, str) and is_template(value):
        yield from _check(value, known, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from check_value(item, known, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_value(item, known, (*path, index))


def check_condition(expression: str, known: Mapping[str, Kind], path: Path) -> Iterator[InvalidInput]:
    """As `check_value`, for a condition."""
    try:
        text = condition_text(expression, path)
    except InvalidInput as problem:
        yield problem
        return
    yield from _check(text, known, path)


def item_kind(items: Any, known: Mapping[str, Kind]) -> Kind:
    """What is known of each item of a list that a template gives."""
    try:
        template = parsed(items, ()) if isinstance(items, str) else None
        whole = whole_output(template) if template else None
    except InvalidInput:
        return Any
    return _item(_Walk(template, known, ()).kind(whole)) if template and whole else Any


def _check(text: str, known: Mapping[str, Kind], path: Path) -> Iterator[InvalidInput]:
    try:
        yield from _Walk(parsed(text, path), known, path).problems()
    except InvalidInput as problem:
        yield problem
    except RecursionError:
        yield InvalidInput("This template is nested too deeply.", path=path, code="TEMPLATE_SYNTAX")


class _Walk:
    """One walk over a template, in its order, with the names that are visible at each point."""

    def __init__(self, template: BoundTemplate, known: Mapping[str, Kind], path: Path) -> None:
        self._template = template
        self._path = path
        self._context = RenderContext(template)
        # What a template sets itself may be used before it is set: a loop comes by again.
        assigned = Counter(_assigned(template.nodes, self._context))
        self._once = {name for name, times in assigned.items() if times == 1}
        own = dict.fromkeys(assigned, Any)
        self._scopes: list[dict[str, Kind]] = [{**dict.fromkeys(CLOCK, Any), **known, **own}]

    def problems(self) -> Iterator[InvalidInput]:
        """What is wrong, each once."""
        seen: set[str] = set()
        for node in self._template.nodes:
            for problem in self._node(node):
                if problem.message not in seen:
                    seen.add(problem.message)
                    yield problem

    def _node(self, node: Node) -> Iterator[InvalidInput]:
        for expression in node.expressions():
            yield from self._expression(expression)
        scope: dict[str, Kind] = dict.fromkeys(map(str, node.block_scope()), Any)
        if isinstance(node, ForNode | TablerowNode) and isinstance(node.expression, LoopExpression):
            scope[node.expression.identifier] = _item(self.kind(node.expression.iterable))
        if isinstance(node, ForNode):
            scope["forloop"] = _LOOP
        self._scopes.append(scope)
        for child in node.children(self._context):
            yield from self._node(child)
        self._scopes.pop()
        if isinstance(node, AssignNode) and node.name in self._once:
            self._scopes[0][str(node.name)] = self.kind(node.expression)

    def _expression(self, expression: Expression) -> Iterator[InvalidInput]:
        if isinstance(expression, Reference):
            found = self._follow(expression)
            if isinstance(found, InvalidInput):
                yield found
        for used in getattr(expression, "filters", None) or []:
            yield from self._filter(used)
        for child in expression.children():
            yield from self._expression(child)

    def _filter(self, used: Filter) -> Iterator[InvalidInput]:
        fn = environment.filters.get(used.name)
        if fn is None:
            near = get_close_matches(used.name, environment.filters, n=1, cutoff=0.5)
            message = f"There is no filter {used.name!r}."
            suggestion = near[0] if near else None
            yield InvalidInput(message, path=self._path, suggestion=suggestion, code="TEMPLATE_SYNTAX")
            return
        names = [getattr(argument, "name", None) for argument in used.args]
        try:
            inspect.signature(fn).bind(
                None,
                *[None for name in names if name is None],
                **{name: None for name in names if name is not None},
                **({"environment": None} if getattr(fn, "with_environment", False) else {}),
            )
        except TypeError as error:
            message = f"The filter {used.name!r} is not used rightly: {error}."
            yield InvalidInput(message, path=self._path, code="TEMPLATE_SYNTAX")

    def kind(self, expression: Expression) -> Kind:
        """What an expression gives, where that is a plain reference."""
        if isinstance(expression, FilteredExpression) and not expression.filters:
            return self.kind(expression.left)
        if isinstance(expression, Reference):
            found = self._follow(expression)
            return Any if isinstance(found, InvalidInput) else found
        return Any

    def _follow(self, reference: Reference) -> Kind | InvalidInput:
        segments = [None if isinstance(part, Reference) else part for part in reference.path]
        root = segments[0]
        if not isinstance(root, str):
            return Any
        scope = next((scope for scope in reversed(self._scopes) if root in scope), None)
        if scope is None:
            return self._unknown(reference, 0, [name for scope in self._scopes for name in scope if name not in CLOCK])
        here = scope[root]
        for depth, segment in enumerate(segments[1:], 1):
            try:
                here = child(here, segment)
            except LookupError as error:
                return self._unknown(reference, depth, list(error.args))
        return here

    def _unknown(self, reference: Reference, depth: int, names: list[str]) -> InvalidInput:
        parts = [str(part) for part in reference.path]
        said, parent = ".".join(parts[: depth + 1]), ".".join(parts[:depth])
        close = get_close_matches(parts[depth], names, n=1, cutoff=0.5)
        listed = ", ".join(sorted(names)) or "nothing in it"
        return InvalidInput(
            f"{{{{ {said} }}}} names what does not exist; {parent or 'a template'} has {listed}.",
            path=self._path,
            suggestion=".".join([*parts[:depth], close[0]]) if close else None,
            code="UNKNOWN_REFERENCE",
        )


def _assigned(nodes: Iterable[Node], context: RenderContext) -> Iterator[str]:
    for node in nodes:
        yield from map(str, node.template_scope())
        yield from _assigned(node.children(context), context)


def child(kind: Kind, segment: str | int | None) -> Kind:
    """What ``segment`` of a value of this kind is; None stands for a computed one. Raises: LookupError with the names there are."""
    kind = _bare(kind)
    if isinstance(kind, Mapping):
        if segment is None:
            return Any
        if segment not in kind:
            raise LookupError(*kind)
        return kind[segment]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _field(kind, segment)
    origin: Any = get_origin(kind)
    parts = get_args(kind)
    if kind is list or origin in _LISTS:
        if segment is None or isinstance(segment, int) or segment in ("first", "last"):
            return parts[0] if parts else Any
        return _only("size", segment, "first", "last", "size")
    if kind is dict or origin in (dict, Mapping):
        return parts[1] if len(parts) == 2 else Any
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, _SCALARS)):
        text = origin is Literal or issubclass(kind, str | datetime | date | UUID | Enum)
        return _only("size", segment, "size") if text else _only(None, segment)
    return Any


def _field(model: type[BaseModel], segment: str | int | None) -> Kind:
    if segment is None:
        return Any
    field = model.model_fields.get(segment) if isinstance(segment, str) else None
    if field is not None:
        return field.annotation
    if model.model_config.get("extra") == "allow":
        return Any
    raise LookupError(*model.model_fields)


def _only(name: str | None, segment: str | int | None, *listed: str) -> Kind:
    if segment is None or segment == name:
        return int
    raise LookupError(*listed)


def _bare(kind: Kind) -> Kind:
    """Without what says nothing of what is inside: annotations, and "or nothing". Several alternatives are anything."""
    origin: Any = get_origin(kind)
    if origin is Annotated:
        return _bare(get_args(kind)[0])
    if origin in (Union, UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return _bare(options[0]) if len(options) == 1 else Any
    return kind


def _item(kind: Kind) -> Kind:
    """What a loop over a value of this kind gives."""
    kind = _bare(kind)
    origin: Any = get_origin(kind)
    return child(kind, 0) if kind is list or origin in _LISTS else Any
