"""What people bring up in a project: issues and merge requests.

Payloads: https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._forges import MARK, from_areas_field
from area.nodes._payloads import number, objects, text, within
from area.nodes.gitlab.events import At, Happened, branch_field, common
from area.nodes.gitlab.hooks import body_of, moment, watched
from area.nodes.gitlab.projects import branch_choices


class Item(Happened):
    """An issue or a merge request."""

    action: str = Field(title="What happened", description="In GitLab's word.", examples=["open"])
    number: int = Field(title="Number", description="In the project.", examples=[42])
    title: str = Field(title="Title", description="Its title.", examples=["The door squeaks"])
    body: str = Field(title="Text", description="Its first 10,000 characters; Markdown.", examples=["When it rains."])
    labels: list[str] = Field(title="Labels", description="Their names.", examples=[["bug"]])
    assignees: list[str] = Field(title="Assignees", description="Usernames of who shall see to it.", examples=[["ada"]])
    state: str = Field(title="State", description="opened, closed or merged.", examples=["opened"])
    created_at: datetime | None = Field(
        None, title="Created at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address", description="Where it can be read.", examples=["https://gitlab.com/acme/web/site/-/issues/42"]
    )


def _item(body: dict[str, Any], action: str) -> dict[str, Any]:
    found = within(body, "object_attributes")
    return {
        **common(body),
        "action": action,
        "number": number(found, "iid"),
        "title": text(found, "title"),
        "body": text(found, "description"),
        "labels": [text(label, "title") for label in objects(body, "labels")],
        "assignees": [text(person, "username") for person in objects(body, "assignees")],
        "state": text(found, "state"),
        "created_at": moment(found, "created_at"),
        "url": text(found, "url"),
    }


class IssueChange(StrEnum):
    """What became of an issue."""

    OPEN = "open"
    CLOSE = "close"
    REOPEN = "reopen"
    UPDATE = "update"


class Issues(At):
    """Which project, and what shall have become of an issue."""

    changes: Annotated[list[IssueChange], sdk.NoTemplate] = Field(
        [IssueChange.OPEN],
        title="When",
        description="Which changes fire; update means its text, labels, assignees and the like.",
        min_length=1,
        max_length=4,
        examples=[["open", "reopen"]],
    )
    from_areas: Annotated[bool, sdk.NoTemplate] = from_areas_field()


class Issue(Item):
    """An issue."""


@watched("Issue", "issues_events")
def issue(where: Issues, delivery: sdk.WebhookDelivery) -> Issue | None:
    """Fires when an issue is opened, or what else is chosen becomes of it. Confidential issues fire nothing."""
    body = body_of(delivery, "issue")
    change = text(body, "object_attributes", "action")
    if change not in where.changes or within(body, "object_attributes", "confidential") is True:
        return None
    if change == "open" and MARK in str(within(body, "object_attributes", "description")) and not where.from_areas:
        return None
    return Issue(**_item(body, change))


class MergeChange(StrEnum):
    """What became of a merge request."""

    OPEN = "open"
    MERGE = "merge"
    CLOSE = "close"
    REOPEN = "reopen"
    APPROVED = "approved"
    APPROVAL = "approval"
    COMMITS = "commits"
    UPDATE = "update"


class Merges(At):
    """Which project, and what shall have become of a merge request."""

    changes: Annotated[list[MergeChange], sdk.NoTemplate] = Field(
        [MergeChange.OPEN],
        title="When",
        description=(
            "Which changes fire. close means without a merge, approval that one person approved, approved that all who must "
            "have, commits that some were pushed to it, update that something else of it was edited."
        ),
        min_length=1,
        max_length=8,
        examples=[["open", "merge"]],
    )
    branch: Annotated[str | None, sdk.NoTemplate, sdk.Choices(branch_choices)] = branch_field(
        "Only those into this one; empty for all."
    )


class MergeRequest(Item):
    """A merge request."""

    action: str = Field(title="What happened", description="As it was chosen.", examples=["open"])
    draft: bool = Field(title="Draft", description="Whether it is one.", examples=[False])
    source: str = Field(title="From", description="The branch it wants to bring in.", examples=["mend-door"])
    target: str = Field(title="Into", description="The branch it wants to change.", examples=["main"])
    commit: str = Field(title="Commit", description="The newest it would bring in.", examples=["b" * 40])
    reviewers: list[str] = Field(title="Reviewers", description="Their usernames.", examples=[["grace"]])
    url: str = Field(
        title="Address",
        description="Where it can be read.",
        examples=["https://gitlab.com/acme/web/site/-/merge_requests/7"],
    )


@watched("Merge request", "merge_requests_events")
def merge_request(where: Merges, delivery: sdk.WebhookDelivery) -> MergeRequest | None:
    """Fires when a merge request is opened, or what else is chosen becomes of it."""
    body = body_of(delivery, "merge_request")
    found = within(body, "object_attributes")
    change, target = text(found, "action"), text(found, "target_branch")
    # GitLab calls both an update; where commits came it tells which one was the newest before.
    change = "commits" if change == "update" and text(found, "oldrev") else change
    if change not in where.changes or where.branch not in (None, "", target):
        return None
    return MergeRequest(
        **_item(body, change),
        draft=within(found, "draft") is True or within(found, "work_in_progress") is True,
        source=text(found, "source_branch"),
        target=target,
        commit=text(found, "last_commit", "id"),
        reviewers=[text(person, "username") for person in objects(body, "reviewers")],
    )
