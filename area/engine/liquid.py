"""Liquid with every cost bounded, so that no template holds up the runs beside it.

The library's own limits bound loops by their nesting, and nothing else that takes time. Here loop turns are counted over the whole
template, processor time is watched at each tag, variable and filter, and no single filter takes or makes more than it can work
through in some milliseconds. What passes a limit raises `TooCostly`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError, LocalNamespaceLimitError, OutputStreamLimitError
from liquid.expression import Expression
from liquid.undefined import UNDEFINED

from area.engine.filters import TooCostly, bounded, text_of

TURNS = 10_000
"""Loop turns of one rendering or step, all loops together."""
OUTPUT = 256 * 1024
"""Most bytes that one template may print, and most that its variables may hold."""
SECONDS = 0.25
"""Most processor time of one rendering, or of all templates of one step; half of it is always theirs."""


class Budget:
    """Turns and time of the templates that are rendered together."""

    __slots__ = ("_cpu", "_look_at", "_turns")

    def __init__(self) -> None:
        self._turns = 0
        self._cpu: float | None = None
        self._look_at = time.perf_counter() + SECONDS / 2

    def loop(self, turns: int) -> None:
        """A loop begins. Raises: TooCostly."""
        self._turns += turns
        if self._turns > TURNS:
            raise TooCostly(f"its loops take more than {TURNS:,} turns")

    def watch(self) -> None:
        """Look at the time. Raises: TooCostly."""
        # The wall clock is cheap to read and says when the processor's is worth reading: a busy machine fails no template.
        moment = time.perf_counter()
        if moment > self._look_at:
            if self._cpu is None:
                # Most renderings end before this, and never ask. Of the time until now, at most half the limit was theirs.
                self._cpu = time.thread_time()
            used = time.thread_time() - self._cpu
            if used > SECONDS / 2:
                raise TooCostly(f"it takes more than {SECONDS} s of processor time")
            self._look_at = moment + SECONDS / 2 - used


_shared: ContextVar[Budget | None] = ContextVar("liquid_budget", default=None)


@contextmanager
def one_budget() -> Iterator[None]:
    """What is rendered in here, and awaits nothing, spends from one budget: a config of many templates is no way around."""
    before = _shared.set(Budget())
    try:
        yield
    finally:
        _shared.reset(before)


class Context(RenderContext):
    """One rendering, on its budget."""

    __slots__ = ("_budget",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._budget = _shared.get() or Budget()
        super().__init__(*args, **kwargs)

    @property
    def disabled_tags(self) -> list[str]:
        """None are. Every tag asks here before it renders, so here the time is watched."""
        self._budget.watch()
        return []

    @disabled_tags.setter
    def disabled_tags(self, value: list[str]) -> None:
        pass

    def get(self, path: list[object], *, token: Any, default: object = UNDEFINED) -> object:
        """The value at a path."""
        self._budget.watch()
        return super().get(path, token=token, default=default)

    def filter(self, name: str, token: Any = None) -> Callable[..., object]:
        """The filter of this name."""
        self._budget.watch()
        return super().filter(name, token)

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Iterator[RenderContext]:
        """The surroundings of one loop."""
        self._budget.loop(forloop.length)
        with super().loop(namespace, forloop) as inner:
            yield inner

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """The library's own limit, which `loop` stands in for."""


class Template(BoundTemplate):
    """A parsed template."""

    context_class = Context


class BoundedRange(RangeLiteral):
    """(1..n), refused before anything walks it when it is too long."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        made = super()._make_range(start, stop)
        if made and made[-1] - made[0] >= TURNS:
            raise TooCostly(f"the range ({made[0]}..{made[-1]}) is longer than {TURNS:,}")
        return made


class _TextNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(text_of(self.expression.evaluate(context)))


class _EchoNode(EchoNode, _TextNode):
    pass


class _Output(Output):
    node_class = _TextNode


class _Echo(EchoTag):
    node_class = _EchoNode


class _Bounded(Environment):
    local_namespace_limit = OUTPUT
    output_stream_limit = OUTPUT
    context_depth_limit = 30
    loop_iteration_limit = TURNS
    template_class = Template

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in ("include", "render"):
            # There is nothing to include.
            del self.tags[name]
        self.add_tag(_Output)
        self.add_tag(_Echo)
        self.filters = bounded(self.filters)


environment = _Bounded()
_nowhere = RenderContext(Template(environment, []))


def said(error: Exception) -> str:
    """What went wrong in a rendering, as part of a sentence."""
    if isinstance(error, OutputStreamLimitError):
        return f"it prints more than {OUTPUT // 1024} KiB"
    if isinstance(error, LocalNamespaceLimitError):
        return f"its variables hold more than {OUTPUT // 1024} KiB"
    text = str(error.args[0]) if error.args else ""
    return text.rstrip(".") or type(error).__name__


def parse(text: str) -> BoundTemplate:
    """A template whose every cost is bounded. Raises: LiquidError."""
    template = environment.from_string(text)
    try:
        for node in template.nodes:
            _bound(node)
    except RecursionError:
        raise LiquidError("it is nested too deeply", token=None) from None
    return template


def _bound(node: Node) -> None:
    for expression in node.expressions():
        _bound_expression(expression)
    for child in node.children(_nowhere):
        _bound(child)


def _bound_expression(expression: Expression) -> None:
    if type(expression) is RangeLiteral:
        expression.__class__ = BoundedRange
    for child in expression.children():
        _bound_expression(child)
