"""Why something failed, as it is stored and shown: a code, words, where in the AREA it is mended, and by what."""

import json
from typing import Any

import httpx
from pydantic import ValidationError

from area.core.errors import Path
from area.core.http import EgressRefused, ResponseTooLarge
from area.core.jsons import printable
from area.nodes import sdk

LONGEST = 4000
"""Characters of a message that are kept."""


def reason(code: str, message: str, path: Path = (), suggestion: str | None = None) -> dict[str, Any]:
    """A reason. ``path`` is into the AREA as it is written: ("reactions", 1, "config", "to")."""
    # A node may have raised anything as its message.
    told: dict[str, Any] = {"code": str(code), "message": printable(str(message))[:LONGEST]}
    if path:
        told["path"] = list(path)
    if suggestion:
        told["suggestion"] = suggestion[:LONGEST]
    return told


def of_node(error: sdk.NodeError, place: Path) -> dict[str, Any]:
    """What a node said of its failure; ``place`` is where its inputs are: ("action", "config")."""
    return reason(error.code, error.message, (*place, error.field) if error.field else (), error.suggestion)


def of_look(action: str, error: Exception) -> dict[str, Any]:
    """What the AREA's owner is told of a source that could not be looked at."""
    match error:
        case sdk.NodeError():
            return of_node(error, ("action", "config"))
        case EgressRefused():
            return reason("EGRESS_REFUSED", str(error))
        case ResponseTooLarge():
            return reason("RESPONSE_TOO_LARGE", str(error))
        case ValidationError() | json.JSONDecodeError() | UnicodeDecodeError():
            return reason("BAD_ANSWER", f"The source of {action} answered something else than it should: {error}")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return reason("INVALID_INPUT", f"The address cannot be called: {error}")
        case httpx.TransportError() | OSError() | TimeoutError():
            return reason("UNREACHABLE", f"No answer: {error or type(error).__name__}")
        case _:
            return reason("INTERNAL", str(error) or type(error).__name__)
