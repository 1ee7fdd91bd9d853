"""What a bot can say. https://core.telegram.org/bots/api#available-methods"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, HttpUrl

from area.nodes import sdk
from area.nodes.telegram.provider import call, service

CHAT = r"^(-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31})$"
MOST_TEXT = 4096
MOST_CAPTION = 1024
MOST_DATA = 64
"""Bytes of a button's value: https://core.telegram.org/bots/api#inlinekeyboardbutton"""


class Format(StrEnum):
    """How a text is read."""

    PLAIN = "plain"
    HTML = "html"


class To(sdk.Inputs):
    """Where."""

    chat_id: str = Field(
        title="Chat",
        description="The chat's id, as {{ trigger.chat_id }} or -1001234567890; for public channels and groups @name too.",
        pattern=CHAT,
        coerce_numbers_to_str=True,
        examples=["-1001234567890"],
    )


class Choice(sdk.Inputs):
    """One button."""

    text: str = Field(title="Label", description="What it says.", min_length=1, max_length=64, examples=["Yes"])
    data: str = Field(
        title="Value", description="What the action Button pressed gets.", min_length=1, max_length=64, examples=["yes"]
    )


class NewMessage(To):
    """What to say."""

    text: str = Field(
        title="Text",
        description="Up to 4096 characters.",
        min_length=1,
        max_length=MOST_TEXT,
        examples=["{{ trigger.user }} wrote: {{ trigger.text }}"],
        json_schema_extra={"widget": "textarea"},
    )
    format: Format = Field(
        Format.PLAIN,
        title="Format",
        description="With HTML, put what others wrote through the filter escape: {{ trigger.text | escape }}.",
        examples=["plain"],
    )
    reply_to: int | None = Field(
        None, title="Reply to", description="A message's id in the same chat.", ge=1, examples=[1365]
    )
    buttons: list[Choice] = Field(
        default_factory=list,
        title="Buttons",
        description="Under the message, one a line.",
        max_length=20,
        examples=[[{"text": "Yes", "data": "yes"}]],
    )
    silent: bool = Field(False, title="Silent", description="Whether nobody's device makes a sound.", examples=[False])


class NewPhoto(To):
    """What to show."""

    photo: HttpUrl = Field(
        title="Picture",
        description="A public address of a picture of 5 MB at most; Telegram fetches it.",
        examples=["https://example.com/door.jpg"],
    )
    caption: str = Field(
        "", title="Caption", description="Up to 1024 characters.", max_length=MOST_CAPTION, examples=["The door"]
    )


class Edit(To):
    """What to say instead."""

    message_id: int = Field(title="Message id", description="One of the bot's own messages.", ge=1, examples=[1365])
    text: str = Field(
        title="Text",
        description="Up to 4096 characters.",
        min_length=1,
        max_length=MOST_TEXT,
        examples=["Done."],
        json_schema_extra={"widget": "textarea"},
    )
    format: Format = Field(Format.PLAIN, title="Format", description="How the text is read.", examples=["plain"])


class NewPoll(To):
    """What to ask."""

    question: str = Field(
        title="Question", description="Up to 300 characters.", min_length=1, max_length=300, examples=["Open the door?"]
    )
    options: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        title="Answers", description="Two to twelve.", min_length=2, max_length=12, examples=[["Yes", "No"]]
    )
    anonymous: bool = Field(True, title="Anonymous", description="Whether nobody sees who voted.", examples=[True])
    several: bool = Field(
        False, title="Several answers", description="Whether one may choose more than one.", examples=[False]
    )


class Press(sdk.Inputs):
    """Which press of a button, and what to say."""

    query_id: str = Field(
        title="Press",
        description="From the action Button pressed.",
        min_length=1,
        max_length=100,
        examples=["{{ trigger.query_id }}"],
    )
    text: str = Field(
        "", title="Text", description="Shown for a moment; may be empty.", max_length=200, examples=["Thank you!"]
    )


class Said(sdk.Outputs):
    """The message."""

    message_id: int = Field(title="Message id", description="To reply to or to edit.", examples=[1366])
    chat_id: int = Field(title="Chat id", description="Where it is.", examples=[-1001234567890])


class Answered(sdk.Outputs):
    """The button."""

    answered: bool = Field(title="Answered", description="Always true: a failure ends the step.", examples=[True])


@service.reaction("Send a message", idempotent=False)
async def send_message(ctx: sdk.Context, said: NewMessage) -> Said:
    """Writes to a chat. A person has to have written to the bot before, and a group to have admitted it."""
    for one in said.buttons:
        if len(one.data.encode()) > MOST_DATA:
            told = f"The value of the button {one.text!r} has more than {MOST_DATA} bytes in UTF-8: shorten it."
            raise sdk.Rejected(told, code="VALUE_TOO_LONG")
    rows = [[{"text": one.text, "callback_data": one.data}] for one in said.buttons]
    return _said(
        await call(
            ctx,
            "sendMessage",
            chat_id=_chat(said),
            text=said.text,
            parse_mode=_mode(said.format),
            reply_parameters={"message_id": said.reply_to} if said.reply_to else None,
            reply_markup={"inline_keyboard": rows} if rows else None,
            disable_notification=True if said.silent else None,
        )
    )


@service.reaction("Send a photo", idempotent=False)
async def send_photo(ctx: sdk.Context, shown: NewPhoto) -> Said:
    """Shows a picture from a public address."""
    return _said(
        await call(ctx, "sendPhoto", chat_id=_chat(shown), photo=str(shown.photo), caption=shown.caption or None)
    )


@service.reaction("Edit a message", idempotent=True)
async def edit_message(ctx: sdk.Context, edit: Edit) -> Said:
    """Replaces the text of one of the bot's messages."""
    asked = {"chat_id": _chat(edit), "message_id": edit.message_id, "text": edit.text, "parse_mode": _mode(edit.format)}
    try:
        return _said(await call(ctx, "editMessageText", **asked))
    except sdk.Rejected as error:
        # A repeated edit, or one that says the same, has nothing left to do.
        if "message is not modified" not in error.message:
            raise
        chat = await call(ctx, "getChat", chat_id=asked["chat_id"])
        return _said({"message_id": edit.message_id, "chat": chat})


@service.reaction("Send a poll", idempotent=False)
async def send_poll(ctx: sdk.Context, poll: NewPoll) -> Said:
    """Asks a question with answers to choose from."""
    return _said(
        await call(
            ctx,
            "sendPoll",
            chat_id=_chat(poll),
            question=poll.question,
            options=[{"text": option} for option in poll.options],
            is_anonymous=poll.anonymous,
            allows_multiple_answers=poll.several,
        )
    )


@service.reaction("Answer a button", idempotent=True)
async def answer_button(ctx: sdk.Context, press: Press) -> Answered:
    """Tells who pressed a button that it was heard. Telegram allows it for a short while only."""
    await call(ctx, "answerCallbackQuery", callback_query_id=press.query_id, text=press.text or None)
    return Answered(answered=True)


def _chat(to: To) -> int | str:
    return to.chat_id if to.chat_id.startswith("@") else int(to.chat_id)


def _mode(format_: Format) -> str | None:
    return "HTML" if format_ is Format.HTML else None


def _said(found: Any) -> Said:
    chat = found.get("chat") if isinstance(found, dict) else None
    told = (found.get("message_id"), chat.get("id")) if isinstance(chat, dict) else (None, None)
    if not all(isinstance(one, int) for one in told):
        raise sdk.Unknown("Telegram did not say what became of it. The call may have happened.")
    return Said(message_id=told[0], chat_id=told[1])
