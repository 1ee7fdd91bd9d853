"""JSON as Postgres stores it."""

from typing import Any

import orjson


def dump(value: Any) -> str:
    """JSON text of ``value``. NUL characters, which jsonb cannot hold, become U+FFFD."""
    text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    if "\\u0000" in text:
        text = orjson.dumps(_without_nul(value), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    return text


def dump_or_none(value: Any) -> str | None:
    """As `dump`, with None as SQL NULL."""
    return None if value is None else dump(value)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value
