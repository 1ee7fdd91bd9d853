"""The service itself: accounts, what Twitch's answers mean, and whose channel is meant.

Accounts: https://dev.twitch.tv/docs/authentication/ and https://dev.twitch.tv/docs/authentication/validate-tokens/
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, BeforeValidator, Field

from area.nodes import sdk
from area.nodes._answers import read, strange

TOKEN_URL = "https://id.twitch.tv/oauth2/token"  # noqa: S105 - an address
ADDRESS = r"^(https?://)?((www|m)\.)?(twitch\.tv/)?@?[A-Za-z0-9_]{1,25}/?$"
SOON = 5.0
"""Seconds to wait when Twitch asks for patience and does not say how long: one announcement is allowed every two seconds."""
LONGEST = 3600.0
"""Seconds: buckets are full again within minutes."""


class Exists(sdk.Rejected):
    """409: what was to be made is there already."""


class Gone(sdk.Rejected):
    """404: what was to be removed is not there any more."""


def authorise(request: httpx.Request, token: str, settings: Mapping[str, str]) -> None:
    """A bearer token with the id of the app it was given to; the validation of tokens has a form of its own."""
    if request.url.path.endswith("/oauth2/validate"):
        request.headers["Authorization"] = f"OAuth {token}"
        return
    request.headers["Authorization"] = f"Bearer {token}"
    request.headers["Client-Id"] = settings.get("client_id", "")


def read_grant(body: Any) -> sdk.Grant:
    """Tokens; a refusal has words and no code: https://dev.twitch.tv/docs/authentication/refresh-tokens/

    Raises: GrantRefused, whose code says whether the account, the app or the moment is to blame.
    """
    if not isinstance(body, Mapping) or "access_token" in body:
        return sdk.read_grant(body)
    said = str(body.get("message") or "")
    if "refresh token" in said.lower() or "authorization code" in said.lower():
        raise sdk.GrantRefused("invalid_grant", said)
    raise sdk.GrantRefused("invalid_client" if "client" in said.lower() else "temporarily_unavailable", said)


MEANINGS: dict[tuple[str, str, int], tuple[type[sdk.NodeError], str]] = {
    ("POST", "/chat/messages", 403): (
        sdk.Rejected,
        "The account may not write in this chat: it is banned or timed out there, or the chat is restricted.",
    ),
    ("POST", "/chat/messages", 422): (sdk.Rejected, "The message is too long for Twitch: shorten it."),
    ("POST", "/clips", 403): (
        sdk.Rejected,
        "The account may not make clips of this channel: clips are off or restricted there, or the account is banned.",
    ),
    ("POST", "/clips", 404): (sdk.Rejected, "Clips are made of live streams, and this channel is not live."),
    ("POST", "/streams/markers", 403): (sdk.Rejected, "Only the broadcaster and the channel's editors set markers."),
    ("POST", "/streams/markers", 404): (
        sdk.Rejected,
        "A marker needs a live stream that is recorded (the channel's setting Store past broadcasts), and no rerun.",
    ),
    ("GET", "/channel_points/custom_rewards", 403): (
        sdk.Rejected,
        "Only channels of Twitch affiliates and partners have rewards for channel points.",
    ),
    ("POST", "/eventsub/subscriptions", 403): (
        sdk.Rejected,
        "Twitch does not have the account's consent for these events: connect it again, and allow them.",
    ),
    ("POST", "/eventsub/subscriptions", 409): (Exists, "The subscription exists already."),
    ("DELETE", "/eventsub/subscriptions", 404): (Gone, "The subscription is gone already."),
}
"""Method, end of the path and status to what it means to the user; the statuses are those of the API reference."""


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at Twitch; other 401s are left to whoever can refresh the token."""
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED and "scope" in words(response).lower():
        # The account is good for everything else.
        told = f"The account has not allowed this: connect it again, and allow it. Twitch says: {words(response)}"
        raise sdk.Rejected(told, code="MISSING_SCOPE")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise _patience(response)
    if response.is_redirect:
        raise sdk.Rejected(f"{response.request.url.host} answered {status}, a redirect, which Twitch's API never does.")
    for (method, path, refused), (error, meaning) in MEANINGS.items():
        if (method, refused) == (response.request.method, status) and response.request.url.path.endswith(path):
            said = words(response)
            raise error(f"{meaning} Twitch says: {said}" if said else meaning)


def _patience(response: httpx.Response) -> sdk.NodeError:
    """A 429 has no Retry-After: the bucket's own headers say when it is full again."""
    said, limits = words(response) or "too many requests", sdk.read_limits(response)
    if limits and limits.remaining:
        # Not the bucket, but a limit of this call's own.
        if response.request.url.path.endswith("/eventsub/subscriptions"):
            return sdk.Rejected(f"Twitch gives this app no more subscriptions of this kind: {said}")
        return sdk.Throttled(f"Twitch asks to go slower: {said}", retry_after=SOON)
    wait = min(max(sdk.retry_after(response), 1.0), LONGEST)
    return sdk.Throttled(f"Twitch asks to wait: {said}", retry_after=wait)


def words(response: httpx.Response) -> str:
    """Twitch's own words in an error: the ``message`` of ``{error, status, message}``."""
    body = read(response)
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(message.split())[:300] if isinstance(message, str) else ""


def data(response: httpx.Response, *needed: str) -> list[dict[str, Any]]:
    """The ``data`` of an answer, each item with the texts that are ``needed``.

    Raises: Unavailable when it is something else, or Unknown where the call may have done something.
    """
    body = read(response)
    found = body.get("data") if isinstance(body, dict) else None
    if isinstance(found, list) and all(_has(item, needed) for item in found):
        return found
    raise strange(response)


def only(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """The one item of an answer about ``what``. Raises: Unknown when there is none."""
    if not found:
        raise sdk.Unknown(f"Twitch accepted {what} and did not say what became of it.")
    return found[0]


def _has(item: Any, needed: tuple[str, ...]) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in needed)


service = sdk.Service(
    key="twitch",
    name="Twitch",
    description="Reacts to streams, followers, subscriptions, cheers, raids and rewards; writes in chat and sets the title.",
    base_url="https://api.twitch.tv/helix",
    docs_url="https://dev.twitch.tv/docs/api/reference/",
    auth=sdk.OAuth2(
        authorize_url="https://id.twitch.tv/oauth2/authorize",
        token_url=TOKEN_URL,
        revoke_url="https://id.twitch.tv/oauth2/revoke",
        parameters={"force_verify": "true"},  # else whoever is signed in there is connected without being asked
        refresh_ahead=timedelta(0),
        validate_every=timedelta(hours=1),
        read_grant=read_grant,
        authorise=authorise,
    ),
    app_auth=sdk.ClientCredentials(authorise=authorise),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is; users without any filter are the token's own."""
    found = data(await ctx.http.get("/users"), "id", "login")
    if not found:
        raise sdk.Rejected("Twitch does not say whose account this is. Connect it again.")
    return sdk.Profile(
        external_id=found[0]["id"],
        label=found[0].get("display_name") or found[0]["login"],
        avatar_url=found[0].get("profile_image_url") or None,
        facts={"login": found[0]["login"]},
    )


@service.validate
async def validate(ctx: sdk.Context) -> None:
    """Ask whether the token is good, as Twitch demands hourly of each session that is kept; its 401 says that it is not."""
    token_url = ctx.settings.get("token_url") or TOKEN_URL
    await ctx.http.get(token_url.removesuffix("/token") + "/validate")


async def channel_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's own channel, and those it follows where the account lets us see them."""
    own = str(ctx.account.facts.get("login") or "")
    choices = [sdk.Choice(own, f"{ctx.account.label} (your own)")] if own else []
    if "user:read:follows" in ctx.account.scopes:
        asked = {"user_id": ctx.account.external_id, "first": "100"}
        answer = await ctx.http.get("/channels/followed", params=asked)
        followed = data(answer, "broadcaster_login", "broadcaster_name")
        choices += [sdk.Choice(item["broadcaster_login"], item["broadcaster_name"]) for item in followed]
    return choices


def _blank_is_none(value: Any) -> Any:
    return value.strip() or None if isinstance(value, str) else value


def _login(value: str | None) -> str | None:
    """The login in a name, an @mention or a channel's address."""
    return None if value is None else re.split(r"[/@]", value.rstrip("/"))[-1].lower()


Channel = Annotated[
    str | None,
    Field(pattern=ADDRESS),
    BeforeValidator(_blank_is_none),
    AfterValidator(_login),
    sdk.Choices(channel_choices),
]
"""A channel's login; None is the account's own."""


async def channel_id(ctx: sdk.Context, login: str | None) -> str:
    """The id of a channel, of the account's own without a login. Raises: Rejected when nobody has this login."""
    if login is None or login == ctx.account.facts.get("login"):
        return ctx.account.external_id
    found = data(await ctx.http.get("/users", params={"login": login}), "id")
    if not found:
        raise sdk.Rejected(
            f"Twitch has no channel {login!r}: check the spelling, or whether it has been renamed.", code="NO_CHANNEL"
        )
    owner: str = found[0]["id"]
    return owner


def _folded(text: str) -> str:
    folded = " ".join(text.splitlines())
    if not folded.strip():
        raise ValueError("is blank: give it some text")
    return folded


OneLine = Annotated[str, AfterValidator(_folded)]
"""A text that is shown on one line: line breaks become spaces, and blank it may not be."""


class AtChannel(sdk.Inputs):
    """Where."""

    channel: Channel = Field(
        None,
        title="Channel",
        description="Name or address of the channel; empty for your own.",
        examples=["cooler_user"],
    )
