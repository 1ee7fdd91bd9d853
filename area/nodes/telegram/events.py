"""What is written to a bot. Updates: https://core.telegram.org/bots/api#update"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.telegram.provider import OfBot, is_subscribed, service, subscribe, unsubscribe

COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]+))?(?!\S)(.*)", re.DOTALL)


@service.endpoint(verify=OfBot())
def route(delivery: sdk.WebhookDelivery) -> list[sdk.Routed]:
    """A delivery is one update of one bot, whom the address names and the secret proves."""
    bot = delivery.query.get("bot", "")
    return [f"{bot}:{kind}" for kind in ("message", "button") if _part(delivery, kind) is not None]


def _part(delivery: sdk.WebhookDelivery, kind: str) -> dict[str, Any] | None:
    names = ("message", "channel_post") if kind == "message" else ("callback_query",)
    body = delivery.body if isinstance(delivery.body, dict) else {}
    return next((body[name] for name in names if isinstance(body.get(name), dict)), None)


def _update_id(delivery: sdk.WebhookDelivery) -> str:
    """An update is delivered again until it is answered, under the same id: https://core.telegram.org/bots/api#getting-updates"""
    return str(delivery.body.get("update_id"))


def heard(title: str, kind: str) -> Callable[[Callable[..., Any]], sdk.Action]:
    """An action on what a bot hears."""

    def declare(fn: Callable[..., Any]) -> sdk.Action:
        action = service.webhook(title, app_level=True, dedupe=_update_id)(fn)

        @action.topic
        def topic(where: sdk.Inputs, account: sdk.Account | None) -> str:
            return f"{account.external_id if account else ''}:{kind}"

        action.subscribe(subscribe)
        action.unsubscribe(unsubscribe)
        action.is_subscribed(is_subscribed)
        return action

    return declare


class Where(sdk.Inputs):
    """Which messages."""

    chat_id: Annotated[int | None, sdk.NoTemplate] = Field(
        None,
        title="Chat id",
        description="Only from this chat; empty for all that the bot is in. Ids of groups are negative.",
        examples=[-1001234567890],
    )


class Texts(Where):
    """Which messages."""

    contains: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Contains",
        description="Only those with this in them; case is ignored.",
        max_length=200,
        examples=["help"],
    )


class Commands(Where):
    """Which command."""

    command: Annotated[str, sdk.NoTemplate] = Field(
        title="Command",
        description="Without the slash.",
        pattern=r"^/?[A-Za-z0-9_]{1,32}$",
        examples=["start"],
    )


class Buttons(Where):
    """Which buttons."""

    data: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Value",
        description="Only the button with this value; empty for all.",
        max_length=64,
        examples=["yes"],
    )


class Heard(sdk.Outputs):
    """Who, and where."""

    update_id: Annotated[int, sdk.Identity] = Field(
        title="Update id", description="Telegram's number of it.", examples=[10000]
    )
    chat_id: int = Field(title="Chat id", description="Where to answer; beyond 32 bits.", examples=[-1001234567890])
    chat: str = Field(title="Chat", description="Its title, or the person's name.", examples=["Door keepers"])
    user_id: int | None = Field(None, title="User id", description="Who wrote; empty in channels.", examples=[1111111])
    user: str = Field("", title="User", description="Their name; empty in channels.", examples=["Ada"])
    username: str = Field("", title="Username", description="Without @; may be empty.", examples=["ada"])
    message_id: int | None = Field(None, title="Message id", description="To reply to or to edit.", examples=[1365])


class Message(Heard):
    """A message."""

    text: str = Field(
        title="Text", description="What was written, or the caption of a picture or file.", examples=["Hello café"]
    )
    sent_at: datetime | None = Field(None, title="Sent at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])


class Command(Message):
    """A command."""

    command: str = Field(title="Command", description="Without the slash.", examples=["start"])
    arguments: str = Field("", title="Arguments", description="What follows it.", examples=["door-7"])


class Button(Heard):
    """A button under one of the bot's messages."""

    query_id: str = Field(title="Press", description="What `Answer a button` wants.", examples=["4382bfdwdsb323b2d9"])
    data: str = Field(title="Value", description="The button's.", examples=["yes"])


@heard("New message", "message")
def message(where: Texts, delivery: sdk.WebhookDelivery) -> Message | None:
    """Fires for each text that is written to the bot, in its groups and in channels where it is an administrator.
    Commands, and what other bots write, fire nothing."""
    found = _wanted(where, delivery)
    if found is None or _command(found) is not None:
        return None
    text = _text(found)
    if not text or (where.contains or "").casefold() not in text.casefold():
        return None
    return Message(**_heard(delivery, found), text=text, sent_at=_moment(found))


@heard("Command", "message")
def command(where: Commands, delivery: sdk.WebhookDelivery) -> Command | None:
    """Fires when somebody writes a command to the bot, such as /start."""
    found = _wanted(where, delivery)
    given = _command(found, delivery.query.get("name", "")) if found else None
    if found is None or given is None or given[0].lower() != where.command.lstrip("/").lower():
        return None
    name, arguments = given
    told = {**_heard(delivery, found), "text": _text(found), "sent_at": _moment(found)}
    return Command(**told, command=name, arguments=arguments)


@heard("Button pressed", "button")
def button(where: Buttons, delivery: sdk.WebhookDelivery) -> Button | None:
    """Fires when somebody presses a button under one of the bot's messages. Answer it, or the button seems to load for a while."""
    found = _part(delivery, "button")
    if found is None or where.data not in (None, "", found.get("data")):
        return None
    told = _heard(delivery, {**_dict(found, "message"), "from": found.get("from")})
    if where.chat_id not in (None, told["chat_id"]):
        return None
    return Button(**told, query_id=str(found.get("id") or ""), data=str(found.get("data") or ""))


def _wanted(where: Where, delivery: sdk.WebhookDelivery) -> dict[str, Any] | None:
    found = _part(delivery, "message")
    if found is None or _dict(found, "from").get("is_bot"):
        return None
    return found if where.chat_id in (None, _dict(found, "chat").get("id")) else None


def _dict(found: dict[str, Any], name: str) -> dict[str, Any]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _text(found: dict[str, Any]) -> str:
    return str(found.get("text") or found.get("caption") or "")


def _command(found: dict[str, Any], bot: str = "") -> tuple[str, str] | None:
    """Name and rest of a command. In groups it may name whom it is for, as /start@area_bot; what is for another bot is none."""
    written = COMMAND.match(_text(found))
    if written is None:
        return None
    name, whom, arguments = written.groups()
    if bot and whom and whom.lower() != bot.lower():
        return None
    return name, arguments.strip()


def _heard(delivery: sdk.WebhookDelivery, found: dict[str, Any]) -> dict[str, Any]:
    chat, user = _dict(found, "chat"), _dict(found, "from")
    name = " ".join(str(user[part]) for part in ("first_name", "last_name") if user.get(part))
    own = " ".join(str(chat[part]) for part in ("first_name", "last_name") if chat.get(part))
    return {
        "update_id": delivery.body.get("update_id"),
        "chat_id": chat.get("id") or user.get("id") or 0,
        "chat": str(chat.get("title") or own or name),
        "user_id": user.get("id"),
        "user": name,
        "username": str(user.get("username") or ""),
        "message_id": found.get("message_id"),
    }


def _moment(found: dict[str, Any]) -> datetime | None:
    given = found.get("date")
    return datetime.fromtimestamp(given, UTC) if isinstance(given, int) and 0 < given < 1 << 37 else None
