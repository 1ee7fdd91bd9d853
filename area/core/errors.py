"""Expected failures, in the words that the user reads.

``AreaError`` is the root. ``InvalidInput`` (the value at ``path`` is wrong), ``NotFound``, ``Conflict`` (somebody else was first),
``AccountRequired`` and ``LimitReached`` become typed errors of the API; ``InvalidInputs`` carries several at once.
"""

from collections.abc import Sequence

Path = tuple[str | int, ...]


class CommandError(Exception):
    """A command of ``area`` cannot go on; the message is for a terminal: what happened, and the way out."""


class AreaError(Exception):
    """An expected failure. ``code`` is stable; ``message`` says what happened, to which thing, and what to do next."""

    def __init__(self, message: str, *, code: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.path: Path = tuple(path)


class InvalidInput(AreaError):
    """The value at ``path`` is wrong; ``suggestion`` is what was probably meant."""

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str | int] = (),
        suggestion: str | None = None,
        code: str = "INVALID_INPUT",
    ) -> None:
        super().__init__(message, code=code, path=path)
        self.suggestion = suggestion


class InvalidInputs(AreaError):
    """Several wrong values, found in one go; nothing was saved."""

    def __init__(self, problems: Sequence[AreaError]) -> None:
        super().__init__("; ".join(problem.message for problem in problems), code="INVALID_INPUT")
        self.problems = list(problems)


class NotFound(AreaError):
    """No such thing, or not the caller's."""

    def __init__(self, message: str, *, path: Sequence[str | int] = ()) -> None:
        super().__init__(message, code="NOT_FOUND", path=path)


class Conflict(AreaError):
    """Somebody else changed it first; ``current_version`` is what it is now."""

    def __init__(self, message: str, *, current_version: int | None = None, path: Sequence[str | int] = ()) -> None:
        super().__init__(message, code="CONFLICT", path=path)
        self.current_version = current_version


class AccountRequired(AreaError):
    """A connected account of ``service`` is missing at ``path``, or its owner has yet to consent to ``missing_scopes``."""

    def __init__(
        self, message: str, *, service: str, missing_scopes: Sequence[str] = (), path: Sequence[str | int] = ()
    ) -> None:
        super().__init__(message, code="ACCOUNT_REQUIRED", path=path)
        self.service = service
        self.missing_scopes = tuple(missing_scopes)


class LimitReached(AreaError):
    """A limit was reached; ``retry_after`` is in seconds where waiting helps."""

    def __init__(
        self, message: str, *, limit: int, retry_after: float | None = None, path: Sequence[str | int] = ()
    ) -> None:
        super().__init__(message, code="LIMIT_REACHED", path=path)
        self.limit = limit
        self.retry_after = retry_after
