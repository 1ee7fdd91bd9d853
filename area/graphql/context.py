"""What every resolver is given: the platform, the caller, and loaders that are fresh for each request or event."""

from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

import strawberry
from graphql import GraphQLError

from area.auth.caller import Caller
from area.auth.service import AuthService
from area.engine.platform import Platform
from area.graphql.loaders import Loaders

BROWSER_COOKIE = "area_browser"
"""Says that a browser was signed in when a connection was begun there; see engine/connections/flow.py."""


@dataclass
class Context:
    """One operation's surroundings."""

    platform: Platform
    auth: AuthService
    caller: Caller | None = None
    client: str = "unknown"
    has_cookies: bool = False
    """Whether the answer can set a cookie: over HTTP it can, on a socket it cannot."""
    browser: str | None = None
    """The browser's cookie; what it is at the end of the operation is set where it changed."""
    asked_providers: int = 0
    """How many fields have had providers asked for their choices."""
    loaders: Loaders = field(init=False)
    resume_after: str | None = None
    """Where a stream that broke off goes on, when its transport says so; it goes before the argument `after`."""
    position: str | None = None
    """The cursor of the batch that a stream has just sent."""

    def __post_init__(self) -> None:
        self.renew()

    @property
    def user_id(self) -> UUID:
        """The caller's id. Raises: GraphQLError UNAUTHENTICATED."""
        if self.caller is None:
            raise GraphQLError(
                "Sign in first: send the access token as 'Authorization: Bearer <token>'.",
                extensions={"code": "UNAUTHENTICATED"},
            )
        return self.caller.user_id

    @property
    def payer(self) -> str:
        """Whose budget is used: the user's, or an anonymous client's."""
        return str(self.caller.user_id) if self.caller else self.client

    @property
    def person(self) -> Caller:
        """A caller who signed in: an API token cannot do everything that its owner can. Raises: GraphQLError."""
        _ = self.user_id
        if self.caller is None or not self.caller.is_session:
            raise GraphQLError("An API token may not do this; sign in.", extensions={"code": "FORBIDDEN"})
        return self.caller

    def renew(self) -> None:
        """Begin with empty loaders, so that what changed meanwhile is seen."""
        self.loaders = Loaders(self.platform.db, self.caller.user_id if self.caller else None)

    def next_batch(self, position: str) -> None:
        """Go on to a stream's next batch, whose cursor is ``position``."""
        self.position = position
        self.renew()

    def sign_in(self, caller: Caller) -> None:
        """Go on as this user, for the rest of the operation."""
        self.caller = caller
        self.renew()


Info: TypeAlias = strawberry.Info[Context, None]
