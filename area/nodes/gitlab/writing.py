"""Writing in a project: issues and comments.

https://docs.gitlab.com/api/issues/ and https://docs.gitlab.com/api/notes/
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import httpx
from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes._answers import many, one
from area.nodes._forges import MARK, began, made
from area.nodes._markdown import JOINER, unmentioned
from area.nodes.gitlab.projects import Project, label_choices, page_of, path_of, project_field
from area.nodes.gitlab.provider import API, service

MOST_BODY = 600_000
"""Characters: GitLab takes 1,000,000, and what is kept from notifying grows by half at most."""
MOST_TITLE = 255
ALIKE = 100
"""How many of the newest are looked through for one whose answer was lost."""
NEWEST: dict[str, str | int] = {"order_by": "created_at", "sort": "desc", "per_page": ALIKE}


class In(sdk.Inputs):
    """Which project."""

    project: Project = project_field()


class Words(In):
    """What to write, and whether it may notify."""

    body: str
    mentions: bool = Field(
        False,
        title="Notify",
        description="Whether an @name in what is written notifies. By default nobody is: text from elsewhere may hold any name.",
        examples=[False],
    )

    def written(self) -> str:
        """The text as GitLab gets it: a line such as ``/close`` would be carried out, and is kept from it.

        https://docs.gitlab.com/user/project/quick_actions/
        """
        # With a word joiner before its / it is no quick action.
        body = re.sub(r"(?m)^/(?=\w)", f"{JOINER}/", re.sub(r"\r\n?", "\n", self.body))
        return f"{self.quiet(body).rstrip()}\n\n{MARK}".lstrip("\n")

    def quiet(self, text: str) -> str:
        """The text without mentions, unless they are wanted."""
        return text if self.mentions else unmentioned(text)


class NewIssue(Words):
    """What to write."""

    title: str = Field(
        title="Title",
        description="One line.",
        min_length=1,
        max_length=MOST_TITLE,
        examples=["{{ trigger.title }} is broken"],
    )
    body: str = Field(
        "",
        title="Text",
        description="Markdown.",
        max_length=MOST_BODY,
        examples=["Seen at {{ trigger.created_at }}"],
        json_schema_extra={"widget": "textarea"},
    )
    labels: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], sdk.Choices(label_choices)] = Field(
        default_factory=list,
        title="Labels",
        description="New ones are made where the account may.",
        max_length=100,
        examples=[["bug"]],
    )
    confidential: bool = Field(
        False,
        title="Confidential",
        description="Whether only the project's members see it.",
        examples=[False],
    )

    def headline(self) -> str:
        """The title as GitLab gets it: names in it notify as those in the text do."""
        return self.quiet(self.title)[:MOST_TITLE].rstrip()

    @field_validator("title")
    @classmethod
    def _one_line(cls, value: str) -> str:
        title = " ".join(value.split())
        if not title:
            raise ValueError("is empty: an issue needs a title")
        return title

    @field_validator("labels")
    @classmethod
    def _without_commas(cls, value: list[str]) -> list[str]:
        if any("," in label for label in value):
            raise ValueError("hold a comma, by which GitLab parts them: give each label an item of its own")
        return value


class Written(sdk.Outputs):
    """What GitLab made of it."""

    id: int = Field(title="Id", description="GitLab's id.", examples=[84])
    number: int = Field(title="Number", description="Of the issue or merge request in its project.", examples=[42])
    url: str = Field(
        title="Address", description="Where it can be read.", examples=["https://gitlab.com/acme/web/site/-/issues/42"]
    )


class Kind(StrEnum):
    """What a comment can be under."""

    ISSUE = "issue"
    MERGE_REQUEST = "merge_request"


class NewComment(Words):
    """What to write, and under what."""

    under: Kind = Field(
        Kind.ISSUE,
        title="Under",
        description="Whether the number is an issue's or a merge request's.",
        examples=["issue"],
    )
    number: int = Field(
        title="Number", description="Of the issue (#) or merge request (!) in its project.", ge=1, examples=[42]
    )
    body: str = Field(
        title="Text",
        description="Markdown.",
        min_length=1,
        max_length=MOST_BODY,
        examples=["Thank you, {{ trigger.sender_name }}!"],
        json_schema_extra={"widget": "textarea"},
    )

    @field_validator("body")
    @classmethod
    def _something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty: a comment needs words")
        return value


@service.reaction("Create an issue", idempotent=False, scopes=(API,))
async def create_issue(ctx: sdk.Context, issue: NewIssue) -> Written:
    """Creates an issue in a project."""
    asked: dict[str, Any] = {"title": issue.headline(), "description": issue.written()}
    if issue.labels:
        asked["labels"] = ",".join(issue.labels)
    if issue.confidential:
        asked["confidential"] = True
    return _issue(one(await ctx.http.post(f"{path_of(issue.project)}/issues", json=asked), "id", "iid"))


@create_issue.reconcile
async def _created(ctx: sdk.Context, issue: NewIssue) -> Written | None:
    """The issue of the same words that this account has written since the first attempt."""
    asked: dict[str, str | int] = {"author_id": author(ctx), "scope": "all", **NEWEST}
    answer = await ctx.http.get(f"{path_of(issue.project)}/issues", params=asked)
    wanted = (issue.headline(), issue.written())
    for found in _since(ctx, answer, "issue"):
        if (found.get("title"), _plain(found.get("description"))) == wanted:
            return _issue(found)
    return None


@service.reaction("Comment", idempotent=False, scopes=(API,))
async def comment_on(ctx: sdk.Context, comment: NewComment) -> Written:
    """Writes a comment under an issue or a merge request."""
    answer = await ctx.http.post(_notes(comment), json={"body": comment.written()})
    return _note(answer, one(answer, "id"), comment)


@comment_on.reconcile
async def _commented(ctx: sdk.Context, comment: NewComment) -> Written | None:
    """The comment of the same words that this account has written since the first attempt."""
    answer = await ctx.http.get(_notes(comment), params=NEWEST)
    wanted = comment.written()
    for found in _since(ctx, answer, "comment"):
        writer = found.get("author")
        mine = isinstance(writer, dict) and str(writer.get("id")) == author(ctx)
        if mine and _plain(found.get("body")) == wanted:
            return _note(answer, found, comment)
    return None


def _notes(comment: NewComment) -> str:
    return f"{path_of(comment.project)}/{comment.under}s/{comment.number}/notes"


def _issue(found: dict[str, Any]) -> Written:
    return Written(id=found["id"], number=found["iid"], url=str(found.get("web_url") or ""))


def _note(answer: httpx.Response, found: dict[str, Any], comment: NewComment) -> Written:
    """GitLab gives a comment no address; it stands below what it is under."""
    place = f"{page_of(answer, comment.project)}/-/{comment.under}s/{comment.number}"
    return Written(id=found["id"], number=comment.number, url=f"{place}#note_{found['id']}")


def _plain(written: Any) -> str:
    return re.sub(r"\r\n?", "\n", written).strip("\n") if isinstance(written, str) else ""


def author(ctx: sdk.Context) -> str:
    """The account's id on its instance."""
    return str(ctx.account.facts.get("id") or ctx.account.external_id)


def _since(ctx: sdk.Context, answer: httpx.Response, kind: str) -> Iterator[dict[str, Any]]:
    """What was made since the first attempt, the newest first. Raises: Unknown when there is more of it than was read."""
    since, listed = began(ctx, answer), many(answer)
    new = [found for found in listed if made(found, service.name) >= since]
    yield from new
    if len(new) == len(listed) >= ALIKE:
        raise sdk.Unknown(f"GitLab has more than {ALIKE} new ones: look whether this {kind} is among them.")
