"""Filters of templates: none takes or makes more than it can work through in some milliseconds."""

import json
import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import orjson
from liquid.exceptions import FilterArgumentError, LiquidError
from liquid.filter import sequence_filter
from liquid.stringify import to_liquid_string
from liquid.undefined import is_undefined

ITEMS = 10_000
"""Most items that a filter takes or makes."""
TEXT = 1 << 20
"""Longest text that a filter takes or makes, in characters."""
WEIGHT = 200_000
"""Most values, at any depth, in what a filter takes or makes; 16 characters of text count as one more."""
DATE = 100
"""Longest text that the filter `date` reads as a date, in characters."""

_ANY_SIZE = {"size", "first", "last", "default"}
"""Filters that do not look at every item."""


class TooCostly(LiquidError):
    """A limit was passed. The message says which."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def text_of(value: object) -> str:
    """What ``value`` prints: lists run together, as Liquid has it, and objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        weigh(value)
        return "".join(as_json(item) if isinstance(item, dict | list) else text_of(item) for item in value)
    if isinstance(value, dict):
        weigh(value)
        return as_json(value)
    return to_liquid_string(value, autoescape=False)


def plain(value: object) -> Any:
    """``value`` as JSON has it: what is undefined is null, a range is a list."""
    if is_undefined(value):
        return None
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def as_json(value: object) -> str:
    """``value`` as JSON text."""
    try:
        return orjson.dumps(plain(value), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Numbers past 64 bits, and text that is no Unicode.
        return json.dumps(plain(value), default=str, ensure_ascii=False)


def weigh(*values: object) -> None:
    """Refuse what is too large to work on. Raises: TooCostly."""
    weight = 0
    rest: list[Iterable[object]] = [values]
    while rest:
        for value in rest.pop():
            weight += 1
            if isinstance(value, str):
                weight += len(value) >> 4
            elif isinstance(value, list):
                rest.append(value)
            elif isinstance(value, dict):
                rest.append(value.values())
                rest.append(value)
            if weight > WEIGHT:
                raise TooCostly("a value in it is too large for a template to work on; pass it on whole instead")


def _bounded(name: str, fn: Callable[..., object]) -> Callable[..., object]:
    @wraps(fn)
    def call(value: object, *args: object, **kwargs: object) -> object:
        if name not in _ANY_SIZE:
            for part in (value, *args):
                if isinstance(part, list) and len(part) > ITEMS:
                    raise TooCostly(f"the filter {name!r} takes {ITEMS:,} items at most, and got {len(part):,}")
                if isinstance(part, str) and len(part) > TEXT:
                    raise TooCostly(f"the filter {name!r} takes {TEXT:,} characters at most, and got {len(part):,}")
            weigh(value, *args)
        result = fn(value, *args, **kwargs)
        if isinstance(result, str) and len(result) > TEXT:
            raise TooCostly(f"the filter {name!r} made {len(result):,} characters; {TEXT:,} is the most")
        if isinstance(result, list):
            weigh(result)
        return result

    return call


def _replace(value: object, seq: object, sub: object = "") -> str:
    text, old, new = text_of(value), text_of(seq), text_of(sub)
    if len(text) + text.count(old) * (len(new) - len(old)) > TEXT:
        raise TooCostly(f"the filter 'replace' would make more than {TEXT:,} characters")
    return text.replace(old, new)


def _split(value: object, sep: object) -> list[str]:
    text, at = text_of(value), text_of(sep)
    if (text.count(at) if at else len(text)) > ITEMS:
        raise TooCostly(f"the filter 'split' would make more than {ITEMS:,} items")
    if not at:
        return list(text)
    return [] if not text or text == at else text.split(None if at == " " else at)


@sequence_filter
def _join(items: Iterable[object], sep: object = " ") -> str:
    between, length, texts = text_of(sep), 0, []
    for item in items:
        texts.append(text_of(item))
        length += len(texts[-1]) + len(between)
        if length > TEXT + len(between):
            raise TooCostly(f"the filter 'join' would make more than {TEXT:,} characters")
    return between.join(texts)


@sequence_filter
def _map(items: Iterable[object], key: object) -> list[object]:
    return [item.get(str(key)) if isinstance(item, dict) else None for item in items]


@sequence_filter
def _uniq(items: Iterable[object], key: object = None) -> list[object]:
    first: dict[str, object] = {}
    for item in items:
        if key is not None and not isinstance(item, dict):
            raise FilterArgumentError(f"{key!r} cannot be read of {type(item).__name__}", token=None)
        first.setdefault(as_json(item.get(str(key)) if isinstance(item, dict) and key is not None else item), item)
    return list(first.values())


_TAG = re.compile(r"<(?:[a-zA-Z/!?])")
_UNSEEN = re.compile(r"<(script|style)\b", re.IGNORECASE)
_SEEN_AGAIN = re.compile(r"</(script|style)", re.IGNORECASE)


def _strip_html(value: object) -> str:
    """Text without tags, comments, scripts and styles; in one pass, whatever the text is."""
    text, parts, at = text_of(value), [], 0
    while found := _TAG.search(text, at):
        opens = found.start()
        parts.append(text[at:opens])
        if _UNSEEN.match(text, opens):
            closing = _SEEN_AGAIN.search(text, opens)
            opens = closing.start() if closing else len(text)
        end = "-->" if text.startswith("<!--", opens) else ">"
        closes = text.find(end, opens)
        at = closes + len(end) if closes >= 0 else len(text)
    return "".join([*parts, text[at:]])


def bounded(builtin: dict[str, Callable[..., object]]) -> dict[str, Callable[..., object]]:
    """The library's filters and ours, each within the limits."""
    date = builtin["date"]

    @wraps(date)
    def short_date(value: object, *args: object, **kwargs: object) -> object:
        return value if isinstance(value, str) and len(value) > DATE else date(value, *args, **kwargs)

    own: dict[str, Callable[..., object]] = {
        "date": short_date,
        "join": _join,
        "json": as_json,
        "map": _map,
        "replace": _replace,
        "split": _split,
        "strip_html": _strip_html,
        "uniq": _uniq,
    }
    return {name: _bounded(name, fn) for name, fn in (builtin | own).items()}
