"""What mutations answer: the entity, and the expected failures."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import field

from area.auth.service import SignedIn
from area.graphql.areas import Area
from area.graphql.errors import ERRORS, UserError
from area.graphql.runs import Run
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
