"""API tokens: what a user gives to a program instead of a password. Only their hashes are stored."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from area.auth.caller import ApiKey, Caller, Scope
from area.auth.errors import Unauthenticated
from area.auth.remembered import Remembered
from area.core.clock import now
from area.core.errors import AreaError, InvalidInput, InvalidInputs, LimitReached, NotFound
from area.core.ids import new_id
from area.db.models import ApiToken, User
from area.db.session import Database

PREFIX = "area_"
SHOWN = len(PREFIX) + 6
"""How much of a token is kept in the clear, so that its owner knows it again: 36 of its 256 secret bits."""
MOST = 50
"""Tokens that one user may have."""
MAX_NAME = 100
USED = """
UPDATE api_tokens SET last_used_at = now() WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
"""
FIND = "SELECT id, user_id, scopes, expires_at FROM api_tokens WHERE token_hash = $1 AND revoked_at IS NULL"


class ApiTokens:
    """Makes, revokes and reads API tokens. What a token may do is believed for ``seconds``, in each process."""

    def __init__(self, db: Database, seconds: float) -> None:
        self._db = db
        self._callers: Remembered[bytes, Caller | None] = Remembered(self._find, seconds)

    async def create(
        self, user_id: UUID, name: str, scopes: Iterable[Scope], expires_at: datetime | None = None
    ) -> tuple[ApiToken, str]:
        """A new token and its text, which cannot be had again. Raises: InvalidInputs, LimitReached."""
        wanted = sorted(set(scopes))
        _check(name, wanted, expires_at)
        text = PREFIX + secrets.token_urlsafe(32)
        async with self._db.sessions() as session:
            # The user's row makes two calls take turns, so that the limit holds.
            await session.execute(select(User.id).where(User.id == user_id).with_for_update())
            live = select(func.count()).select_from(ApiToken)
            live = live.where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
            if (await session.execute(live)).scalar_one() >= MOST:
                raise LimitReached(f"You have {MOST} API tokens, the most there may be; revoke one first.", limit=MOST)
            row = ApiToken(
                id=new_id(), user_id=user_id, name=name.strip(), prefix=text[:SHOWN], token_hash=hash_of(text),
                scopes=list(wanted), expires_at=expires_at, created_at=now(),
            )  # fmt: skip
            session.add(row)
            await session.commit()
        return row, text

    async def revoke(self, user_id: UUID, token_id: UUID) -> ApiToken:
        """End a token; one that has ended already stays as it is. Raises: NotFound."""
        own = (ApiToken.id == token_id, ApiToken.user_id == user_id)
        async with self._db.sessions() as session:
            ended = update(ApiToken).where(*own, ApiToken.revoked_at.is_(None)).values(revoked_at=now())
            await session.execute(ended)
            row = await session.scalar(select(ApiToken).where(*own))
            await session.commit()
        if row is None:
            raise NotFound("There is no such API token.", path=("id",))
        self._callers.forget(row.token_hash)
        return row

    async def read(self, text: str) -> Caller:
        """The user of a token. Raises: Unauthenticated."""
        caller = await self._callers.get(hash_of(text))
        if caller is None or (caller.expires_at is not None and caller.expires_at <= now()):
            raise Unauthenticated("The API token is not valid, has expired or was revoked. Create a new one.")
        return caller

    async def stands(self, key: ApiKey) -> bool:
        """Whether a token that was read is still good."""
        return await self._callers.get(key.hash) is not None

    async def _find(self, token_hash: bytes) -> Caller | None:
        row = await self._db.pool.fetchrow(FIND, token_hash)
        if row is None:
            return None
        await self._db.pool.execute(USED, row["id"])
        scopes = frozenset(Scope(scope) for scope in row["scopes"])
        return Caller(row["user_id"], row["expires_at"], ApiKey(token_hash), scopes)


def hash_of(text: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(text.encode()).digest()


def _check(name: str, scopes: list[Scope], expires_at: datetime | None) -> None:
    problems: list[AreaError] = []
    if not 1 <= len(name.strip()) <= MAX_NAME:
        problems.append(InvalidInput(f"A token's name has 1 to {MAX_NAME} characters.", path=("name",)))
    if not scopes:
        message = "Say what the token may do; READ is for queries and subscriptions, WRITE for mutations."
        problems.append(InvalidInput(message, path=("scopes",), suggestion="READ"))
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now()):
        message = "A token ends in the future: give a later moment, with its UTC offset, or leave it out."
        problems.append(InvalidInput(message, path=("expiresAt",)))
    if problems:
        raise InvalidInputs(problems)
