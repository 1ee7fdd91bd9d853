"""Signing up, in and out."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated

import strawberry
from strawberry import field

from area.auth.service import SignedIn
from area.graphql.context import Info
from area.graphql.fields import mutates
from area.graphql.payloads import AuthPayload, AuthSession, SignOutPayload
from area.graphql.viewer import viewer_of


@strawberry.input(description="A new account.")
class SignUpInput:
    """A new account."""

    email: str = field(description="The mail address to sign in with.")
    password: str = field(description="8 to 256 characters.")
    display_name: str | None = field(default=None, description="What to call you.")


@strawberry.input(description="Who signs in.")
class SignInInput:
    """Who signs in."""

    email: str = field(description="The mail address.")
    password: str = field(description="The password.")


@strawberry.input(description="Which session to renew.")
class RefreshSessionInput:
    """Which session to renew."""

    refresh_token: str = field(description="The newest refresh token; an older one ends the session.")


@strawberry.input(description="Which session to end.")
class SignOutInput:
    """Which session to end."""

    refresh_token: str | None = field(
        default=None, description="The session's refresh token; the session of this request when left out."
    )


@strawberry.type
class AuthMutations:
    """Signing up, in and out."""

    @mutates(AuthPayload, description="Create an account and sign in.")
    async def sign_up(
        self,
        info: Info,
        input: Annotated[SignUpInput, strawberry.argument(description="The account.")],
    ) -> AuthPayload | None:
        """Create an account and sign in."""
        return await _answer(info, info.context.auth.sign_up(input.email, input.password, input.display_name or ""))

    @mutates(AuthPayload, description="Sign in with mail and password.")
    async def sign_in(
        self,
        info: Info,
        input: Annotated[SignInInput, strawberry.argument(description="Who signs in.")],
    ) -> AuthPayload | None:
        """Sign in with mail and password."""
        return await _answer(info, info.context.auth.sign_in(input.email, input.password))

    @mutates(AuthPayload, description="Exchange a refresh token for new tokens.")
    async def refresh_session(
        self,
        info: Info,
        input: Annotated[RefreshSessionInput, strawberry.argument(description="Which session.")],
    ) -> AuthPayload | None:
        """Exchange a refresh token for new tokens."""
        return await _answer(info, info.context.auth.refresh(input.refresh_token))

    @mutates(
        SignOutPayload,
        description="End a session: its tokens are refused from now on; other processes learn of it within seconds.",
    )
    async def sign_out(
        self,
        info: Info,
        input: Annotated[SignOutInput, strawberry.argument(description="Which session.")],
    ) -> SignOutPayload | None:
        """End a session."""
        if input.refresh_token is not None:
            await info.context.auth.sign_out(input.refresh_token)
        else:
            await info.context.auth.end_session(info.context.person)
        return SignOutPayload()


async def _answer(info: Info, attempt: Awaitable[SignedIn]) -> AuthPayload:
    signed_in = await attempt
    info.context.sign_in(signed_in.caller)
    return AuthPayload(session=AuthSession.of(signed_in), viewer=await viewer_of(info))
