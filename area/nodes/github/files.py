"""Files in a repository: https://docs.github.com/rest/repos/contents"""

import hashlib
from base64 import b64encode
from typing import Annotated, Any

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes._answers import one, read
from area.nodes.github.issues import In
from area.nodes.github.provider import REPO, Gone, service
from area.nodes.github.repositories import branch_choices, escaped, path_of

MOST_FILE = 500_000


class NewFile(In):
    """What to write, and where."""

    path: str = Field(
        title="Path",
        description="From the repository's root. For .github/workflows the account needs leave to change workflows.",
        min_length=1,
        max_length=1000,
        examples=["log/today.md"],
    )
    content: str = Field(
        title="Content",
        description="Text, in UTF-8.",
        max_length=MOST_FILE,
        examples=["{{ trigger.body.text }}"],
        json_schema_extra={"widget": "textarea"},
    )
    message: str = Field(
        title="Commit message",
        description="What the history says.",
        min_length=1,
        max_length=1000,
        examples=["Add today's log"],
    )
    branch: Annotated[str | None, sdk.Choices(branch_choices)] = Field(
        None, title="Branch", description="Empty for the default one.", max_length=250, examples=["main"]
    )
    overwrite: bool = Field(
        False, title="Overwrite", description="Whether a file that is there may be replaced.", examples=[False]
    )

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = value.strip().strip("/")
        parts = path.split("/")
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\\" in path or "\0" in path:
            raise ValueError("is no path in a repository: write folder/file.md")
        return path


class Committed(sdk.Outputs):
    """The commit."""

    path: str = Field(title="Path", description="Of the file.", examples=["log/today.md"])
    commit: str = Field(
        title="Commit", description="Its SHA; empty when it was confirmed afterwards.", examples=["b" * 40]
    )
    url: str = Field(
        title="Address",
        description="Where the file can be read.",
        examples=["https://github.com/acme/site/blob/main/log/today.md"],
    )


@service.reaction("Write a file", idempotent=False, scopes=(REPO,))
async def create_file(ctx: sdk.Context, file: NewFile) -> Committed:
    """Commits a text file to a repository."""
    asked = {"message": file.message, "content": b64encode(file.content.encode()).decode()}
    if file.branch:
        asked["branch"] = file.branch
    there = await _there(ctx, file)
    if there is not None:
        if not file.overwrite:
            raise sdk.Rejected(
                f"{file.path} is there already. Choose another path, or allow it to be overwritten.", code="EXISTS"
            )
        asked["sha"] = there["sha"]
    answer = one(await ctx.http.put(_path(file), json=asked), "commit")
    commit = answer["commit"]
    sha = str(commit.get("sha") or "") if isinstance(commit, dict) else ""
    return _committed(file, answer.get("content"), sha)


@create_file.reconcile
async def _written(ctx: sdk.Context, file: NewFile) -> Committed | None:
    """The file, when it holds just this, as its hash tells whatever its size."""
    there = await _there(ctx, file)
    return _committed(file, there, "") if there and there["sha"] == blob(file.content) else None


def blob(text: str) -> str:
    """Git's name for a file of this text."""
    raw = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


async def _there(ctx: sdk.Context, file: NewFile) -> dict[str, Any] | None:
    """The file that is there. Raises: Rejected for what is no file."""
    try:
        answer = await ctx.http.get(_path(file), params={"ref": file.branch} if file.branch else {})
    except Gone:
        return None
    if isinstance(read(answer), list):
        raise sdk.Rejected(f"{file.path} is a folder. Choose a path for the file.", code="FOLDER")
    found = one(answer, "sha")
    if found.get("type", "file") != "file":
        raise sdk.Rejected(f"{file.path} is a {found['type']}, not a file. Choose another path.", code="NO_FILE")
    return found


def _path(file: NewFile) -> str:
    return f"{path_of(file.repository)}/contents/{'/'.join(escaped(part) for part in file.path.split('/'))}"


def _committed(file: NewFile, content: Any, commit: str) -> Committed:
    url = content.get("html_url") if isinstance(content, dict) else None
    return Committed(path=file.path, commit=commit, url=str(url or ""))
