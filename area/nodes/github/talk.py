"""What people say in a repository: issues, pull requests, reviews, comments.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._forges import MARK, from_areas_field
from area.nodes._payloads import number, objects, text, within
from area.nodes.github.hooks import watched
from area.nodes.github.payloads import At, Happened, body_of, common, flag


class IssueChange(StrEnum):
    """What became of an issue."""

    OPENED = "opened"
    CLOSED = "closed"
    REOPENED = "reopened"
    LABELED = "labeled"
    ASSIGNED = "assigned"


class Issues(At):
    """Which repository, and what shall have become of an issue."""

    changes: Annotated[list[IssueChange], sdk.NoTemplate] = Field(
        [IssueChange.OPENED],
        title="When it is",
        description="Which changes fire.",
        min_length=1,
        max_length=5,
        examples=[["opened", "reopened"]],
    )
    from_areas: Annotated[bool, sdk.NoTemplate] = from_areas_field()


class Item(Happened):
    """An issue or a pull request."""

    action: str = Field(title="What happened", description="In GitHub's word.", examples=["opened"])
    number: int = Field(title="Number", description="In the repository.", examples=[42])
    title: str = Field(title="Title", description="Its title.", examples=["The door squeaks"])
    body: str = Field(title="Text", description="Its first 10,000 characters; Markdown.", examples=["When it rains."])
    author: str = Field(title="Author", description="Login of who wrote it.", examples=["ada"])
    labels: list[str] = Field(title="Labels", description="Their names.", examples=[["bug"]])
    state: str = Field(title="State", description="open or closed.", examples=["open"])
    url: str = Field(
        title="Address", description="Where it can be read.", examples=["https://github.com/acme/site/issues/42"]
    )


class Issue(Item):
    """An issue."""

    label: str | None = Field(
        None, title="Label", description="The one just added, if that is what happened.", examples=["bug"]
    )
    assignee: str | None = Field(
        None, title="Assignee", description="Who was just assigned, if that is it.", examples=["bob"]
    )


@watched("Issue", "issues")
def issue(where: Issues, delivery: sdk.WebhookDelivery) -> Issue | None:
    """Fires when an issue is opened, or what else is chosen becomes of it."""
    body = body_of(delivery, "issues", *where.changes, about="issue")
    if not body:
        return None
    change = body["action"]
    if change == "opened" and MARK in str(within(body, "issue", "body")) and not where.from_areas:
        return None
    return Issue(
        **_item(body, "issue", change),
        label=text(body, "label", "name") if change == "labeled" else None,
        assignee=text(body, "assignee", "login") if change == "assigned" else None,
    )


class PullChange(StrEnum):
    """What became of a pull request."""

    OPENED = "opened"
    MERGED = "merged"
    CLOSED = "closed"
    REOPENED = "reopened"
    READY = "ready_for_review"
    UPDATED = "synchronize"


class Pulls(At):
    """Which repository, and what shall have become of a pull request."""

    changes: Annotated[list[PullChange], sdk.NoTemplate] = Field(
        [PullChange.OPENED],
        title="When it is",
        description="Which changes fire; closed means closed without a merge, synchronize that commits were added.",
        min_length=1,
        max_length=6,
        examples=[["opened", "merged"]],
    )


class PullRequest(Item):
    """A pull request."""

    merged: bool = Field(title="Merged", description="Whether it has been merged.", examples=[False])
    draft: bool = Field(title="Draft", description="Whether it is one.", examples=[False])
    source: str = Field(title="From", description="The branch it wants to bring in.", examples=["mend-door"])
    target: str = Field(title="Into", description="The branch it wants to change.", examples=["main"])


@watched("Pull request", "pull_request")
def pull_request(where: Pulls, delivery: sdk.WebhookDelivery) -> PullRequest | None:
    """Fires when a pull request is opened, or what else is chosen becomes of it."""
    body = body_of(delivery, "pull_request", about="pull_request")
    pull = within(body, "pull_request")
    merged, change = flag(pull, "merged"), text(body, "action")
    change = "merged" if change == "closed" and merged else change
    if change not in where.changes:
        return None
    return PullRequest(
        **_item(body, "pull_request", change),
        merged=merged,
        draft=flag(pull, "draft"),
        source=text(pull, "head", "ref"),
        target=text(pull, "base", "ref"),
    )


class Verdict(StrEnum):
    """What a reviewer says."""

    APPROVED = "approved"
    CHANGES = "changes_requested"
    COMMENTED = "commented"


class Reviews(At):
    """Which repository, and which verdicts."""

    verdicts: Annotated[list[Verdict], sdk.NoTemplate] = Field(
        [Verdict.APPROVED, Verdict.CHANGES],
        title="Verdicts",
        description="Which reviews fire.",
        min_length=1,
        max_length=3,
        examples=[["approved"]],
    )


class Review(Happened):
    """A review of a pull request."""

    id: int = Field(title="Id", description="GitHub's id.", examples=[80])
    number: int = Field(title="Number", description="Of the pull request.", examples=[42])
    title: str = Field(title="Title", description="Of the pull request.", examples=["Mend the door"])
    verdict: str = Field(
        title="Verdict", description="approved, changes_requested or commented.", examples=["approved"]
    )
    body: str = Field(title="Text", description="The reviewer's first 10,000 characters.", examples=["Well done."])
    url: str = Field(
        title="Address",
        description="Where it can be read.",
        examples=["https://github.com/acme/site/pull/42#pullrequestreview-80"],
    )


@watched("Review submitted", "pull_request_review")
def review(where: Reviews, delivery: sdk.WebhookDelivery) -> Review | None:
    """Fires when a review of a pull request is submitted."""
    body = body_of(delivery, "pull_request_review", "submitted", about="review")
    verdict = text(body, "review", "state").lower()
    if verdict not in where.verdicts:
        return None
    return Review(
        **common(body),
        id=number(body, "review", "id"),
        number=number(body, "pull_request", "number"),
        title=text(body, "pull_request", "title"),
        verdict=verdict,
        body=text(body, "review", "body"),
        url=text(body, "review", "html_url"),
    )


class Comment(Happened):
    """A comment."""

    id: int = Field(title="Id", description="GitHub's id.", examples=[99262140])
    number: int = Field(title="Number", description="Of the issue or pull request.", examples=[42])
    title: str = Field(title="Title", description="Of the issue or pull request.", examples=["The door squeaks"])
    body: str = Field(title="Text", description="Its first 10,000 characters; Markdown.", examples=["It does."])
    author: str = Field(title="Author", description="Login of who wrote it.", examples=["bob"])
    on_pull_request: bool = Field(title="On a pull request", description="Else on an issue.", examples=[False])
    url: str = Field(
        title="Address",
        description="Where it can be read.",
        examples=["https://github.com/acme/site/issues/42#issuecomment-99262140"],
    )


class Comments(At):
    """Which comments."""

    contains: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Contains",
        description="Only those with this in them; case is ignored.",
        max_length=200,
        examples=["/deploy"],
    )
    from_areas: Annotated[bool, sdk.NoTemplate] = from_areas_field()


@watched("New comment", "issue_comment")
def comment(where: Comments, delivery: sdk.WebhookDelivery) -> Comment | None:
    """Fires for each new comment on an issue or a pull request; edits fire nothing."""
    body = body_of(delivery, "issue_comment", "created", about="comment")
    whole = str(within(body, "comment", "body") or "")
    if not body or (where.contains or "").casefold() not in whole.casefold():
        return None
    if MARK in whole and not where.from_areas:
        return None
    return Comment(
        **common(body),
        id=number(body, "comment", "id"),
        number=number(body, "issue", "number"),
        title=text(body, "issue", "title"),
        body=text(body, "comment", "body"),
        author=text(body, "comment", "user", "login"),
        on_pull_request=within(body, "issue", "pull_request") is not None,
        url=text(body, "comment", "html_url"),
    )


def _item(body: dict[str, Any], name: str, change: str) -> dict[str, Any]:
    found = body[name]
    return {
        **common(body),
        "action": change,
        "number": number(found, "number"),
        "title": text(found, "title"),
        "body": text(found, "body"),
        "author": text(found, "user", "login"),
        "labels": [text(label, "name") for label in objects(found, "labels") if text(label, "name")],
        "state": text(found, "state"),
        "url": text(found, "html_url"),
    }
