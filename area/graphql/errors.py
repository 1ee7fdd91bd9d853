"""Expected failures of mutations, as data: each says which part of the input is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import strawberry
from strawberry import field

from area.core.errors import AreaError, Conflict, InvalidInput, InvalidInputs, LimitReached, NotFound, Path

ERRORS = "What was wrong; empty when it worked."
"""What every payload says of its ``errors``."""

_RENAMED = {
    "account_id": "accountId",
    "on_failure": "onFailure",
    "timeout_seconds": "timeoutSeconds",
    "max_concurrent_runs": "maxConcurrentRuns",
    "idempotency_key": "idempotencyKey",
    "is_enabled": "isEnabled",
}


@strawberry.interface(description="An expected failure of a mutation; nothing was changed.")
class UserError:
    """An expected failure of a mutation."""

    code: str = field(description="Stable code.")
    message: str = field(description="What happened, to which thing, and what to do next.")
    path: list[str] = field(description="Where in `input`: names, and indexes as text; empty when it is all of it.")


@strawberry.type(description="A value is wrong.")
class InvalidInputError(UserError):
    """A value is wrong."""

    suggestion: str | None = field(description="What was probably meant.")


@strawberry.type(description="There is no such thing, or it is not yours.")
class NotFoundError(UserError):
    """There is no such thing, or it is not yours."""


@strawberry.type(description="Somebody else changed it first: load it again.")
class ConflictError(UserError):
    """Somebody else changed it first."""

    current_version: int | None = field(description="Its version now.")


@strawberry.type(description="A connected account is missing, or lacks consent.")
class AccountRequiredError(UserError):
    """A connected account is missing, or lacks consent."""

    service: str = field(description="The service's key.")
    missing_scopes: list[str] = field(description="What the account's owner has yet to consent to.")


@strawberry.type(description="A limit was reached.")
class LimitError(UserError):
    """A limit was reached."""

    limit: int = field(description="How many there may be.")
    retry_after: float | None = field(description="Seconds to wait, where waiting helps.")


ERROR_TYPES = (InvalidInputError, NotFoundError, ConflictError, AccountRequiredError, LimitError)


def user_errors(error: AreaError) -> list[UserError]:
    """What the API says of an expected failure of the engine."""
    return [_user_error(problem) for problem in _flat(error)]


def input_path(path: Path) -> list[str]:
    """A draft's path as the path into a mutation's input."""
    parts = [str(part) for part in path]
    if parts[:1] == ["config"] or parts[:1] == ["account_id"] or parts == ["action"]:
        parts = ["action", *parts]
    end = parts.index("config") if "config" in parts else len(parts)
    return [_RENAMED.get(part, part) for part in parts[:end]] + parts[end:]


def _flat(error: AreaError) -> Iterator[AreaError]:
    if isinstance(error, InvalidInputs):
        for problem in error.problems:
            yield from _flat(problem)
    else:
        yield error


def _user_error(error: AreaError) -> UserError:
    path = input_path(error.path)
    if isinstance(error, NotFound):
        return NotFoundError(code=error.code, message=error.message, path=path)
    if isinstance(error, Conflict):
        return ConflictError(code=error.code, message=error.message, path=path, current_version=error.current_version)
    if isinstance(error, LimitReached):
        return LimitError(
            code=error.code, message=error.message, path=path, limit=error.limit, retry_after=error.retry_after
        )
    if error.code == "ACCOUNT_REQUIRED":
        service = str(getattr(error, "service", ""))
        scopes = [str(scope) for scope in getattr(error, "missing_scopes", ())]
        return AccountRequiredError(
            code=error.code, message=error.message, path=path, service=service, missing_scopes=scopes
        )
    suggestion = error.suggestion if isinstance(error, InvalidInput) else None
    return InvalidInputError(code=error.code, message=error.message, path=path, suggestion=suggestion)
