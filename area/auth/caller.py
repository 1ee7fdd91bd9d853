"""Who is calling: reads the ``Authorization`` header of a request or of a WebSocket's first message."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from area.auth.errors import Unauthenticated
from area.auth.service import AuthService

__all__ = ["Caller", "Unauthenticated", "authenticate"]

_MAX_TOKEN = 8192


@dataclass(frozen=True)
class Caller:
    """A signed-in user, until ``expires_at``."""

    user_id: UUID
    expires_at: datetime


async def authenticate(auth: AuthService, authorization_header: str | None) -> Caller | None:
    """The caller, or None when nobody says who they are.

    Raises: Unauthenticated when a token is given and is not valid.
    """
    if authorization_header is None or not authorization_header.strip():
        return None
    scheme, _, token = authorization_header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the access token as 'Authorization: Bearer <token>'.")
    if len(token) > _MAX_TOKEN:
        raise Unauthenticated("The access token is too long to be one of ours. Sign in again.")
    user_id, expires_at = await auth.read_access_token(token)
    return Caller(user_id, expires_at)
