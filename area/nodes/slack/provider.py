"""The service itself: workspaces, what Slack's answers mean, and its channels. API: https://docs.slack.dev/reference/methods"""

from collections.abc import Mapping
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field

from area.nodes import sdk
from area.nodes._answers import read, strange

DEAD = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "org_login_required"}
LATER = {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
SOON = 30.0
"""Seconds to wait when Slack asks for patience and does not say how long."""
PAGES = 5
MEANINGS = {
    "channel_not_found": "There is no such channel, or the app may not see it: invite the app there with /invite.",
    "not_in_channel": "The app is not in this channel: invite it there with /invite.",
    "is_archived": "The channel is archived: choose another.",
    "msg_too_long": "The message is too long for Slack: shorten it.",
    "no_text": "The message is empty: give it some text.",
    "restricted_action": "The workspace does not allow this there: ask one of its owners.",
    "message_not_found": "There is no such message in this channel: check its ts.",
    "cant_update_message": "The message is not the app's own, so it cannot be changed.",
    "edit_window_closed": "The workspace does not allow messages to be changed any more after this time.",
    "invalid_name": "There is no such emoji in this workspace: write its name without colons.",
    "too_many_reactions": "The message has as many kinds of reactions as Slack allows.",
}
"""Slack's codes to what they mean to the user; the codes are those of each method's page."""


class More(BaseModel):
    """Where a list goes on."""

    next_cursor: str = ""


class Listing(BaseModel):
    """A page of a list."""

    items: list[dict[str, Any]]
    response_metadata: More = More()


class Refused(sdk.Rejected):
    """Slack said ``ok: false``; ``code`` is its error."""


def judge(response: httpx.Response) -> None:
    """Raise what Slack means: a failure comes with status 200 and ``ok: false``."""
    body = read(response)
    if response.status_code >= 500 or not isinstance(body, dict) or body.get("ok") is not False:
        return
    error = str(body.get("error") or "unknown_error")
    if error in ("ratelimited", "rate_limited"):
        if response.status_code == 429:
            return  # the common parser reads how long
        raise sdk.Throttled("Slack asks to go slower", retry_after=SOON)
    if error in DEAD:
        raise sdk.Reconnect(f"Slack does not accept the app's token any more ({error}): connect the workspace again.")
    if error in LATER:
        raise sdk.Unavailable(f"Slack failed: {error}")
    if error == "missing_scope":
        told = f"The app may not do this: connect the workspace again, and allow {body.get('needed') or 'what it asks for'}."
        raise sdk.Rejected(told, code="MISSING_SCOPE")
    raise Refused(f"{MEANINGS.get(error, 'Slack refused.')} Slack says: {error}", code=error)


async def revoke(ctx: sdk.Context, grant: sdk.Grant) -> None:
    """Give the token back: https://docs.slack.dev/reference/methods/auth.revoke"""
    await ctx.client_http.get("/auth.revoke", headers={"Authorization": f"Bearer {grant.access_token}"})


service = sdk.Service(
    key="slack",
    name="Slack",
    description="Reacts to messages, mentions, reactions and new channels of a workspace, and writes in its channels.",
    base_url="https://slack.com/api",
    docs_url="https://docs.slack.dev/reference/methods",
    auth=sdk.OAuth2(
        authorize_url="https://slack.com/oauth/v2/authorize",
        token_url="https://slack.com/api/oauth.v2.access",  # noqa: S106 - an address
        scope_separator=",",
        scopes=("channels:read",),
        revoke=revoke,
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Which workspace it is, and who the app is there: https://docs.slack.dev/reference/methods/auth.test"""
    found = (await ctx.http.get("/auth.test")).json()
    if not isinstance(found, dict) or not found.get("team_id"):
        raise sdk.Unavailable("Slack does not say which workspace this is.")
    facts = {
        "team": found.get("team"),
        "user_id": found.get("user_id"),
        "bot_id": found.get("bot_id"),
        "url": found.get("url"),
    }
    return sdk.Profile(str(found["team_id"]), str(found.get("team") or found["team_id"]), facts=facts)


async def call(ctx: sdk.Context, method: str, **asked: Any) -> dict[str, Any]:
    """The answer of a method that takes JSON. Raises: Unknown when it is none, though the call may have happened."""
    response = await ctx.http.post(
        f"/{method}", json={name: value for name, value in asked.items() if value is not None}
    )
    body = read(response)
    if not isinstance(body, dict) or body.get("ok") is not True:
        raise strange(response)
    return body


async def listed(ctx: sdk.Context, method: str, what: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
    """All that a method lists, of up to `PAGES` pages. Raises: Unavailable when an answer is no list."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(PAGES):
        answer = await ctx.http.get(f"/{method}", params={**asked, **({"cursor": cursor} if cursor else {})})
        try:
            page = Listing.model_validate({**answer.json(), "items": answer.json().get(what)})
        except (ValueError, TypeError, AttributeError):
            raise sdk.Unavailable(f"Slack's answer to {method} is no list of {what}.") from None
        found += page.items
        cursor = page.response_metadata.next_cursor
        if not cursor:
            break
    return found


async def channel_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The workspace's channels: public ones, and private ones that the app is in where it may see those."""
    kinds = "public_channel,private_channel" if "groups:read" in ctx.account.scopes else "public_channel"
    asked = {"exclude_archived": "true", "types": kinds, "limit": "200"}
    return [
        sdk.Choice(str(item["id"]), f"#{item.get('name')}" + ("" if item.get("is_member") else " (app not in it)"))
        for item in await listed(ctx, "conversations.list", "channels", asked)
        if item.get("id")
    ]


Channel = Annotated[str, sdk.Choices(channel_choices)]
"""A channel's id."""
CHANNEL = r"^[CGD][A-Z0-9]{6,20}$"


def channel_field(description: str = "Its id, or choose it.", **more: Any) -> Any:
    """The input that most nodes have."""
    return Field(title="Channel", description=description, pattern=CHANNEL, examples=["C0PNCRP9N"], **more)


def escaped(text: str) -> str:
    """Text that pings nobody and links nothing: https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: Any) -> str:
    """What was escaped for the wire, as it was written."""
    return str(text or "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
