"""What happens in a workspace. Events: https://docs.slack.dev/reference/events"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.slack.provider import CHANNEL, channel_choices, plain, service

SIGNED = sdk.Hmac(
    header="x-slack-signature",
    prefix="v0=",
    signs=("v0:", "{x-slack-request-timestamp}", ":", "{body}"),
    timestamp="x-slack-request-timestamp",
)
SPOKEN = {None, "thread_broadcast", "file_share", "me_message"}
"""Subtypes of messages that a person has written; joins, edits, deletions and bots have others."""


def _handshake(delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
    """The request address is tried once it is entered in the app's settings."""
    body = delivery.body
    if isinstance(body, dict) and body.get("type") == "url_verification":
        return sdk.Answer({"challenge": str(body.get("challenge") or "")})
    return None


@service.endpoint(verify=SIGNED, secret="signing_secret", handshake=_handshake)  # noqa: S106 - a setting's name
def route(delivery: sdk.WebhookDelivery) -> list[sdk.Routed]:
    """One address for all workspaces: the event says whose it is."""
    body, event = _dict(delivery.body), _event(delivery)
    team = str(body.get("team_id") or "")
    if body.get("type") != "event_callback" or not event or not team:
        return []
    kind = str(event.get("type"))
    if kind == "app_uninstalled" or (kind == "tokens_revoked" and _dict(event.get("tokens")).get("bot")):
        return [sdk.AccountGone(team)]
    return [f"{team}:{kind}"]


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _event(delivery: sdk.WebhookDelivery) -> dict[str, Any]:
    """What happened; empty when the delivery is of another kind."""
    return _dict(_dict(delivery.body).get("event"))


def _event_id(delivery: sdk.WebhookDelivery) -> str:
    """The same for each retry, which is how a delivery that failed once is not lost."""
    return str(_dict(delivery.body).get("event_id"))


def happens(title: str, kind: str, *scopes: str) -> Callable[[Callable[..., Any]], sdk.Action]:
    """An action on events of one type."""

    def declare(fn: Callable[..., Any]) -> sdk.Action:
        action = service.webhook(title, app_level=True, scopes=scopes, dedupe=_event_id)(fn)

        @action.topic
        def topic(where: sdk.Inputs, account: sdk.Account | None) -> str:
            return f"{account.external_id if account else ''}:{kind}"

        return action

    return declare


class Anywhere(sdk.Inputs):
    """Which channel."""

    channel: Annotated[str | None, sdk.NoTemplate, sdk.Choices(channel_choices)] = Field(
        None,
        title="Channel",
        description="Only this one; empty for all that the app is in.",
        pattern=CHANNEL,
        examples=["C0PNCRP9N"],
    )


class Messages(Anywhere):
    """Which messages."""

    contains: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Contains",
        description="Only those with this in them; case is ignored.",
        max_length=200,
        examples=["deploy"],
    )


class Spoken(sdk.Outputs):
    """A message."""

    channel: str = Field(title="Channel", description="Its id.", examples=["C0PNCRP9N"])
    user: str = Field(title="User", description="The id of who wrote.", examples=["U061F7AUR"])
    text: str = Field(
        title="Text",
        description="As it was written; people and channels in it stand as <@U…> and <#C…>.",
        examples=["Cats & more"],
    )
    ts: str = Field(
        title="ts", description="Slack's name of the message in its channel.", examples=["1763892672.000001"]
    )
    thread_ts: str = Field(
        title="Thread", description="The ts to answer to: the thread's first message.", examples=["1763892672.000001"]
    )
    in_thread: bool = Field(title="In a thread", description="Whether it is an answer.", examples=[False])
    sent_at: datetime | None = Field(None, title="Sent at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])
    team: str = Field(title="Workspace", description="Its id.", examples=["T1H9RESGL"])


class Emojis(Anywhere):
    """Which emoji."""

    emoji: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Emoji",
        description="Its name without colons; empty for all.",
        pattern=r"^[a-z0-9_+'-]+$",
        max_length=100,
        examples=["eyes"],
    )


class Reacted(sdk.Outputs):
    """A reaction to a message."""

    emoji: str = Field(title="Emoji", description="Its name.", examples=["eyes"])
    user: str = Field(title="User", description="The id of who reacted.", examples=["U061F7AUR"])
    author: str = Field(
        title="Author", description="The id of whose message it is; may be empty.", examples=["U0LAN0Z89"]
    )
    channel: str = Field(title="Channel", description="Its id.", examples=["C0PNCRP9N"])
    ts: str = Field(title="ts", description="The message's.", examples=["1763892672.000001"])
    team: str = Field(title="Workspace", description="Its id.", examples=["T1H9RESGL"])


class NoChoice(sdk.Inputs):
    """The whole workspace."""


class Created(sdk.Outputs):
    """A channel."""

    channel: str = Field(title="Channel", description="Its id.", examples=["C024BE91L"])
    name: str = Field(title="Name", description="Without #.", examples=["door"])
    creator: str = Field(title="Creator", description="The id of who made it.", examples=["U061F7AUR"])
    team: str = Field(title="Workspace", description="Its id.", examples=["T1H9RESGL"])


@happens("New message", "message", "channels:history")
def message(where: Messages, delivery: sdk.WebhookDelivery) -> Spoken | None:
    """Fires for each message that a person writes in a public channel the app is in. Bots, edits and joins fire nothing."""
    event = _event(delivery)
    if event.get("subtype") not in SPOKEN or event.get("bot_id") or not event.get("user"):
        return None
    return _spoken(where, delivery, where.contains or "")


@happens("Mention", "app_mention", "app_mentions:read")
def mention(where: Anywhere, delivery: sdk.WebhookDelivery) -> Spoken | None:
    """Fires when somebody writes @ and the app's name in a channel it is in."""
    return None if _event(delivery).get("bot_id") else _spoken(where, delivery)


@happens("Reaction added", "reaction_added", "reactions:read")
def reaction_added(where: Emojis, delivery: sdk.WebhookDelivery) -> Reacted | None:
    """Fires when somebody reacts to a message with an emoji in a channel the app is in."""
    event = _event(delivery)
    item = _dict(event.get("item"))
    if item.get("type") != "message" or where.channel not in (None, "", item.get("channel")):
        return None
    if where.emoji not in (None, "", event.get("reaction")):
        return None
    return Reacted(
        emoji=str(event.get("reaction") or ""),
        user=str(event.get("user") or ""),
        author=str(event.get("item_user") or ""),
        channel=str(item.get("channel") or ""),
        ts=str(item.get("ts") or ""),
        team=str(_dict(delivery.body).get("team_id")),
    )


@happens("Channel created", "channel_created", "channels:read")
def channel_created(where: NoChoice, delivery: sdk.WebhookDelivery) -> Created | None:
    """Fires when somebody makes a public channel."""
    made = _dict(_event(delivery).get("channel"))
    if not made.get("id"):
        return None
    return Created(
        channel=str(made["id"]),
        name=str(made.get("name") or ""),
        creator=str(made.get("creator") or ""),
        team=str(_dict(delivery.body).get("team_id")),
    )


def _spoken(where: Anywhere, delivery: sdk.WebhookDelivery, contains: str = "") -> Spoken | None:
    event = _event(delivery)
    text, ts = plain(event.get("text")), str(event.get("ts") or "")
    if not ts:
        return None
    if where.channel not in (None, "", event.get("channel")) or contains.casefold() not in text.casefold():
        return None
    thread = str(event.get("thread_ts") or ts)
    return Spoken(
        channel=str(event.get("channel") or ""),
        user=str(event.get("user") or ""),
        text=text,
        ts=ts,
        thread_ts=thread,
        in_thread=thread != ts,
        sent_at=_moment(ts),
        team=str(_dict(delivery.body).get("team_id")),
    )


def _moment(ts: str) -> datetime | None:
    seconds = ts.partition(".")[0]
    return (
        datetime.fromtimestamp(int(seconds), UTC)
        if seconds.isascii() and seconds.isdigit() and len(seconds) < 12
        else None
    )
