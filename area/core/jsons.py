"""JSON as Postgres stores it."""

from typing import Any

import orjson

DEEPEST = 100
"""Levels of lists and objects that a value from outside may have."""
DEEPEST_KEPT = 120
"""Levels that a value may have once it is wrapped into an event or an output."""
_ENCODED = 254
"""Levels that orjson encodes."""
_OPTIONS = orjson.OPT_NON_STR_KEYS
_LARGEST = 2**64 - 1
_SMALLEST = -(2**63)


class TooDeep(ValueError):
    """The value has lists or objects in one another beyond what can be kept."""


def dump(value: Any, *, sort_keys: bool = False) -> str:
    """JSON text of ``value``. Raises: TooDeep.

    What cannot be kept is mended: NUL characters and lone surrogates become U+FFFD, whole numbers beyond 64 bits floating ones (as
    our parser reads them), what is infinite null, and anything else that JSON does not know its text.
    """
    options = _OPTIONS | orjson.OPT_SORT_KEYS if sort_keys else _OPTIONS
    try:
        text = orjson.dumps(value, default=str, option=options).decode()
        if "\\u0000" not in text:
            return text
    except TypeError:
        pass  # a surrogate, a large number, or too deep: the slow way finds out
    try:
        return orjson.dumps(_mended(value, 0), default=str, option=options).decode()
    except TypeError as error:
        raise TooDeep(str(error)) from None


def dump_or_none(value: Any) -> str | None:
    """As `dump`, with None as SQL NULL."""
    return None if value is None else dump(value)


def keep(value: Any) -> tuple[Any, str]:
    """A value that others made, as it will be read back, and its text as of `dump`. Raises: TooDeep beyond `DEEPEST_KEPT`."""
    try:
        text = orjson.dumps(value).decode()
        is_mended = "\\u0000" in text
    except TypeError:
        is_mended = True
    if is_mended:
        text = dump(value)
        value = orjson.loads(text)
    if text.count("[") + text.count("{") > DEEPEST_KEPT and is_deeper(value, DEEPEST_KEPT):
        raise TooDeep(f"It has more than {DEEPEST_KEPT} lists or objects in one another.")
    return value, text


def shortened(value: Any, longest: int) -> Any:
    """``value``, a kept one, with each text cut to ``longest`` characters and a mark that says how long it was."""
    match value:
        case str() if len(value) > longest:
            return f"{value[:longest]}… ({len(value):,} characters)"
        case dict():
            return {key: shortened(item, longest) for key, item in value.items()}
        case list():
            return [shortened(item, longest) for item in value]
    return value


def is_deeper(value: Any, levels: int = DEEPEST) -> bool:
    """Whether a parsed JSON value has more levels of lists and objects than ``levels``."""
    for _ in range(_ENCODED - levels):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def printable(text: str) -> str:
    """Text as Postgres takes it: without NUL and lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\x00", "\ufffd")


def _mended(value: Any, level: int) -> Any:
    if level > _ENCODED:
        raise TooDeep(f"It has more than {_ENCODED} lists or objects in one another.")
    match value:
        case str():
            return printable(value)
        case dict():
            return {_mended(key, level): _mended(item, level + 1) for key, item in value.items()}
        case list() | tuple():
            return [_mended(item, level + 1) for item in value]
        case int() if not _SMALLEST <= value <= _LARGEST:
            try:
                return float(value)
            except OverflowError:
                return None
    return value
