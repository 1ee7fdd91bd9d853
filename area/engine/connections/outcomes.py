"""How an attempt to connect an account ended: codes that a frontend can show, and words where there is none."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Outcome(StrEnum):
    """What became of an attempt."""

    CONNECTED = "CONNECTED"
    SCOPES_MISSING = "SCOPES_MISSING"
    UNCONFIRMED = "UNCONFIRMED"
    MORE_CONSENT = "MORE_CONSENT"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    REPLAYED = "REPLAYED"
    FORGED = "FORGED"
    WRONG_USER = "WRONG_USER"
    WRONG_ACCOUNT = "WRONG_ACCOUNT"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_REFUSED = "PROVIDER_REFUSED"
    NOT_CONFIGURED = "NOT_CONFIGURED"


WORDS = {
    Outcome.CONNECTED: "The account is connected.",
    Outcome.SCOPES_MISSING: "The account is connected, but not everything that was asked for was allowed.",
    Outcome.UNCONFIRMED: "Almost done: confirm it where you are signed in.",
    Outcome.MORE_CONSENT: "One more consent is needed, so that nothing which was allowed before is lost.",
    Outcome.DENIED: "You said no, so nothing was connected.",
    Outcome.EXPIRED: "This took longer than ten minutes. Start again.",
    Outcome.REPLAYED: "This address was used before and is good only once. Start again if the account is not connected.",
    Outcome.FORGED: "This address was not made by us, or not for this. Nothing was connected.",
    Outcome.WRONG_USER: "Somebody else began this. Nothing was connected; start again yourself.",
    Outcome.WRONG_ACCOUNT: "That is another account than the one to connect again. Sign in there as the right one.",
    Outcome.PROVIDER_UNAVAILABLE: "The provider did not answer. Nothing was connected; try again in a moment.",
    Outcome.PROVIDER_REFUSED: "The provider refused. Nothing was connected; start again.",
    Outcome.NOT_CONFIGURED: "This service is not set up here. The operator has to do that first.",
}


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an attempt."""

    outcome: Outcome
    service: str
    message: str
    return_to: str | None = None
    account_id: UUID | None = None
    missing_scopes: tuple[str, ...] = ()
    code: str | None = None
    """What the user confirms it with, where the outcome is UNCONFIRMED."""
    next_url: str | None = None
    """The consent page to go to, where the outcome is MORE_CONSENT."""
