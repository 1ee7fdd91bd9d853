"""The service itself: an account by an app password, its sessions, and what refusals mean.

Facts: https://docs.bsky.app/docs/api/com-atproto-server-create-session (and refresh-session, get-session),
https://docs.bsky.app/docs/advanced-guides/rate-limits, https://atproto.com/specs/xrpc#error-responses,
https://atproto.com/specs/handle, https://atproto.com/specs/did
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import read
from area.nodes._instance import INSTANCE, address

HOME = "https://bsky.social"
NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
"""A handle, which is a host name."""
DID = r"did:[a-z]{1,32}:[A-Za-z0-9._:%-]{1,500}"
"""An account's id, which stays when its handle changes."""
ENDED = frozenset({"ExpiredToken", "InvalidToken"})
GONE = frozenset({"RecordNotFound", "HandleNotFound", "NotFound", "BlockedActor", "BlockedByActor"})
NO_ACCOUNT = frozenset({"AccountTakedown", "AccountDeactivated", "AccountSuspended"})
UNKNOWN_NAMES = ("profile not found", "actor not found", "could not locate record", "unable to resolve handle")
"""Words of what is gone where the error's name says no more than InvalidRequest."""
TOO_LONG = ("grapheme", "must not be longer")


class Login(sdk.Inputs):
    """An account, by a password of its own for apps."""

    identifier: str = Field(
        title="Handle",
        description="Your name on Bluesky, such as ada.bsky.social; an e-mail address or a DID will do.",
        pattern=rf"^(?:@?{NAME}|{DID}|[^@\s]{{1,64}}@{NAME})$",
        max_length=600,
        examples=["ada.bsky.social"],
    )
    password: Annotated[str, sdk.Secret] = Field(
        title="App password",
        description="Four times four characters; never the password of the account itself.",
        pattern=r"^[A-Za-z0-9]{4}(?:-[A-Za-z0-9]{4}){3}$",
        examples=["abcd-efgh-ijkl-mnop"],
    )
    server: str | None = Field(
        None,
        title="Server",
        description="Where the account is hosted; left out, Bluesky itself.",
        pattern=INSTANCE,
        max_length=270,
        examples=["bsky.social"],
    )


def base_url(credentials: Mapping[str, Any]) -> str:
    """The server that was typed in; empty for the service's own."""
    server = credentials.get("server")
    return address(str(server)) if server else ""


def judge(response: httpx.Response) -> None:
    """Raise what a refusal means; a session that has ended comes with status 400. Waits are read by the common parser."""
    status, name, said = response.status_code, *_error(response)
    if not 400 <= status < 500 or status in (408, 429) or sdk.throttled(response) is not None or not name:
        return
    if name in ENDED:
        raise sdk.Reconnect(f"The session has ended ({name}). Connect the account again.")
    if name in NO_ACCOUNT:
        raise sdk.Reconnect(f"The account is closed or suspended ({name}): {said}")
    if name == "AuthFactorTokenRequired":
        raise sdk.Rejected("Bluesky asks for a second factor: use an app password.", code="APP_PASSWORD_NEEDED")
    if status == 401:
        if response.request.url.path.endswith("createSession"):
            raise sdk.Rejected(
                f"Bluesky does not know this handle with this app password: {said}", code="WRONG_PASSWORD"
            )
        return
    if status == 404 or name in GONE or any(words in said.lower() for words in UNKNOWN_NAMES):
        raise sdk.Rejected(f"Bluesky does not have this, or does not show it: {said or name}", code="GONE")
    if any(words in said for words in TOO_LONG):
        raise sdk.Rejected(f"The post is too long: shorten its text. Bluesky says: {said}", code="TOO_LONG")
    raise sdk.Rejected(f"Bluesky cannot accept this ({name}): {said}", code="REFUSED")


def _error(response: httpx.Response) -> tuple[str, str]:
    """The name of an error and its words."""
    body = body_of(response)
    name, said = body.get("error"), body.get("message")
    return (name if isinstance(name, str) else "")[:100], " ".join(said.split())[:300] if isinstance(said, str) else ""


def body_of(response: httpx.Response) -> dict[str, Any]:
    """The object in an answer; empty where there is none."""
    found = read(response)
    return found if isinstance(found, dict) else {}


async def open_session(ctx: sdk.Context, typed: Mapping[str, Any]) -> sdk.Grant:
    """A session by the app password. They are few (30 in 5 minutes, 300 a day), so one is kept and prolonged."""
    asked = {"identifier": str(typed["identifier"]).removeprefix("@"), "password": typed["password"]}
    return _grant(ctx, await ctx.client_http.post(_at(typed, "com.atproto.server.createSession"), json=asked))


async def prolong(ctx: sdk.Context, refresh_token: str) -> sdk.Grant:
    """The next session after one; its refresh token can be used once."""
    url = _at(ctx.credentials, "com.atproto.server.refreshSession")
    headers = {"Authorization": f"Bearer {refresh_token}"}
    return _grant(ctx, await ctx.client_http.post(url, headers=headers))


def _at(credentials: Mapping[str, Any], method: str) -> str:
    return f"{base_url(credentials)}/xrpc/{method}"


def _grant(ctx: sdk.Context, response: httpx.Response) -> sdk.Grant:
    body = body_of(response)
    access, refresh = body.get("accessJwt"), body.get("refreshJwt")
    if not isinstance(access, str) or not isinstance(refresh, str) or not access or not refresh:
        raise sdk.Unavailable("Bluesky opened no session: its answer holds no tokens.")
    if body.get("active") is False:
        raise sdk.Rejected(f"The account is not active: {body.get('status') or 'closed'}", code="NO_ACCOUNT")
    ends = _end_of(access)
    return sdk.Grant(access, refresh, (ends - ctx.now()).total_seconds() if ends and ends > ctx.now() else None)


def _end_of(token: str) -> datetime | None:
    """When a JWT ends, in UTC; None when it does not say. It is not verified, and nothing but the time of a refresh hangs on it."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


service = sdk.Service(
    key="bluesky",
    name="Bluesky",
    description="Reacts to mentions and to an account's posts; writes and reposts posts.",
    base_url=HOME,
    docs_url="https://docs.bsky.app/docs/category/http-reference",
    key_auth=sdk.Key(
        fields=Login,
        base_url=base_url,
        open=open_session,
        refresh=prolong,
        help="In Bluesky: Settings, Privacy and security, App passwords, Add app password.",
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose session it is."""
    found = await ask(ctx, "com.atproto.server.getSession")
    did, handle = found.get("did"), found.get("handle")
    if not isinstance(did, str) or not did or not isinstance(handle, str):
        raise sdk.Unavailable("Bluesky does not say whose session this is.")
    return sdk.Profile(did, f"@{handle}", facts={"did": did, "handle": handle})


async def ask(ctx: sdk.Context, method: str, **parameters: str | list[str] | None) -> dict[str, Any]:
    """The answer to a query; parameters that are None are left out."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return body_of(await ctx.http.get(f"/xrpc/{method}", params=given))


async def did_of(ctx: sdk.Context, who: str) -> str:
    """The DID of a handle, or of a DID itself. Raises: Rejected (GONE) when there is no such account."""
    if who.startswith("did:"):
        return who
    found = (await ask(ctx, "com.atproto.identity.resolveHandle", handle=who)).get("did")
    if not isinstance(found, str) or not found.startswith("did:"):
        raise sdk.Unavailable(f"Bluesky does not say whose handle {who} is.")
    return found
