"""What happens in a project: pushes, merge requests, pipelines, issues.

Payloads: https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.gitlab.hooks import body_of, moment, number, objects, text, watched, within
from area.nodes.gitlab.projects import Project, branch_choices, project_field
from area.nodes.gitlab.writing import MARK

NO_COMMIT = "0" * 40
BRANCHES = "refs/heads/"


class At(sdk.Inputs):
    """Which project."""

    project: Annotated[Project, sdk.NoTemplate] = project_field()


def branch_field(description: str) -> Any:
    """A branch to keep to."""
    return Field(None, title="Branch", description=description, max_length=250, examples=["main"])


def from_areas_field() -> Any:
    """Whether what an AREA has written counts."""
    return Field(
        False,
        title="Those of AREAs too",
        description="Whether what an AREA has written fires as well. Two AREAs that answer each other never end.",
        examples=[False],
    )


class Happened(sdk.Outputs):
    """What every event tells."""

    project: str = Field(title="Project", description="As group/project.", examples=["acme/web/site"])
    sender: str = Field(title="By", description="Username of who did it.", examples=["ada"])
    sender_name: str = Field(title="Name", description="Name of who did it.", examples=["Ada Lovelace"])


def common(body: dict[str, Any]) -> dict[str, str]:
    """Where it happened, and who did it."""
    return {
        "project": text(body, "project", "path_with_namespace"),
        "sender": text(body, "user", "username"),
        "sender_name": text(body, "user", "name"),
    }


class Pushes(At):
    """Which project, and which branch of it."""

    branch: Annotated[str | None, sdk.NoTemplate, sdk.Choices(branch_choices)] = branch_field(
        "Only this one; empty for all."
    )


class Push(Happened):
    """Commits that landed."""

    branch: str = Field(title="Branch", description="Where they landed.", examples=["main"])
    before: str = Field(title="Before", description="The branch's commit until then.", examples=["a" * 40])
    after: str = Field(title="After", description="Its commit now.", examples=["b" * 40])
    created: bool = Field(title="New branch", description="Whether the branch is new.", examples=[False])
    commits: int = Field(title="Commits", description="How many there are.", examples=[2])
    message: str = Field(
        title="Message",
        description="Of the newest commit; empty for a branch without new ones.",
        examples=["Mend the door"],
    )
    author: str = Field(title="Author", description="Name of who wrote the newest commit.", examples=["Ada Lovelace"])
    url: str = Field(
        title="Address",
        description="Where the change can be read.",
        examples=["https://gitlab.com/acme/web/site/-/compare/a...b"],
    )


@watched("Push", "push_events")
def push(where: Pushes, delivery: sdk.WebhookDelivery) -> Push | None:
    """Fires when commits land on a branch, or a branch is made. A branch's deletion fires nothing, and neither do tags.

    GitLab tells nothing of a push that changes more than three branches at once.
    """
    body = body_of(delivery, "push")
    ref, before, after = text(body, "ref"), text(body, "before") or NO_COMMIT, text(body, "after") or NO_COMMIT
    branch = ref.removeprefix(BRANCHES)
    if branch == ref or after == NO_COMMIT or where.branch not in (None, "", branch):
        return None
    listed = objects(body, "commits")
    newest = next((one for one in listed if one.get("id") == after), listed[-1] if listed else {})
    created, page = before == NO_COMMIT, text(body, "project", "web_url")
    return Push(
        project=text(body, "project", "path_with_namespace"),
        sender=text(body, "user_username"),
        sender_name=text(body, "user_name"),
        branch=branch,
        before=before,
        after=after,
        created=created,
        commits=number(body, "total_commits_count") or len(listed),
        message=text(newest, "message"),
        author=text(newest, "author", "name"),
        url=f"{page}/-/commit/{after}" if created else f"{page}/-/compare/{before}...{after}",
    )


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


class Status(StrEnum):
    """What a pipeline came to."""

    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    MANUAL = "manual"
    RUNNING = "running"


class Pipelines(At):
    """Which pipelines, and what they shall have come to."""

    statuses: Annotated[list[Status], sdk.NoTemplate] = Field(
        [Status.SUCCESS, Status.FAILED],
        title="When it is",
        description="Which states fire; manual means that it waits for a person.",
        min_length=1,
        max_length=6,
        examples=[["failed"]],
    )
    branch: Annotated[str | None, sdk.NoTemplate, sdk.Choices(branch_choices)] = branch_field(
        "Only those of this branch or tag; empty for all."
    )


class Pipeline(Happened):
    """A pipeline."""

    id: int = Field(title="Id", description="GitLab's id.", examples=[31])
    status: str = Field(title="State", description="What it came to.", examples=["failed"])
    name: str = Field(title="Pipeline", description="Its name; empty where it has none.", examples=["Nightly"])
    branch: str = Field(title="Branch", description="Or tag: what it ran on.", examples=["main"])
    tag: bool = Field(title="Of a tag", description="Whether it ran on a tag.", examples=[False])
    commit: str = Field(title="Commit", description="What it ran on.", examples=["b" * 40])
    message: str = Field(title="Message", description="Of that commit.", examples=["Mend the door"])
    source: str = Field(
        title="Started by", description="In GitLab's word: push, web, schedule, api …", examples=["push"]
    )
    failed_jobs: list[str] = Field(title="Failed jobs", description="Names of those that may not.", examples=[["test"]])
    duration: int = Field(title="Duration", description="In seconds; 0 while it runs.", examples=[63])
    finished_at: datetime | None = Field(
        None, title="Finished at", description="In UTC; empty while it runs.", examples=["2026-03-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address",
        description="Where it can be seen.",
        examples=["https://gitlab.com/acme/web/site/-/pipelines/31"],
    )


@watched("Pipeline", "pipeline_events")
def pipeline(where: Pipelines, delivery: sdk.WebhookDelivery) -> Pipeline | None:
    """Fires when a pipeline succeeds or fails, or comes to what else is chosen; once more when it is run again."""
    body = body_of(delivery, "pipeline")
    found = within(body, "object_attributes")
    status, branch = text(found, "status"), text(found, "ref")
    if status not in where.statuses or where.branch not in (None, "", branch):
        return None
    failed = [
        job for job in objects(body, "builds") if job.get("status") == "failed" and job.get("allow_failure") is not True
    ]
    return Pipeline(
        **common(body),
        id=number(found, "id"),
        status=status,
        name=text(found, "name"),
        branch=branch,
        tag=within(found, "tag") is True,
        commit=text(found, "sha"),
        message=text(body, "commit", "message"),
        source=text(found, "source"),
        failed_jobs=[text(job, "name") for job in failed],
        duration=number(found, "duration"),
        finished_at=moment(found, "finished_at"),
        url=text(found, "url") or _page(body, found),
    )


def _page(body: dict[str, Any], found: Any) -> str:
    """A pipeline's address, which GitLab before 16 does not tell."""
    return f"{text(body, 'project', 'web_url')}/-/pipelines/{number(found, 'id')}"
