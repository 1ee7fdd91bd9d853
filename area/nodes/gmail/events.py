"""What arrives in a mailbox: looked for by search, or followed by its history."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import Gone, listed, mapping
from area.nodes.gmail.mails import body_of, header, labels_of, leaves, moment_of, summary, text_of
from area.nodes.gmail.provider import ME, READ, fetch, label_choices, service

EVERY = timedelta(minutes=1)
PER_PAGE = 500
PAGES = 4
PER_LOOK = 40
"""Mails read in one look; what is left is read by the next ones."""
GRACE = 60
"""Seconds that Google's clock may be behind ours."""
OVERLAP = 3600
"""Seconds that a search may take to show a mail that has come in."""


class Search(sdk.Inputs):
    """Which mails."""

    query: Annotated[str, sdk.NoTemplate] = Field(
        "in:inbox",
        title="Search",
        description="As in Gmail's own search field. Empty finds every mail, also those sent; never drafts, spam and trash.",
        max_length=500,
        examples=["from:ada@example.com subject:invoice"],
    )


class Labelling(sdk.Inputs):
    """Which label."""

    label: Annotated[str, sdk.Choices(label_choices), sdk.NoTemplate] = Field(
        title="Label",
        description="The label that is put on a mail; its id, which is not its name.",
        min_length=1,
        max_length=200,
        examples=["STARRED"],
    )


class Mail(sdk.Outputs):
    """A mail."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="Gmail's id.", examples=["18c2f4a9d1b2c3d4"])
    thread_id: str = Field(title="Thread", description="The conversation's id.", examples=["18c2f4a9d1b2c3d4"])
    sender: str = Field(title="Sender", description="The From line.", examples=["Ada <ada@example.com>"])
    sender_address: str = Field(title="Sender address", description="The address alone.", examples=["ada@example.com"])
    to: str = Field(title="To", description="The To line.", examples=["me@example.com"])
    cc: str = Field(title="Cc", description="The Cc line; empty when there is none.", examples=["bob@example.com"])
    subject: str = Field(title="Subject", description="The subject.", examples=["Invoice 7"])
    snippet: str = Field(title="Snippet", description="Its beginning, as Gmail shows it.", examples=["See below."])
    text: str = Field(title="Text", description="Its plain text, else its HTML.", examples=["See below."])
    message_id: str = Field(title="Message-ID", description="The sender's id.", examples=["<7@example.com>"])
    labels: list[str] = Field(title="Labels", description="Their ids.", examples=[["INBOX", "UNREAD"]])
    files: list[str] = Field(title="Files", description="The names of its attachments.", examples=[["invoice.pdf"]])
    received_at: datetime | None = Field(
        None, title="Received at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address",
        description="Where it opens.",
        examples=["https://mail.google.com/mail/u/0/#all/18c2f4a9d1b2c3d4"],
    )


class Attachment(sdk.Outputs):
    """A file in a mail."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key", description="The mail and the part.", examples=["18c2f4a9d1b2c3d4/1"]
    )
    filename: str = Field(title="File", description="Its name.", examples=["invoice.pdf"])
    mime_type: str = Field(title="Kind", description="Its MIME type.", examples=["application/pdf"])
    size: int = Field(title="Size", description="In bytes.", examples=[51234])
    inline: bool = Field(
        title="Inline",
        description="Whether it is shown within the text, as the pictures of a signature are.",
        examples=[False],
    )
    attachment_id: str = Field(title="Attachment id", description="Gmail's, good for a while.", examples=["ANGjdJ8"])
    mail_id: str = Field(title="Mail", description="The mail's id.", examples=["18c2f4a9d1b2c3d4"])
    subject: str = Field(title="Subject", description="The mail's.", examples=["Invoice 7"])
    sender: str = Field(title="Sender", description="The mail's From line.", examples=["Ada <ada@example.com>"])
    received_at: datetime | None = Field(
        None, title="Received at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address",
        description="Where the mail opens.",
        examples=["https://mail.google.com/mail/u/0/#all/18c2f4a9d1b2c3d4"],
    )


class Labelled(Mail):
    """A mail that got a label."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key",
        description="The mail, and the place in the mailbox's history.",
        examples=["18c2f4a9d1b2c3d4/98765"],
    )
    id: str = Field(title="Id", description="Gmail's id.", examples=["18c2f4a9d1b2c3d4"])


@service.poll("New mail", every=EVERY, scopes=(READ,))
async def new_message(ctx: sdk.Context, where: Search) -> sdk.Page[Mail]:
    """Fires once for each mail that comes in and that a search finds."""
    fresh, cursor = await _arrived(ctx, _grouped(where.query))
    return sdk.Page([Mail(**summary(message), text=text_of(message)) for message in fresh], cursor)


@service.poll("New attachment", every=EVERY, scopes=(READ,))
async def new_attachment(ctx: sdk.Context, where: Search) -> sdk.Page[Attachment]:
    """Fires once for each file in a mail that comes in and that a search finds."""
    fresh, cursor = await _arrived(ctx, f"has:attachment {_grouped(where.query)}")
    return sdk.Page([file for message in fresh for file in _files(message)], cursor)


@service.poll("Label added", every=EVERY, scopes=(READ,))
async def label_added(ctx: sdk.Context, where: Labelling) -> sdk.Page[Labelled]:
    """Fires when a mail gets a label: by a person, by a filter, or as it comes in."""
    if ctx.cursor is None:
        return sdk.Page([], {"at": await _present(ctx), "waiting": []})
    at, waiting = ctx.cursor["at"], ctx.cursor["waiting"]
    if not waiting:
        try:
            at, waiting = await _labelled_since(ctx, where.label, at)
        except Gone:
            # The history reaches back about a week, sometimes hours: what was in the gap is not news any more.
            ctx.log("Gmail's history does not reach back to the last look: what was labelled since is passed over.")
            at = await _present(ctx)
    items = []
    for message_id, record in waiting[:PER_LOOK]:
        message = await _unless_gone(ctx, message_id)
        if message is not None:
            items.append(Labelled(**summary(message), text=text_of(message), key=f"{message_id}/{record}"))
    return sdk.Page(items, {"at": at, "waiting": waiting[PER_LOOK:]})


async def _present(ctx: sdk.Context) -> str:
    return str(mapping(await ctx.http.get(f"{ME}/profile"), "historyId")["historyId"])


async def _labelled_since(ctx: sdk.Context, label: str, at: str) -> tuple[str, list[list[str]]]:
    """How far the history was read, and the mails in it that got the label, each with its record. Raises: Gone."""
    asked: dict[str, Any] = {
        "startHistoryId": at,
        "historyTypes": ["messageAdded", "labelAdded"],
        "labelId": label,
        "maxResults": PER_PAGE,
    }
    found: dict[str, str] = {}
    for _ in range(PAGES):
        body = mapping(await ctx.http.get(f"{ME}/history", params=asked))
        for record in listed(body, "history"):
            at = str(record.get("id") or at)
            for message_id in _got(record, label):
                # One that came in with the label can be in several records.
                found.setdefault(message_id, at)
        if not body.get("nextPageToken"):
            at = str(body.get("historyId") or at)
            break
        asked["pageToken"] = body["nextPageToken"]
    return at, [[message_id, record] for message_id, record in found.items()]


def _got(record: dict[str, Any], label: str) -> Iterator[str]:
    """The mails that got the label, as one record of the history tells."""
    for name in ("labelsAdded", "messagesAdded"):
        for one in listed(record, name):
            message = one.get("message")
            if isinstance(message, dict) and message.get("id"):
                labels = labels_of(one) if name == "labelsAdded" else labels_of(message)
                if label in labels:
                    yield str(message["id"])


def _grouped(query: str) -> str:
    return f"({query.strip()})" if query.strip() else ""


async def _arrived(ctx: sdk.Context, query: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The mails that no look has seen, oldest first, and the cursor: a moment, and the ids of those seen since.

    Mails from before the first look are never found: else each that is put away would bring up an older one.
    """
    now = int(ctx.now().timestamp())
    since = now - GRACE if ctx.cursor is None else int(ctx.cursor["since"])
    ids = await _ids(ctx, f"{query} after:{since}".strip())
    if ctx.cursor is None:
        return [], {"since": since, "seen": ids}
    seen = set(ctx.cursor["seen"])
    unseen = [one for one in reversed(ids) if one not in seen]
    fresh = []
    for message_id in unseen[:PER_LOOK]:
        message = await _unless_gone(ctx, message_id)
        if message is not None and "DRAFT" in labels_of(message):
            continue  # it is looked at again, for the day that it is sent
        seen.add(message_id)
        if message is not None and (moment_of(message) or ctx.now()) >= datetime.fromtimestamp(since, UTC):
            fresh.append(message)
    if len(unseen) <= PER_LOOK:
        since = max(since, now - OVERLAP)
    return fresh, {"since": since, "seen": [one for one in ids if one in seen]}


async def _ids(ctx: sdk.Context, query: str) -> list[str]:
    """The ids of the mails found, newest first."""
    ids: list[str] = []
    asked: dict[str, Any] = {"maxResults": PER_PAGE, "q": query}
    for _ in range(PAGES):
        body = mapping(await ctx.http.get(f"{ME}/messages", params=asked))
        ids += [str(one["id"]) for one in listed(body, "messages") if one.get("id")]
        if not body.get("nextPageToken"):
            break
        asked["pageToken"] = body["nextPageToken"]
    return ids


async def _unless_gone(ctx: sdk.Context, message_id: str) -> dict[str, Any] | None:
    try:
        return await fetch(ctx, message_id)
    except Gone:
        return None


def _files(message: dict[str, Any]) -> Iterator[Attachment]:
    told = summary(message)
    same = {name: told[name] for name in ("subject", "sender", "received_at", "url")}
    for part in leaves(message):
        if part.get("filename"):
            size = body_of(part).get("size")
            yield Attachment(
                key=f"{told['id']}/{part.get('partId')}",
                filename=str(part["filename"]),
                mime_type=str(part.get("mimeType") or ""),
                size=size if isinstance(size, int) else 0,
                inline=header(part, "Content-Disposition").lower().startswith("inline"),
                attachment_id=str(body_of(part).get("attachmentId") or ""),
                mail_id=told["id"],
                **same,
            )
