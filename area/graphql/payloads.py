"""What mutations answer: the entity, and the expected failures."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.auth.service import SignedIn
from area.engine.trials import Trial
from area.graphql.areas import Area
from area.graphql.enums import LogLevel
from area.graphql.errors import ERRORS, UserError
from area.graphql.runs import Run, RunFailure, level_of
from area.graphql.viewer import Viewer


@strawberry.type(description="Tokens of a signed-in device.")
class AuthSession:
    """Tokens of a signed-in device."""

    access_token: str = field(description="Send it as 'Authorization: Bearer <token>'.")
    refresh_token: str = field(description="Exchange it by `refreshSession`, once, for new tokens.")
    expires_at: datetime = field(description="When the access token ends.")

    @classmethod
    def of(cls, signed_in: SignedIn) -> AuthSession:
        """The session as the API shows it."""
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_at=signed_in.expires_at,
        )


@strawberry.type(description="The answer of signUp, signIn and refreshSession.")
class AuthPayload:
    """The answer of signUp, signIn and refreshSession."""

    session: AuthSession | None = field(default=None, description="The tokens; null when it failed.")
    viewer: Viewer | None = field(default=None, description="The user who is signed in now.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of signOut.")
class SignOutPayload:
    """The answer of signOut."""

    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations that make or change an AREA.")
class AreaPayload:
    """The answer of the mutations that make or change an AREA."""

    area: Area | None = field(default=None, description="The AREA as it is now; null when it failed.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of deleteArea.")
class DeleteAreaPayload:
    """The answer of deleteArea."""

    deleted_id: strawberry.ID | None = field(default=None, description="The id of what was deleted.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of replayRuns.")
class ReplayRunsPayload:
    """The answer of replayRuns."""

    count: int = field(default=0, description="How many replays were made.")
    skipped: int = field(
        default=0, description="How many runs cannot be repeated so: their version or the step is gone."
    )
    cursor: str | None = field(default=None, description="Pass it as `after` to go on; null when nothing was found.")
    has_more: bool = field(default=False, description="Whether there are more to repeat.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations that start or end a run.")
class RunPayload:
    """The answer of the mutations that start or end a run."""

    run: Run | None = field(default=None, description="The run; null when it failed.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="A line that a reaction logged while it was tried out.")
class TrialLine:
    """A line that a reaction logged while it was tried out."""

    level: LogLevel = field(description="How much it matters.")
    message: str = field(description="The line.")


@strawberry.type(description="What came of trying out one reaction.")
class ReactionTrial:
    """What came of trying out one reaction."""

    input: JSON | None = field(description="What the reaction was given, templates filled in and secrets masked.")
    output: JSON | None = field(description="What it returned; null when it failed or waits.")
    failure: RunFailure | None = field(description="Why it failed.")
    waits_until: datetime | None = field(description="Where it would wait in a run; nothing more was tried then.")
    ends_run: str | None = field(description="Why a run would end with it, where it would.")
    log: list[TrialLine] = field(description="What it logged.")
    duration_ms: float = field(description="How long the call took, in milliseconds.")

    @classmethod
    def of(cls, trial: Trial) -> ReactionTrial:
        """The engine's trial as the API shows it."""
        return cls(
            input=cast(JSON | None, trial.input),
            output=cast(JSON | None, trial.output),
            failure=RunFailure.of(trial.error),
            waits_until=trial.waits_until,
            ends_run=trial.ends_run,
            log=[TrialLine(level=level_of(level), message=message) for level, message in trial.lines],
            duration_ms=trial.duration_ms,
        )


@strawberry.type(description="The answer of testReaction.")
class TestReactionPayload:
    """The answer of testReaction."""

    trial: ReactionTrial | None = field(default=None, description="What came of it; null when it was not tried.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)
