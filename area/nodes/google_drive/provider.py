"""The service itself, its files and folders. API: https://developers.google.com/workspace/drive/api/reference/rest/v3"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import SCOPE, google, listed, mapping

READ = f"{SCOPE}drive.metadata.readonly"
OWN = f"{SCOPE}drive.file"
"""Files that were made here, and no others."""
FILES = "/drive/v3/files"
FOLDER = "application/vnd.google-apps.folder"
FIELDS = "id,name,mimeType,size,parents,createdTime,webViewLink,owners(emailAddress)"
MOST_FOLDERS = 100
FILE_ID = r"^[A-Za-z0-9_-]{1,200}$"

service = google(
    "google_drive",
    "Google Drive",
    "Reacts to new files; uploads texts, makes folders and shares what it has made.",
    "https://www.googleapis.com",
    "https://developers.google.com/workspace/drive/api/reference/rest/v3",
)


async def folder_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The folders that the account's consent shows, those used lately first."""
    asked: dict[str, str | int] = {
        "q": f"mimeType = '{FOLDER}' and trashed = false",
        "orderBy": "recency desc",
        "fields": "files(id,name)",
        "pageSize": MOST_FOLDERS,
    }
    found = listed(mapping(await ctx.http.get(FILES, params=asked)), "files")
    return [sdk.Choice(str(one["id"]), str(one.get("name") or one["id"])) for one in found if one.get("id")]


FolderId = Annotated[str | None, sdk.Choices(folder_choices)]
"""A folder's id; None stands for the top of My Drive, or for anywhere."""


class File(sdk.Outputs):
    """A file or a folder."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="Drive's id.", examples=["1a2B3c4D5e6F7g8H9i0JkLmNoPqRsTuVw"]
    )
    name: str = Field(title="Name", description="Its name.", examples=["Invoice 7.pdf"])
    mime_type: str = Field(title="Kind", description="Its MIME type.", examples=["application/pdf"])
    size: int = Field(title="Size", description="In bytes; 0 where it has none.", examples=[51234])
    folder_id: str = Field(title="Folder", description="The id of its folder.", examples=["0AExampleRootPVA"])
    owner: str = Field(title="Owner", description="Their mail address.", examples=["ada@example.com"])
    created_at: datetime | None = Field(None, title="Made at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])
    url: str = Field(
        title="Address",
        description="Where it opens.",
        examples=["https://drive.google.com/file/d/1a2B3c4D5e6F7g8H9i0JkLmNoPqRsTuVw/view"],
    )


def file_of(found: Mapping[str, Any]) -> File:
    """A file as Drive shows it."""
    parents, size = found.get("parents"), str(found.get("size") or "")
    owner = next(iter(listed(found, "owners")), {})
    return File(
        id=str(found["id"]),
        name=str(found.get("name") or ""),
        mime_type=str(found.get("mimeType") or ""),
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 20 else 0,
        folder_id=str(parents[0]) if isinstance(parents, list) and parents else "",
        owner=str(owner.get("emailAddress") or ""),
        created_at=moment_of(found.get("createdTime")),
        url=str(found.get("webViewLink") or ""),
    )


def moment_of(given: Any) -> datetime | None:
    """A moment in UTC; None when it is no time."""
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
