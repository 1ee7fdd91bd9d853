"""Top-level errors as clients see them: a code from a closed list, and never an exception's text."""

import secrets
from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError

from area.core.log import get

CODES = frozenset(
    {
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "BAD_USER_INPUT",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "QUERY_TOO_DEEP",
        "QUERY_TOO_LARGE",
        "QUERY_TOO_EXPENSIVE",
        "RATE_LIMITED",
        "PERSISTED_QUERY_NOT_FOUND",
        "SUBSCRIPTION_LIMIT",
        "PROVIDER_UNAVAILABLE",
        "INTERNAL",
    }
)
logger = get("area.graphql")


def format_errors(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """What to send for these errors."""
    return [_format(error) for error in errors]


def _format(error: GraphQLError) -> dict[str, Any]:
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    extensions = dict(error.extensions or {})
    # An error of graphql-core's own, such as a variable of the wrong type, has no cause; one of coercion has no path.
    if extensions.get("code") not in CODES:
        is_clients = cause is None or isinstance(cause, GraphQLError) or error.path is None
        extensions = {"code": "BAD_USER_INPUT"} if is_clients else _internal(error, cause)
    told: dict[str, Any] = dict(error.formatted)
    if extensions["code"] == "INTERNAL":
        told["message"] = f"Something went wrong here. Tell us this reference: {extensions['reference']}."
    told["extensions"] = extensions
    return told


def _internal(error: GraphQLError, cause: BaseException | None) -> dict[str, Any]:
    reference = secrets.token_hex(6)
    logger.error("graphql.internal_error", reference=reference, path=error.path, exc_info=cause)
    return {"code": "INTERNAL", "reference": reference}
