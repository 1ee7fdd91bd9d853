"""Reading what a delivery or an answer says, where nothing of it is relied upon: what is missing, or something else, is empty."""

from typing import Any

MOST_TEXT = 10_000
"""Characters."""


def within(body: Any, *names: str) -> Any:
    """What lies at the end of this path; None where it breaks off."""
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def text(body: Any, *names: str) -> str:
    """Text there, its first 10,000 characters; empty where there is none."""
    found = within(body, *names)
    return found[:MOST_TEXT] if isinstance(found, str) else ""


def number(body: Any, *names: str) -> int:
    """A whole number there; 0 where there is none."""
    found = within(body, *names)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def objects(body: Any, *names: str) -> list[dict[str, Any]]:
    """The objects of a list there; empty where there is none."""
    found = within(body, *names)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
