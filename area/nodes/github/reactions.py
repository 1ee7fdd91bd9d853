"""What can be done in a repository: issues, comments, labels, workflows, files."""

import binascii
import re
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes.github.provider import (
    Gone,
    Repository,
    escaped,
    label_choices,
    many,
    one,
    path_of,
    repository_field,
    service,
)

REPO = "repo"
MOST_BODY = 65_536
MOST_FILE = 500_000
CLOCKS = timedelta(minutes=2)
"""How far GitHub's clock and ours may be apart."""


class In(sdk.Inputs):
    """Which repository."""

    repository: Repository = repository_field()


class NewIssue(In):
    """What to write."""

    title: str = Field(
        title="Title", description="One line.", min_length=1, max_length=256, examples=["{{ trigger.title }} is broken"]
    )
    body: str = Field(
        "",
        title="Text",
        description="Markdown. An @name in it is notified.",
        max_length=MOST_BODY,
        examples=["Seen at {{ trigger.at }}"],
        json_schema_extra={"widget": "textarea"},
    )
    labels: list[Annotated[str, sdk.Choices(label_choices)]] = Field(
        default_factory=list,
        title="Labels",
        description="GitHub drops them silently where the account may not push.",
        max_length=100,
        examples=[["bug"]],
    )
    assignees: list[str] = Field(
        default_factory=list,
        title="Assignees",
        description="Logins; GitHub drops those who may not be assigned.",
        max_length=10,
        examples=[["ada"]],
    )


class Written(sdk.Outputs):
    """What GitHub made of it."""

    id: int = Field(title="Id", description="GitHub's id.", examples=[1])
    number: int = Field(title="Number", description="Of the issue or pull request.", examples=[42])
    url: str = Field(
        title="Address", description="Where it can be read.", examples=["https://github.com/acme/site/issues/42"]
    )


class OnIssue(In):
    """Which issue or pull request."""

    number: int = Field(title="Number", description="Of the issue or pull request.", ge=1, examples=[42])


class NewComment(OnIssue):
    """What to write, and under what."""

    body: str = Field(
        title="Text",
        description="Markdown. An @name in it is notified.",
        min_length=1,
        max_length=MOST_BODY,
        examples=["Thank you, @{{ trigger.author }}!"],
        json_schema_extra={"widget": "textarea"},
    )


class MoreLabels(OnIssue):
    """What to stick on what."""

    labels: list[Annotated[str, sdk.Choices(label_choices)]] = Field(
        title="Labels",
        description="Those that are there already stay.",
        min_length=1,
        max_length=100,
        examples=[["bug"]],
    )


class Labelled(sdk.Outputs):
    """The labels now."""

    labels: list[str] = Field(title="Labels", description="All of them.", examples=[["bug", "door"]])


class Dispatch(In):
    """What to start."""

    workflow: str = Field(
        title="Workflow",
        description="Its file's name, or its id. It needs the trigger workflow_dispatch.",
        pattern=r"^([\w.-]+\.ya?ml|\d+)$",
        max_length=200,
        examples=["deploy.yml"],
    )
    ref: str = Field(
        title="Branch or tag", description="What to run it on.", min_length=1, max_length=250, examples=["main"]
    )
    inputs: dict[str, str] = Field(
        default_factory=dict,
        title="Inputs",
        description="Those that the workflow declares.",
        max_length=25,
        examples=[{"environment": "production"}],
        json_schema_extra={"widget": "keyvalue"},
    )


class Dispatched(sdk.Outputs):
    """GitHub took it."""

    workflow: str = Field(title="Workflow", description="What was started.", examples=["deploy.yml"])
    ref: str = Field(title="Branch or tag", description="What on.", examples=["main"])


class NewFile(In):
    """What to write, and where."""

    path: str = Field(
        title="Path",
        description="From the repository's root.",
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
    branch: str | None = Field(
        None, title="Branch", description="Empty for the default one.", max_length=250, examples=["main"]
    )
    overwrite: bool = Field(
        False, title="Overwrite", description="Whether a file that is there may be replaced.", examples=[False]
    )

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = value.strip().strip("/")
        if (
            not path
            or any(part in ("", ".", "..") for part in path.split("/"))
            or "\\" in path
            or ".git" in path.split("/")
        ):
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


@service.reaction("Create an issue", idempotent=False, scopes=(REPO,))
async def create_issue(ctx: sdk.Context, issue: NewIssue) -> Written:
    """Creates an issue in a repository."""
    asked: dict[str, Any] = {"title": issue.title, "body": issue.body}
    if issue.labels:
        asked["labels"] = issue.labels
    if issue.assignees:
        asked["assignees"] = issue.assignees
    return _written(one(await ctx.http.post(f"{path_of(issue.repository)}/issues", json=asked), "id", "number"))


@create_issue.reconcile
async def _created(ctx: sdk.Context, issue: NewIssue) -> Written | None:
    """The issue of the same words that this account has written since the first attempt."""
    asked = {"creator": ctx.account.facts.get("login"), "state": "all", "sort": "created", "per_page": 50}
    for found in many(await ctx.http.get(f"{path_of(issue.repository)}/issues", params=asked)):
        same = (found.get("title"), _lines(found.get("body"))) == (issue.title, _lines(issue.body))
        if same and _since(ctx, found):
            return _written(found)
    return None


@service.reaction("Comment", idempotent=False, scopes=(REPO,))
async def comment_on(ctx: sdk.Context, comment: NewComment) -> Written:
    """Writes a comment under an issue or a pull request."""
    answer = await ctx.http.post(_issue(comment, "/comments"), json={"body": comment.body})
    return _written(one(answer, "id"), comment.number)


@comment_on.reconcile
async def _commented(ctx: sdk.Context, comment: NewComment) -> Written | None:
    """The comment of the same words that this account has written since the first attempt."""
    asked: dict[str, Any] = {"per_page": 100}
    if ctx.tried_since:
        asked["since"] = f"{ctx.tried_since - CLOCKS:%Y-%m-%dT%H:%M:%SZ}"
    for found in many(await ctx.http.get(_issue(comment, "/comments"), params=asked)):
        mine = (found.get("user") or {}).get("login") == ctx.account.facts.get("login")
        if mine and _lines(found.get("body")) == _lines(comment.body) and _since(ctx, found):
            return _written(found, comment.number)
    return None


@service.reaction("Add labels", idempotent=True, scopes=(REPO,))
async def add_labels(ctx: sdk.Context, more: MoreLabels) -> Labelled:
    """Adds labels to an issue or a pull request; new ones are made."""
    found = many(await ctx.http.post(_issue(more, "/labels"), json={"labels": more.labels}))
    return Labelled(labels=[str(label.get("name") or "") for label in found])


@service.reaction("Start a workflow", idempotent=False, scopes=(REPO,))
async def dispatch_workflow(ctx: sdk.Context, what: Dispatch) -> Dispatched:
    """Starts a workflow of GitHub Actions that has the trigger workflow_dispatch."""
    path = f"{path_of(what.repository)}/actions/workflows/{escaped(what.workflow)}/dispatches"
    asked: dict[str, Any] = {"ref": what.ref}
    if what.inputs:
        asked["inputs"] = what.inputs
    await ctx.http.post(path, json=asked)
    return Dispatched(workflow=what.workflow, ref=what.ref)


@service.reaction("Write a file", idempotent=False, scopes=(REPO,))
async def create_file(ctx: sdk.Context, file: NewFile) -> Committed:
    """Commits a text file to a repository."""
    path = _content(file)
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
    answer = one(await ctx.http.put(path, json=asked), "commit")
    return _committed(file, answer.get("content") or {}, str(answer["commit"].get("sha") or ""))


@create_file.reconcile
async def _file_there(ctx: sdk.Context, file: NewFile) -> Committed | None:
    """The file, when it holds just this."""
    there = await _there(ctx, file)
    try:
        same = there is not None and b64decode(there.get("content") or "").decode() == file.content
    except (binascii.Error, UnicodeDecodeError):
        same = False
    return _committed(file, there or {}, "") if same else None


async def _there(ctx: sdk.Context, file: NewFile) -> dict[str, Any] | None:
    asked = {"ref": file.branch} if file.branch else {}
    try:
        answer = await ctx.http.get(_content(file), params=asked)
    except Gone:
        return None
    if isinstance(answer.json(), list):
        raise sdk.Rejected(f"{file.path} is a folder. Choose a path for the file.", code="FOLDER")
    return one(answer, "sha")


def _content(file: NewFile) -> str:
    return f"{path_of(file.repository)}/contents/{'/'.join(escaped(part) for part in file.path.split('/'))}"


def _issue(where: OnIssue, rest: str) -> str:
    return f"{path_of(where.repository)}/issues/{where.number}{rest}"


def _written(found: dict[str, Any], number: int = 0) -> Written:
    return Written(id=found["id"], number=found.get("number") or number, url=str(found.get("html_url") or ""))


def _committed(file: NewFile, content: dict[str, Any], commit: str) -> Committed:
    return Committed(path=file.path, commit=commit, url=str(content.get("html_url") or ""))


def _lines(text: Any) -> str:
    return re.sub(r"\r\n?", "\n", text).strip() if isinstance(text, str) else ""


def _since(ctx: sdk.Context, found: dict[str, Any]) -> bool:
    """Whether it was made since the first attempt began: older ones of the same words are somebody's earlier ones."""
    if ctx.tried_since is None:
        return True
    try:
        made = datetime.fromisoformat(str(found.get("created_at")))
    except ValueError:
        return False
    return made >= ctx.tried_since - CLOCKS
