"""What can be done in a Drive: texts are uploaded, folders made, and what was made is shared."""

import hashlib
import json
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from area.nodes import sdk
from area.nodes._google import addresses, listed, mapping, segment
from area.nodes.google_drive.provider import FIELDS, FILE_ID, FILES, FOLDER, OWN, File, FolderId, file_of, service

UPLOAD = "/upload/drive/v3/files"
DOCUMENT = "application/vnd.google-apps.document"
MARK = "areaStep"
"""The property by which a file is found again; only this app sees it."""


class Kind(StrEnum):
    """What a text is."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    HTML = "text/html"
    CSV = "text/csv"
    JSON = "application/json"


class Role(StrEnum):
    """What others may do."""

    READER = "reader"
    COMMENTER = "commenter"
    WRITER = "writer"


class Made(sdk.Inputs):
    """What is made, and where."""

    name: str = Field(title="Name", description="Its name.", min_length=1, max_length=255, examples=["Report.txt"])
    folder: FolderId = Field(
        None,
        title="Folder",
        description="The id of a folder that was made here; left out, it goes to the top of My Drive.",
        pattern=FILE_ID,
        examples=["1FolderExampleIdA"],
    )


class Text(Made):
    """What to upload."""

    text: str = Field(
        title="Text",
        description="What stands in it.",
        max_length=1_000_000,
        examples=["It is paid."],
        json_schema_extra={"widget": "textarea"},
    )
    kind: Kind = Field(Kind.TEXT, title="Kind", description="What the text is.", examples=[Kind.TEXT])
    as_document: bool = Field(
        False, title="As a document", description="Makes a document of Google Docs out of it.", examples=[False]
    )


class Folder(Made):
    """Which folder to make."""

    name: str = Field(title="Name", description="Its name.", min_length=1, max_length=255, examples=["Invoices 2026"])


class Share(sdk.Inputs):
    """What to share, and with whom."""

    file_id: str = Field(
        title="File",
        description="The id of a file or folder that was made here.",
        pattern=FILE_ID,
        examples=["1a2B3c4D5e6F7g8H9i0JkLmNoPqRsTuVw"],
    )
    email: str | None = Field(
        None,
        title="With",
        description="A mail address; left out, everybody who has the link.",
        max_length=320,
        examples=["grace@example.com"],
    )
    access: Role = Field(Role.READER, title="Access", description="Read, comment or write.", examples=[Role.READER])
    message: str | None = Field(
        None,
        title="Message",
        description="Google sends it with a mail; without it no mail is sent.",
        max_length=2000,
        examples=["Have a look."],
    )

    @model_validator(mode="after")
    def _somebody_reads_it(self) -> Self:
        if self.message and not self.email:
            raise ValueError("a message needs the address of somebody to send it to")
        return self


class Shared(sdk.Outputs):
    """Who may do what from now on."""

    id: str = Field(title="Id", description="The permission's id.", examples=["12345678901234567890"])
    file_id: str = Field(title="File", description="The file's id.", examples=["1a2B3c4D5e6F7g8H9i0JkLmNoPqRsTuVw"])
    access: str = Field(title="Access", description="reader, commenter or writer.", examples=["reader"])
    email: str = Field(
        title="With", description="The mail address; empty for everybody.", examples=["grace@example.com"]
    )


@service.reaction("Upload a text", idempotent=False, timeout=60, scopes=(OWN,))
async def upload_text(ctx: sdk.Context, text: Text) -> File:
    """Uploads a text as a file."""
    metadata = _metadata(ctx, text, DOCUMENT if text.as_document else text.kind.value)
    body, kind = _related(metadata, text.text, text.kind.value)
    query = {"uploadType": "multipart", "fields": FIELDS, "supportsAllDrives": "true"}
    answer = await ctx.http.post(UPLOAD, content=body, headers={"Content-Type": kind}, params=query)
    return file_of(mapping(answer, "id"))


@service.reaction("Create a folder", idempotent=False, scopes=(OWN,))
async def create_folder(ctx: sdk.Context, folder: Folder) -> File:
    """Makes a folder."""
    query = {"fields": FIELDS, "supportsAllDrives": "true"}
    return file_of(mapping(await ctx.http.post(FILES, json=_metadata(ctx, folder, FOLDER), params=query), "id"))


@service.reaction("Share a file", idempotent=False, scopes=(OWN,))
async def share(ctx: sdk.Context, given: Share) -> Shared:
    """Lets somebody, or everybody with the link, see or change a file or folder."""
    asked = {"role": given.access.value, "type": "anyone"}
    query = {"fields": "id,type,role,emailAddress", "supportsAllDrives": "true"}
    if given.email:
        found = addresses(given.email, "email")
        if len(found) > 1:
            raise sdk.Rejected("A file is shared with one address at a time.", field="email", suggestion=found[0])
        asked |= {"type": "user", "emailAddress": found[0]}
        query["sendNotificationEmail"] = "true" if given.message else "false"
    if given.message:
        query["emailMessage"] = given.message
    return _shared(mapping(await ctx.http.post(_permissions(given), json=asked, params=query), "id"), given)


@upload_text.reconcile
async def _was_uploaded(ctx: sdk.Context, text: Text) -> File | None:
    """The file, by its mark."""
    return await _marked(ctx)


@create_folder.reconcile
async def _was_created(ctx: sdk.Context, folder: Folder) -> File | None:
    """The folder, by its mark."""
    return await _marked(ctx)


@share.reconcile
async def _was_shared(ctx: sdk.Context, given: Share) -> Shared | None:
    """The permission, among those of the file."""
    query: dict[str, str | int] = {
        "fields": "permissions(id,type,role,emailAddress)",
        "supportsAllDrives": "true",
        "pageSize": 100,
    }
    wanted = addresses(given.email, "email")[0].lower() if given.email else ""
    for one in listed(mapping(await ctx.http.get(_permissions(given), params=query)), "permissions"):
        same = str(one.get("emailAddress") or "").lower() == wanted if wanted else one.get("type") == "anyone"
        if same and one.get("role") == given.access.value and one.get("id"):
            return _shared(one, given)
    return None


async def _marked(ctx: sdk.Context) -> File | None:
    query: dict[str, str | int] = {
        "q": f"appProperties has {{ key='{MARK}' and value='{_mark(ctx)}' }} and trashed = false",
        "fields": f"files({FIELDS})",
        "pageSize": 1,
    }
    found = [one for one in listed(mapping(await ctx.http.get(FILES, params=query)), "files") if one.get("id")]
    return file_of(found[0]) if found else None


def _metadata(ctx: sdk.Context, made: Made, kind: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": made.name, "mimeType": kind, "appProperties": {MARK: _mark(ctx)}}
    return metadata | ({"parents": [made.folder]} if made.folder else {})


def _mark(ctx: sdk.Context) -> str:
    """The same for every attempt of a step."""
    return hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]


def _related(metadata: dict[str, Any], text: str, kind: str) -> tuple[bytes, str]:
    """A body of metadata and content, and its Content-Type: https://developers.google.com/workspace/drive/api/guides/manage-uploads#multipart"""
    parts = ((json.dumps(metadata), "application/json"), (text, kind))
    boundary = "area-" + hashlib.sha256("".join(part for part, _ in parts).encode()).hexdigest()[:40]
    body = "".join(f"--{boundary}\r\nContent-Type: {of}; charset=UTF-8\r\n\r\n{part}\r\n" for part, of in parts)
    return f"{body}--{boundary}--".encode(), f"multipart/related; boundary={boundary}"


def _permissions(given: Share) -> str:
    return f"{FILES}/{segment(given.file_id)}/permissions"


def _shared(found: dict[str, Any], given: Share) -> Shared:
    role, email = str(found.get("role") or given.access.value), str(found.get("emailAddress") or given.email or "")
    return Shared(id=str(found["id"]), file_id=given.file_id, access=role, email=email)
