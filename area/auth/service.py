"""Signing up, in and out, and reading access tokens. Each method is one unit of work."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import httpx
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer
from sqlalchemy.sql.elements import ColumnElement

from area.auth import passwords, tokens
from area.auth.api_tokens import PREFIX, ApiTokens
from area.auth.attempts import Buckets
from area.auth.caller import ApiKey, Caller, SessionKey
from area.auth.errors import Unauthenticated
from area.auth.remembered import Remembered
from area.auth.supabase import SupabaseTokens, SupabaseUser
from area.core.clock import now
from area.core.errors import AreaError, Conflict, InvalidInput, InvalidInputs, LimitReached
from area.core.ids import new_id
from area.core.settings import Settings
from area.db.models import Session, User
from area.db.session import Database

RECHECK = 5.0
"""Seconds for which a session or an API token is believed to stand: what is revoked elsewhere is out after this."""
STANDS = "SELECT revoked_at IS NULL AND expires_at > now() FROM sessions WHERE id = $1"
ATTEMPTS = 10
ATTEMPTS_PER_SECOND = 1 / 30
_MAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)*")
_KNOWN_USERS = 10_000
_MAX_TOKEN = 8192


@dataclass(frozen=True)
class SignedIn:
    """A session that was opened or renewed; the refresh token is good for one use."""

    user_id: UUID
    session_id: UUID
    access_token: str
    refresh_token: str
    expires_at: datetime

    @property
    def caller(self) -> Caller:
        """Who has just been let in."""
        return Caller(self.user_id, self.expires_at, SessionKey(self.session_id))


class AuthService:
    """Accounts with mail and password, sessions with rotated refresh tokens, and Supabase's tokens when set."""

    def __init__(
        self, db: Database, settings: Settings, client: httpx.AsyncClient | None = None, *, recheck: float = RECHECK
    ) -> None:
        self._sessions = db.sessions
        self._pool = db.pool
        self.recheck = recheck
        self.api_tokens = ApiTokens(db, recheck)
        self._standing: Remembered[UUID, bool] = Remembered(self._stands, recheck)
        self._access = tokens.AccessTokens(
            settings.secret_key.get_secret_value(), settings.access_token_seconds, settings.other_keys
        )
        self._refresh_life = timedelta(seconds=settings.refresh_token_seconds)
        self._attempts = Buckets(ATTEMPTS, ATTEMPTS_PER_SECOND)
        self._supabase = SupabaseTokens(settings, client) if settings.supabase_url else None
        self._known: set[tuple[UUID, str]] = set()

    async def authenticate(self, authorization: str | None) -> Caller | None:
        """The caller by an ``Authorization`` header, or None when nobody says who they are.

        Raises: Unauthenticated when a token is given and is not valid.
        """
        if authorization is None or not authorization.strip():
            return None
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send the access token as 'Authorization: Bearer <token>'.")
        if len(token) > _MAX_TOKEN:
            raise Unauthenticated("The access token is too long to be one of ours. Sign in again.")
        if token.startswith(PREFIX):
            return await self.api_tokens.read(token)
        return await self._read_access_token(token)

    async def problem(self, caller: Caller) -> str | None:
        """Why a caller who was let in may not stay, or None. A revoked credential is seen after `recheck` seconds."""
        if caller.expires_at is not None and caller.expires_at <= now():
            return "The access token has expired"
        match caller.credential:
            case SessionKey(session_id):
                stands = await self._standing.get(session_id)
            case ApiKey() as key:
                stands = await self.api_tokens.stands(key)
            case None:
                return None
        return None if stands else "The access token was revoked"

    async def _read_access_token(self, token: str) -> Caller:
        try:
            caller = self._access.read(token)
        except Unauthenticated:
            if self._supabase is None:
                raise
        else:
            if problem := await self.problem(caller):
                raise Unauthenticated(f"{problem}. Sign in again.")
            return caller
        user = await self._supabase.read(token)
        await self._remember(user)
        return Caller(user.user_id, user.expires_at)

    async def _stands(self, session_id: UUID) -> bool:
        return bool(await self._pool.fetchval(STANDS, session_id))

    async def sign_up(self, email: str, password: str, display_name: str = "") -> SignedIn:
        """Create an account and open its first session. Raises: InvalidInputs, Conflict, LimitReached."""
        email = _checked(email, password, display_name)
        self._spend(email)
        password_hash = await passwords.hash_password(password)
        user_id = new_id()
        async with self._sessions() as session:
            session.add(User(id=user_id, email=email, display_name=display_name.strip(), password_hash=password_hash))
            try:
                await session.flush()
            except IntegrityError:
                raise Conflict(f"There is an account for {email} already. Sign in instead.", path=("email",)) from None
            signed_in = self._open(session_row := Session(id=new_id(), user_id=user_id))
            session.add(session_row)
            await session.commit()
        return signed_in

    async def sign_in(self, email: str, password: str) -> SignedIn:
        """Open a session. Raises: InvalidInput (the same for an unknown mail and a wrong password), LimitReached."""
        email = email.strip().lower()
        self._spend(email)
        async with self._sessions() as session:
            user = await session.scalar(select(User).where(User.email == email).options(undefer(User.password_hash)))
        stored = user.password_hash if user else None
        if not await passwords.verify_password(stored, password[: passwords.MAX_LENGTH]) or user is None:
            raise InvalidInput("The mail or the password is wrong.", path=("password",), code="WRONG_CREDENTIALS")
        self._attempts.clear(email)
        async with self._sessions() as session:
            signed_in = self._open(row := Session(id=new_id(), user_id=user.id))
            session.add(row)
            await session.commit()
        return signed_in

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Exchange a refresh token for new tokens; an old one that comes back ends the session. Raises: InvalidInput."""
        async with self._sessions() as session:
            row = await self._session(session, refresh_token)
            if row.refresh_hash != tokens.hash_refresh_token(refresh_token):
                row.revoked_at = now()
                await session.commit()
                self._standing.forget(row.id)
                raise _refused()
            signed_in = self._open(row)
            await session.commit()
        return signed_in

    async def sign_out(self, refresh_token: str) -> None:
        """End the session of a refresh token, its access tokens too; one that is not known is already out."""
        try:
            session_id = tokens.session_of(refresh_token)
        except Unauthenticated:
            return
        await self._end(session_id, Session.refresh_hash == tokens.hash_refresh_token(refresh_token))

    async def end_session(self, caller: Caller) -> None:
        """End the session that a caller signed in to; without one there is nothing to end here."""
        if isinstance(caller.credential, SessionKey):
            await self._end(caller.credential.id, Session.user_id == caller.user_id)

    async def _end(self, session_id: UUID, is_theirs: ColumnElement[bool]) -> None:
        ended = update(Session).where(Session.id == session_id, is_theirs, Session.revoked_at.is_(None))
        async with self._sessions() as session:
            await session.execute(ended.values(revoked_at=now()))
            await session.commit()
        self._standing.forget(session_id)

    async def _session(self, session: AsyncSession, refresh_token: str) -> Session:
        try:
            session_id = tokens.session_of(refresh_token)
        except Unauthenticated:
            raise _refused() from None
        # The lock makes two uses of one token take turns, so that only one wins.
        row = await session.scalar(select(Session).where(Session.id == session_id).with_for_update())
        if row is None or row.revoked_at is not None or row.expires_at <= now():
            raise _refused()
        return row

    def _open(self, row: Session) -> SignedIn:
        refresh_token = tokens.new_refresh_token(row.id)
        row.refresh_hash = tokens.hash_refresh_token(refresh_token)
        row.expires_at = now() + self._refresh_life
        access = self._access.issue(row.user_id, row.id)
        return SignedIn(row.user_id, row.id, access.value, refresh_token, access.expires_at)

    def _spend(self, email: str) -> None:
        wait = self._attempts.spend(email)
        if wait is not None:
            raise LimitReached(
                f"Too many attempts for this mail. Try again in {int(wait) + 1} seconds.",
                limit=ATTEMPTS,
                retry_after=wait,
                path=("email",),
            )

    async def _remember(self, user: SupabaseUser) -> None:
        if (user.user_id, user.email) in self._known:
            return
        row = insert(User).values(id=user.user_id, email=user.email, display_name=user.display_name)
        async with self._sessions() as session:
            try:
                await session.execute(
                    row.on_conflict_do_update(index_elements=[User.id], set_={"email": row.excluded.email})
                )
                await session.commit()
            except IntegrityError:
                raise Unauthenticated(f"{user.email} belongs to another account here. Sign in with that one.") from None
        if len(self._known) >= _KNOWN_USERS:
            self._known.clear()
        self._known.add((user.user_id, user.email))


def _refused() -> InvalidInput:
    return InvalidInput(
        "The refresh token is not valid any more. Sign in again.", path=("refreshToken",), code="WRONG_CREDENTIALS"
    )


def _checked(email: str, password: str, display_name: str) -> str:
    email = email.strip().lower()
    problems: list[AreaError] = []
    if len(email) > 254 or not _MAIL.fullmatch(email):
        problems.append(InvalidInput("This is not a mail address, such as ada@example.com.", path=("email",)))
    if not passwords.MIN_LENGTH <= len(password) <= passwords.MAX_LENGTH:
        problems.append(
            InvalidInput(
                f"A password has {passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} characters; this has {len(password)}.",
                path=("password",),
            )
        )
    if len(display_name) > 100:
        problems.append(InvalidInput("A display name has at most 100 characters.", path=("displayName",)))
    if problems:
        raise InvalidInputs(problems)
    return email
