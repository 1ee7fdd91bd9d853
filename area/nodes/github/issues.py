"""Writing in a repository: issues, comments, labels.

https://docs.github.com/rest/issues/issues, /rest/issues/comments and /rest/issues/labels
"""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes._answers import many, one
from area.nodes._forges import MARK, began, made
from area.nodes._markdown import unmentioned
from area.nodes._payloads import text
from area.nodes.github.provider import REPO, service
from area.nodes.github.repositories import Repository, assignee_choices, label_choices, path_of, repository_field

MOST_BODY = 65_536 - len(MARK) - 2
RECENT = timedelta(minutes=10)
"""How far back comments are listed: more than any two clocks differ."""


class In(sdk.Inputs):
    """Which repository."""

    repository: Repository = repository_field()


class Words(In):
    """What to write, and whether it may notify."""

    body: str
    mentions: bool = Field(
        False,
        title="Notify",
        description="Whether an @name in the text notifies. By default nobody is: text from elsewhere may hold any name.",
        examples=[False],
    )

    def written(self) -> str:
        """The text as GitHub gets it."""
        body = self.body if self.mentions else unmentioned(self.body)
        return f"{body}\n\n{MARK}".lstrip()


class NewIssue(Words):
    """What to write."""

    title: str = Field(
        title="Title", description="One line.", min_length=1, max_length=256, examples=["{{ trigger.title }} is broken"]
    )
    body: str = Field(
        "",
        title="Text",
        description="Markdown.",
        max_length=MOST_BODY,
        examples=["Seen at {{ trigger.at }}"],
        json_schema_extra={"widget": "textarea"},
    )
    labels: Annotated[list[str], sdk.Choices(label_choices)] = Field(
        default_factory=list,
        title="Labels",
        description="GitHub drops them silently where the account may not push.",
        max_length=100,
        examples=[["bug"]],
    )
    assignees: Annotated[list[str], sdk.Choices(assignee_choices)] = Field(
        default_factory=list,
        title="Assignees",
        description="Logins; GitHub drops those who may not be assigned.",
        max_length=10,
        examples=[["ada"]],
    )

    @field_validator("title")
    @classmethod
    def _one_line(cls, value: str) -> str:
        title = " ".join(value.split())
        if not title:
            raise ValueError("is empty: an issue needs a title")
        return title


class Written(sdk.Outputs):
    """What GitHub made of it."""

    id: int = Field(title="Id", description="GitHub's id.", examples=[1])
    number: int = Field(title="Number", description="Of the issue or pull request.", examples=[42])
    url: str = Field(
        title="Address", description="Where it can be read.", examples=["https://github.com/acme/site/issues/42"]
    )


class NewComment(Words):
    """What to write, and under what."""

    number: int = Field(title="Number", description="Of the issue or pull request.", ge=1, examples=[42])
    body: str = Field(
        title="Text",
        description="Markdown.",
        min_length=1,
        max_length=MOST_BODY,
        examples=["Thank you, {{ trigger.author }}!"],
        json_schema_extra={"widget": "textarea"},
    )


class MoreLabels(In):
    """What to stick on what."""

    number: int = Field(title="Number", description="Of the issue or pull request.", ge=1, examples=[42])
    labels: Annotated[list[str], sdk.Choices(label_choices)] = Field(
        title="Labels",
        description="Those that are there already stay.",
        min_length=1,
        max_length=100,
        examples=[["bug"]],
    )


class Labelled(sdk.Outputs):
    """The labels now."""

    labels: list[str] = Field(title="Labels", description="All of them.", examples=[["bug", "door"]])


@service.reaction("Create an issue", idempotent=False, scopes=(REPO,))
async def create_issue(ctx: sdk.Context, issue: NewIssue) -> Written:
    """Creates an issue in a repository."""
    asked: dict[str, Any] = {"title": issue.title, "body": issue.written()}
    if issue.labels:
        asked["labels"] = issue.labels
    if issue.assignees:
        asked["assignees"] = issue.assignees
    return _written(one(await ctx.http.post(f"{path_of(issue.repository)}/issues", json=asked), "id", "number"))


@create_issue.reconcile
async def _created(ctx: sdk.Context, issue: NewIssue) -> Written | None:
    """The issue of the same words that this account has written since the first attempt."""
    asked = {"creator": ctx.account.facts.get("login"), "state": "all", "sort": "created", "per_page": 50}
    answer = await ctx.http.get(f"{path_of(issue.repository)}/issues", params=asked)
    since, wanted = began(ctx, answer), (issue.title, _lines(issue.written()))
    for found in many(answer):
        same = (found.get("title"), _lines(found.get("body"))) == wanted and "pull_request" not in found
        if same and made(found, service.name) >= since:
            return _written(found)
    return None


@service.reaction("Comment", idempotent=False, scopes=(REPO,))
async def comment_on(ctx: sdk.Context, comment: NewComment) -> Written:
    """Writes a comment under an issue or a pull request."""
    answer = await ctx.http.post(_comments(comment), json={"body": comment.written()})
    return _written(one(answer, "id"), comment.number)


@comment_on.reconcile
async def _commented(ctx: sdk.Context, comment: NewComment) -> Written | None:
    """The comment of the same words that this account has written since the first attempt."""
    earliest = (ctx.tried_since or ctx.now()) - RECENT
    answer = await ctx.http.get(_comments(comment), params={"per_page": 100, "since": f"{earliest:%Y-%m-%dT%H:%M:%SZ}"})
    since, wanted = began(ctx, answer), _lines(comment.written())
    for found in many(answer):
        mine = text(found, "user", "login") == ctx.account.facts.get("login")
        if mine and _lines(found.get("body")) == wanted and made(found, service.name) >= since:
            return _written(found, comment.number)
    return None


@service.reaction("Add labels", idempotent=True, scopes=(REPO,))
async def add_labels(ctx: sdk.Context, more: MoreLabels) -> Labelled:
    """Adds labels to an issue or a pull request; new ones are made."""
    path = f"{path_of(more.repository)}/issues/{more.number}/labels"
    found = many(await ctx.http.post(path, json={"labels": more.labels}))
    return Labelled(labels=[str(label.get("name") or "") for label in found])


def _comments(comment: NewComment) -> str:
    return f"{path_of(comment.repository)}/issues/{comment.number}/comments"


def _written(found: dict[str, Any], number: int = 0) -> Written:
    return Written(id=found["id"], number=found.get("number") or number, url=str(found.get("html_url") or ""))


def _lines(written: Any) -> str:
    return re.sub(r"\r\n?", "\n", written).strip() if isinstance(written, str) else ""
