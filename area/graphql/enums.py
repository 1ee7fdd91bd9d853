"""The enumerations of the API: the upper-case names of what the database stores."""

from enum import Enum

import strawberry
from strawberry import enum_value


@strawberry.enum(description="Where a run is in its life.")
class RunStatus(Enum):
    """Where a run is in its life."""

    QUEUED = enum_value("queued", description="Waits for a worker.")
    RUNNING = enum_value("running", description="A worker executes it.")
    WAITING = enum_value("waiting", description="Waits for a moment or a retry, without a worker.")
    HELD = enum_value(
        "held",
        description="Stopped until a person decides whether a step took effect, or connects an account again.",
    )
    SUCCEEDED = enum_value("succeeded", description="Every step that had to succeed did. Final.")
    FAILED = enum_value("failed", description="A step failed for good. Final.")
    CANCELLED = enum_value("cancelled", description="Its owner ended it. Final.")


@strawberry.enum(description="Where a step is in its life.")
class StepStatus(Enum):
    """Where a step is in its life."""

    PENDING = enum_value("pending", description="Not begun.")
    RUNNING = enum_value("running", description="Being executed.")
    WAITING = enum_value("waiting", description="Waits for a moment or a retry.")
    SUCCEEDED = enum_value("succeeded", description="Done.")
    FAILED = enum_value("failed", description="Failed for good.")
    SKIPPED = enum_value("skipped", description="Its condition was false, or an earlier step ended the run.")
    UNKNOWN = enum_value("unknown", description="The call may or may not have happened.")


@strawberry.enum(description="What is known of a step's effect on the outside world.")
class Effect(Enum):
    """What is known of a step's effect on the outside world."""

    NONE = enum_value("none", description="Nothing came of it: it was not sent, or was refused.")
    INTENDED = enum_value("intended", description="About to be sent, or sent and not answered yet.")
    CONFIRMED = enum_value("confirmed", description="The provider answered.")
    UNKNOWN = enum_value("unknown", description="No answer came back: it may have happened.")


@strawberry.enum(description="Why a run exists.")
class RunCause(Enum):
    """Why a run exists."""

    EVENT = enum_value("event", description="An event of the AREA's action.")
    MANUAL = enum_value("manual", description="Its owner asked for it.")
    TEST = enum_value("test", description="Its owner tried the AREA out.")
    REPLAY = enum_value("replay", description="Its owner repeated an earlier run.")
    CALL = enum_value("call", description="A step of another run started it.")


@strawberry.enum(description="How an action's events reach the platform.")
class ActionDelivery(Enum):
    """How an action's events reach the platform."""

    POLL = enum_value("poll", description="The platform asks the provider at intervals.")
    WEBHOOK = enum_value("webhook", description="The provider calls the platform.")
    SCHEDULE = enum_value("schedule", description="The clock.")
    MANUAL = enum_value("manual", description="What the user's other AREAs do.")


@strawberry.enum(description="What a person answers to a step that asks for approval.")
class Decision(Enum):
    """What a person answers to a step that asks for approval."""

    APPROVE = enum_value("approve", description="Yes.")
    REJECT = enum_value("reject", description="No.")


@strawberry.enum(description="How a hook learns of events.")
class HookKind(Enum):
    """How a hook learns of events."""

    POLL = enum_value("poll", description="The platform asks the provider at intervals.")
    WEBHOOK = enum_value("webhook", description="The provider calls the platform.")
    SCHEDULE = enum_value("schedule", description="The clock.")
    MANUAL = enum_value("manual", description="What the user's other AREAs do.")


@strawberry.enum(description="Whether a hook works.")
class HookStatus(Enum):
    """Whether a hook works."""

    PENDING = enum_value("pending", description="The subscription at the provider is being made.")
    ACTIVE = enum_value("active", description="It works.")
    BROKEN = enum_value("broken", description="Its last attempts failed; it goes on trying.")
    ENDED = enum_value("ended", description="It has nothing more to fire.")
    UNUSED = enum_value("unused", description="No enabled AREA hangs on it.")


@strawberry.enum(description="What became of an event for an AREA.")
class DeliveryOutcome(Enum):
    """What became of an event for an AREA."""

    RAN = enum_value("ran", description="It started a run.")
    FILTERED = enum_value("filtered", description="A condition left it out.")
    DUPLICATE = enum_value("duplicate", description="It came again: it had fired already.")
    THROTTLED = enum_value("throttled", description="As many runs were live as the AREA allows, and it drops the rest.")
    PAUSED = enum_value("paused", description="The AREA was switched off, or switched itself off just then.")
    HELD = enum_value("held", description="Its run waits for a person.")
    REJECTED = enum_value("rejected", description="It was refused: not signed, or not to be read.")


@strawberry.enum(description="Whether a connected account can be used.")
class ConnectedAccountStatus(Enum):
    """Whether a connected account can be used."""

    ACTIVE = enum_value("active", description="It works.")
    EXPIRING = enum_value("expiring", description="Its consent ends soon.")
    NEEDS_RECONNECT = enum_value("needs_reconnect", description="Its consent is gone: connect it again.")
    REVOKED = enum_value("revoked", description="It was disconnected.")


@strawberry.enum(description="How an account was connected.")
class ConnectionMethod(Enum):
    """How an account was connected."""

    OAUTH2 = enum_value("oauth2", description="By its provider's consent page: `startConnection`.")
    KEY = enum_value("key", description="By what its owner typed in: `connectWithKey`.")


@strawberry.enum(description="How accounts of a service are connected.")
class AuthorizationKind(Enum):
    """How accounts of a service are connected."""

    NONE = enum_value("none", description="It needs no account.")
    OAUTH2 = enum_value("oauth2", description="By `startConnection`.")
    KEY = enum_value("key", description="By `connectWithKey`.")
    OAUTH2_OR_KEY = enum_value("oauth2_or_key", description="By either.")


@strawberry.enum(description="Whether an action or a reaction acts for a connected account.")
class AccountUse(Enum):
    """Whether an action or a reaction acts for a connected account."""

    REQUIRED = enum_value("required", description="It needs one.")
    OPTIONAL = enum_value("optional", description="It takes one, and does without.")
    NONE = enum_value("none", description="It takes none.")


@strawberry.enum(
    description="How an attempt to connect an account ended; `connection` in the address that the browser is sent to."
)
class ConnectionOutcome(Enum):
    """How an attempt to connect an account ended."""

    CONNECTED = enum_value("CONNECTED", description="The account is connected.")
    SCOPES_MISSING = enum_value(
        "SCOPES_MISSING", description="It is connected, but not all that was asked for was allowed."
    )
    UNCONFIRMED = enum_value(
        "UNCONFIRMED", description="The browser could not prove whose it is: call `confirmConnection` with `code`."
    )
    MORE_CONSENT = enum_value(
        "MORE_CONSENT", description="Send the browser to one more consent page, so that nothing allowed before is lost."
    )
    DENIED = enum_value("DENIED", description="The user said no at the provider.")
    EXPIRED = enum_value("EXPIRED", description="It took more than ten minutes.")
    REPLAYED = enum_value("REPLAYED", description="The address was used before.")
    FORGED = enum_value("FORGED", description="The address was not made here, or not for this.")
    WRONG_USER = enum_value("WRONG_USER", description="Somebody else began it.")
    WRONG_ACCOUNT = enum_value(
        "WRONG_ACCOUNT", description="The user consented with another account than the one to connect again."
    )
    PROVIDER_UNAVAILABLE = enum_value("PROVIDER_UNAVAILABLE", description="The provider did not answer; try again.")
    PROVIDER_REFUSED = enum_value("PROVIDER_REFUSED", description="The provider refused.")
    NOT_CONFIGURED = enum_value("NOT_CONFIGURED", description="The operator has yet to set the service up.")


@strawberry.enum(description="How a version's reactions follow one another.")
class ExecutionMode(Enum):
    """How a version's reactions follow one another."""

    SEQUENTIAL = enum_value("sequential", description="One after another, in the order given.")
    PARALLEL = enum_value("parallel", description="At once, except where `after` says otherwise.")


@strawberry.enum(description="How a document is written.")
class DocumentFormat(Enum):
    """How a document is written."""

    YAML = enum_value("yaml", description="For people.")
    JSON = enum_value("json", description="For programs.")


@strawberry.enum(description="What a run does when a reaction fails for good.")
class OnFailure(Enum):
    """What a run does when a reaction fails for good."""

    STOP = enum_value("stop", description="The run fails; the steps left are skipped.")
    CONTINUE = enum_value("continue", description="The run goes on with the next steps.")


@strawberry.enum(
    description="What becomes of an event when as many runs of its AREA are live as `maxConcurrentRuns` allows."
)
class OverlapPolicy(Enum):
    """What becomes of an event beyond the limit of runs at once."""

    QUEUE = enum_value("queue", description="Its run waits until another has ended.")
    DROP = enum_value("drop", description="It does not run; a delivery with the outcome THROTTLED says so.")
    REPLACE = enum_value("replace", description="It runs; the oldest live run is cancelled.")


@strawberry.enum(description="How much a log entry matters.")
class LogLevel(Enum):
    """How much a log entry matters."""

    DEBUG = enum_value("debug", description="Details.")
    INFO = enum_value("info", description="The usual course.")
    WARNING = enum_value("warning", description="Worth a look.")
    ERROR = enum_value("error", description="Something failed.")


@strawberry.enum(description="What a log entry tells.")
class LogKind(Enum):
    """What a log entry tells."""

    EVENT_RECEIVED = enum_value("event_received", description="The event came in.")
    RUN_STARTED = enum_value("run_started", description="A worker began the run.")
    STEP_STARTED = enum_value("step_started", description="A step began; `data.input` is what it was given.")
    STEP_SUCCEEDED = enum_value("step_succeeded", description="A step is done; `data.output` is what it returned.")
    STEP_FAILED = enum_value("step_failed", description="A step failed for good.")
    STEP_SKIPPED = enum_value("step_skipped", description="A step was left out.")
    STEP_WAITING = enum_value("step_waiting", description="A step waits for a moment.")
    STEP_RETRYING = enum_value("step_retrying", description="A step failed and will be tried again.")
    STEP_SETTLED = enum_value("step_settled", description="A person said what became of a step.")
    STEP_UNKNOWN = enum_value("step_unknown", description="No answer came back from a step's call.")
    LOG = enum_value("log", description="A line that the reaction wrote.")
    RUN_SUCCEEDED = enum_value("run_succeeded", description="The run is done.")
    RUN_FAILED = enum_value("run_failed", description="The run failed.")
    AREA_PAUSED = enum_value("area_paused", description="So many runs failed in a row that the AREA was switched off.")
    RUN_CANCELLED = enum_value("run_cancelled", description="Its owner ended the run.")
    RUN_WAITING = enum_value("run_waiting", description="The run waits without a worker.")
    RUN_HELD = enum_value(
        "run_held", description="The run stopped until a person decides, or connects an account again."
    )
    RUN_RESUMED = enum_value("run_resumed", description="The run goes on after a wait or a lost worker.")


def stored(value: Enum) -> str:
    """What the database stores for a value of these enumerations."""
    return value.name.lower()
