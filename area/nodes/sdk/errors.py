"""What a node may raise. Each class says what the engine must do next, not what happened.

- ``NodeError``
  - ``Rejected``: the user must change something; no retry.
  - ``Throttled``: wait ``retry_after`` seconds and try again; not counted as an attempt.
  - ``Unavailable``: retry with backoff.
    - ``Unheard``: the same where the call may be repeated, else as ``Unknown``.
  - ``Reconnect``: the account's consent is gone; park the run and mark the account.
  - ``Unknown``: the call may have happened; ask ``reconcile``, or stop for a human.
  - ``BadSignature``: a webhook delivery that its sender did not sign.
  - ``SubscriptionEnded``: the provider delivers no more; subscribe again.
  - ``InvalidInput``: refused at save time.
- ``ControlFlow``, which is not a failure
  - ``Park``: call me again at ``until``.
  - ``StopRun``: the run succeeded; skip the rest.
  - ``Filtered``: the same, and the run's outcome is "filtered".
"""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel


class NodeError(Exception):
    """A failure of one call. ``message`` is shown to the user; ``code`` is stable.

    Where one input is to blame, ``field`` is its name, and ``suggestion`` a value for it that should do.
    """

    default_code: ClassVar[str] = "NODE_ERROR"

    def __init__(
        self, message: str, code: str | None = None, *, field: str | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.suggestion = suggestion


class Rejected(NodeError):
    """The user must change something before this can work; a retry would not help."""

    default_code = "REJECTED"


class Throttled(NodeError):
    """The provider asks to wait; ``retry_after`` is in seconds."""

    default_code = "THROTTLED"

    def __init__(self, message: str, retry_after: float = 30.0, code: str | None = None) -> None:
        super().__init__(message, code)
        self.retry_after = retry_after


class Unavailable(NodeError):
    """The provider failed, and nothing happened there; a later attempt may succeed."""

    default_code = "UNAVAILABLE"


class Unheard(Unavailable):
    """A gateway gave up on the provider, which may have done what it was asked: tried again where that does no harm."""


class Reconnect(NodeError):
    """The account's consent is gone; only its owner can renew it."""

    default_code = "RECONNECT"


class Unknown(NodeError):
    """No answer came back: the call may or may not have happened."""

    default_code = "UNKNOWN"


class BadSignature(NodeError):
    """A webhook delivery whose signature is missing or wrong; answered 401, or by ``status`` where the provider's rules say so."""

    default_code = "BAD_SIGNATURE"

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class SubscriptionEnded(NodeError):
    """A delivery, or a probe, at a hook of its own says that the provider has ended the subscription; it is made again.

    ``again_after`` is how long after, in seconds.
    """

    default_code = "SUBSCRIPTION_ENDED"

    def __init__(self, message: str, again_after: float = 20.0) -> None:
        super().__init__(message)
        self.again_after = again_after


class InvalidInput(NodeError):
    """An input that its type allows and that still cannot work, found at save time."""

    default_code = "INVALID_INPUT"

    def __init__(self, field: str, message: str, suggestion: str | None = None) -> None:
        super().__init__(message, suggestion=suggestion)
        self.field: str = field


class ControlFlow(Exception):
    """Not a failure: what the run does next."""


class Park(ControlFlow):
    """Wait until ``until`` (UTC) without a worker; the reaction is then called again with ``ctx.resumed`` set."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"waiting until {until.isoformat()}")
        self.until = until


class StopRun(ControlFlow):
    """Finish the run as succeeded and skip the steps that are left; ``output`` is the step's."""

    def __init__(self, reason: str = "", output: BaseModel | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output


class Filtered(StopRun):
    """Finish the run with the outcome "filtered" and skip the steps that are left."""
