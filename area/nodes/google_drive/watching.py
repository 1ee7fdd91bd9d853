"""New files, out of the list of changes. https://developers.google.com/workspace/drive/api/guides/manage-changes"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import Expired, Gone, listed, mapping
from area.nodes.google_drive.provider import FIELDS, FILE_ID, FOLDER, READ, File, FolderId, file_of, moment_of, service

EVERY = timedelta(minutes=1)
GRACE = timedelta(minutes=1)
"""How far Google's clock may be behind ours."""
PER_PAGE = 200
PAGES = 5
CHANGES = "/drive/v3/changes"
EVERYWHERE = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true"}


class Where(sdk.Inputs):
    """Which folder."""

    folder: Annotated[FolderId, sdk.NoTemplate] = Field(
        None,
        title="Folder",
        description="The id of the folder; left out, files anywhere count. Folders within it are looked at apart.",
        pattern=FILE_ID,
        examples=["1FolderExampleIdA"],
    )
    folders_too: Annotated[bool, sdk.NoTemplate] = Field(
        False, title="Folders too", description="Whether new folders count as files.", examples=[False]
    )


@service.poll("New file", every=EVERY, scopes=(READ,))
async def file_added(ctx: sdk.Context, where: Where) -> sdk.Page[File]:
    """Fires once for each file that is uploaded or made. A file from before that is moved or changed fires nothing."""
    if ctx.cursor is None:
        return sdk.Page([], await _present(ctx))
    cursor: dict[str, Any] = dict(ctx.cursor)
    since = datetime.fromisoformat(cursor["since"])
    asked: dict[str, Any] = {
        "pageSize": PER_PAGE,
        "includeRemoved": "false",
        "spaces": "drive",
        "fields": f"nextPageToken,newStartPageToken,changes(file(trashed,{FIELDS}))",
        **EVERYWHERE,
    }
    found: dict[str, File] = {}
    for _ in range(PAGES):
        try:
            body = mapping(await ctx.http.get(CHANGES, params={**asked, "pageToken": cursor["page"]}))
        except (Gone, Expired):
            ctx.log("Drive has forgotten the last look: what has changed since is passed over.")
            return sdk.Page([], await _present(ctx))
        for change in listed(body, "changes"):
            file = change.get("file")
            if isinstance(file, dict) and file.get("id") and not file.get("trashed") and _is_new(file, where, since):
                found[str(file["id"])] = file_of(file)
        following = body.get("nextPageToken") or body.get("newStartPageToken")
        if not following:
            raise sdk.Unavailable("Google Drive gave neither a next page nor a token for the next look.")
        cursor["page"] = str(following)
        if not body.get("nextPageToken"):
            break
    return sdk.Page(list(found.values()), cursor)


async def _present(ctx: sdk.Context) -> dict[str, str]:
    answer = await ctx.http.get(f"{CHANGES}/startPageToken", params={"supportsAllDrives": "true"})
    token = mapping(answer, "startPageToken")["startPageToken"]
    return {"page": str(token), "since": (ctx.now() - GRACE).isoformat()}


def _is_new(file: dict[str, Any], where: Where, since: datetime) -> bool:
    made, parents = moment_of(file.get("createdTime")), file.get("parents")
    here = where.folder is None or (isinstance(parents, list) and where.folder in parents)
    return here and made is not None and made >= since and (where.folders_too or file.get("mimeType") != FOLDER)
