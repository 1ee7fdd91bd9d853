"""What can be done in a mailbox: send, answer, draft, label, mark."""

from datetime import timedelta
from email.message import EmailMessage
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from area.nodes import sdk
from area.nodes._google import Gone, listed, mapping, segment
from area.nodes.gmail.mails import address_of, labels_of
from area.nodes.gmail.provider import COMPOSE, ME, MODIFY, READ, SEND, fetch, label_choices, service
from area.nodes.gmail.writing import answer_to, is_same, letter_of, raw_of, threading_of

MAIL_ID = r"^[0-9A-Za-z_-]{1,100}$"
LOOKED_THROUGH = 20
"""Mails that are compared with one whose sending had no answer."""


class Words(sdk.Inputs):
    """What to write."""

    text: str = Field(
        "",
        title="Text",
        description="The mail as plain text.",
        max_length=500_000,
        examples=["It is paid."],
        json_schema_extra={"widget": "textarea"},
    )
    html: str | None = Field(
        None,
        title="HTML",
        description="The same as HTML; put what others wrote through the filter escape.",
        max_length=500_000,
        examples=["<p>It is paid.</p>"],
        json_schema_extra={"widget": "code"},
    )


class Letter(Words):
    """What to send, and to whom."""

    to: str = Field(
        title="To", description="Addresses, with commas between.", max_length=5000, examples=["ada@example.com"]
    )
    subject: str = Field(
        title="Subject", description="One line.", max_length=900, examples=["Order {{ trigger.body.order }}"]
    )
    cc: str | None = Field(
        None, title="Cc", description="More addresses, seen by all.", max_length=5000, examples=["bob@example.com"]
    )
    bcc: str | None = Field(
        None, title="Bcc", description="More addresses, seen by nobody.", max_length=5000, examples=["log@example.com"]
    )

    @field_validator("to", "subject", "cc", "bcc")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise ValueError("must be one line, without control characters")
        return value


class Reply(Words):
    """What to answer, and to what."""

    mail_id: str = Field(
        title="Mail", description="The id of the mail to answer.", pattern=MAIL_ID, examples=["18c2f4a9d1b2c3d4"]
    )
    to_all: bool = Field(
        False, title="To all", description="Whether its other recipients get it too.", examples=[False]
    )


class Labels(sdk.Inputs):
    """Which mail, and which labels."""

    mail_id: str = Field(title="Mail", description="The mail's id.", pattern=MAIL_ID, examples=["18c2f4a9d1b2c3d4"])
    add: Annotated[list[str], sdk.Choices(label_choices)] = Field(
        default_factory=list,
        title="Add",
        description="Ids of labels to put on it.",
        max_length=50,
        examples=[["STARRED"]],
    )
    remove: Annotated[list[str], sdk.Choices(label_choices)] = Field(
        default_factory=list,
        title="Remove",
        description="Ids of labels to take off.",
        max_length=50,
        examples=[["INBOX"]],
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.add and not self.remove:
            raise ValueError("name a label to add or to remove")
        return self


class Which(sdk.Inputs):
    """Which mail."""

    mail_id: str = Field(title="Mail", description="The mail's id.", pattern=MAIL_ID, examples=["18c2f4a9d1b2c3d4"])


class Sent(sdk.Outputs):
    """The mail."""

    id: str = Field(title="Id", description="Gmail's id.", examples=["18c2f4a9d1b2c3d4"])
    thread_id: str = Field(title="Thread", description="The conversation's id.", examples=["18c2f4a9d1b2c3d4"])
    url: str = Field(
        title="Address",
        description="Where it opens.",
        examples=["https://mail.google.com/mail/u/0/#all/18c2f4a9d1b2c3d4"],
    )


class Drafted(Sent):
    """The draft."""

    draft_id: str = Field(title="Draft", description="The draft's id.", examples=["r-123456789"])


class Marked(sdk.Outputs):
    """The mail."""

    id: str = Field(title="Id", description="Gmail's id.", examples=["18c2f4a9d1b2c3d4"])
    labels: list[str] = Field(
        title="Labels", description="Their ids, as they are now.", examples=[["INBOX", "STARRED"]]
    )


@service.reaction("Send a mail", idempotent=False, timeout=60, scopes=(SEND,))
async def send(ctx: sdk.Context, letter: Letter) -> Sent:
    """Sends a mail from the account."""
    asked = {"raw": raw_of(letter_of(ctx, letter))}
    return Sent(**_named(mapping(await ctx.http.post(f"{ME}/messages/send", json=asked), "id")))


@service.reaction("Reply", idempotent=False, timeout=60, scopes=(SEND, READ))
async def reply(ctx: sdk.Context, answer: Reply) -> Sent:
    """Answers a mail, in its conversation."""
    mail = await fetch(ctx, answer.mail_id)
    message = answer_to(ctx, mail, answer, to_all=answer.to_all)
    asked = {"raw": raw_of(message, threading_of(mail)), "threadId": str(mail.get("threadId") or "")}
    return Sent(**_named(mapping(await ctx.http.post(f"{ME}/messages/send", json=asked), "id")))


@service.reaction("Draft a mail", idempotent=False, timeout=60, scopes=(COMPOSE,))
async def draft(ctx: sdk.Context, letter: Letter) -> Drafted:
    """Writes a mail and leaves it among the drafts."""
    asked = {"message": {"raw": raw_of(letter_of(ctx, letter))}}
    return _drafted(mapping(await ctx.http.post(f"{ME}/drafts", json=asked), "id", "message"))


@send.reconcile
async def _was_sent(ctx: sdk.Context, letter: Letter) -> Sent | None:
    """The mail, among those sent since. Who has consented to sending alone is refused, and decides what is to be done."""
    return await _among_sent(ctx, letter_of(ctx, letter))


@reply.reconcile
async def _was_answered(ctx: sdk.Context, answer: Reply) -> Sent | None:
    """The answer, among the mails sent since."""
    mail = await fetch(ctx, answer.mail_id)
    return await _among_sent(ctx, answer_to(ctx, mail, answer, to_all=answer.to_all))


@draft.reconcile
async def _was_drafted(ctx: sdk.Context, letter: Letter) -> Drafted | None:
    """The draft, among the latest ones."""
    message = letter_of(ctx, letter)
    found = mapping(await ctx.http.get(f"{ME}/drafts", params={"maxResults": LOOKED_THROUGH}))
    for one in listed(found, "drafts"):
        try:
            answer = await ctx.http.get(f"{ME}/drafts/{segment(str(one.get('id')))}", params={"format": "full"})
        except Gone:
            continue
        there = mapping(answer, "id", "message")
        if is_same(there["message"], message):
            return _drafted(there)
    return None


@service.reaction("Change labels", idempotent=True, scopes=(MODIFY,))
async def modify_labels(ctx: sdk.Context, labels: Labels) -> Marked:
    """Puts labels on a mail, and takes others off."""
    return await _modify(ctx, labels.mail_id, labels.add, labels.remove)


@service.reaction("Mark as read", idempotent=True, scopes=(MODIFY,))
async def mark_read(ctx: sdk.Context, which: Which) -> Marked:
    """Marks a mail as read."""
    return await _modify(ctx, which.mail_id, [], ["UNREAD"])


async def _modify(ctx: sdk.Context, mail_id: str, add: list[str], remove: list[str]) -> Marked:
    asked = {"addLabelIds": add, "removeLabelIds": remove}
    found = mapping(await ctx.http.post(f"{ME}/messages/{segment(mail_id)}/modify", json=asked), "id", safe=True)
    return Marked(id=str(found["id"]), labels=labels_of(found))


async def _among_sent(ctx: sdk.Context, message: EmailMessage) -> Sent | None:
    """The mail among the latest that were sent since the first attempt. Raises: Rejected when the account may only send."""
    since = int(((ctx.tried_since or ctx.now()) - timedelta(minutes=1)).timestamp())
    asked: dict[str, str | int] = {"q": f"in:sent after:{since}", "maxResults": LOOKED_THROUGH}
    for one in listed(mapping(await ctx.http.get(f"{ME}/messages", params=asked)), "messages"):
        try:
            there = await fetch(ctx, str(one.get("id")))
        except Gone:
            continue
        if is_same(there, message):
            return Sent(**_named(there))
    return None


def _named(found: dict[str, Any]) -> dict[str, str]:
    return {
        "id": str(found["id"]),
        "thread_id": str(found.get("threadId") or ""),
        "url": address_of(str(found["id"])),
    }


def _drafted(found: dict[str, Any]) -> Drafted:
    message = found["message"] if isinstance(found["message"], dict) else {}
    return Drafted(draft_id=str(found["id"]), **_named({"id": "", **message}))
