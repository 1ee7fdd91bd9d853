"""What happens to a repository's code: pushes, releases, stars, workflows.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from area.nodes import sdk
from area.nodes._payloads import number, objects, text, within
from area.nodes.github.hooks import watched
from area.nodes.github.payloads import At, Happened, OnBranch, body_of, common, flag
from area.nodes.github.repositories import workflow_name_choices

NO_COMMIT = "0" * 40
BRANCHES = "refs/heads/"


class Push(Happened):
    """Commits that landed."""

    branch: str = Field(title="Branch", description="Where they landed.", examples=["main"])
    before: str = Field(title="Before", description="The branch's commit until then.", examples=["a" * 40])
    after: str = Field(title="After", description="Its commit now.", examples=["b" * 40])
    created: bool = Field(title="New branch", description="Whether the branch is new.", examples=[False])
    forced: bool = Field(title="Forced", description="Whether history was rewritten.", examples=[False])
    message: str = Field(title="Message", description="Of the newest commit.", examples=["Mend the door"])
    commits: int = Field(title="Commits", description="How many the delivery lists, 2048 at most.", examples=[2])
    author: str = Field(title="Author", description="Name of who wrote the newest commit.", examples=["Ada Lovelace"])
    url: str = Field(
        title="Compare",
        description="Where the change can be read.",
        examples=["https://github.com/acme/site/compare/a...b"],
    )


@watched("Push", "push")
def push(where: OnBranch, delivery: sdk.WebhookDelivery) -> Push | None:
    """Fires when commits land on a branch, or a branch is made. A branch's deletion fires nothing, and neither do tags."""
    body = body_of(delivery, "push")
    ref = text(body, "ref")
    branch = ref.removeprefix(BRANCHES)
    if branch == ref or flag(body, "deleted") or where.branch not in (None, "", branch):
        return None
    return Push(
        **common(body),
        branch=branch,
        before=text(body, "before") or NO_COMMIT,
        after=text(body, "after"),
        created=flag(body, "created"),
        forced=flag(body, "forced"),
        message=text(body, "head_commit", "message"),
        commits=len(objects(body, "commits")),
        author=text(body, "head_commit", "author", "name"),
        url=text(body, "compare"),
    )


class Release(Happened):
    """A release."""

    id: int = Field(title="Id", description="GitHub's id.", examples=[583231])
    tag: str = Field(title="Tag", description="What it is of.", examples=["v1.2.0"])
    name: str = Field(title="Name", description="Its headline; the tag where it has none.", examples=["Doors"])
    body: str = Field(
        title="Text", description="The first 10,000 characters of its notes; Markdown.", examples=["No more squeaking."]
    )
    prerelease: bool = Field(title="Pre-release", description="Whether it is one.", examples=[False])
    published_at: datetime | None = Field(
        None, title="Published at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address",
        description="Where it can be read.",
        examples=["https://github.com/acme/site/releases/tag/v1.2.0"],
    )


class Releases(At):
    """Which repository, and whether pre-releases count."""

    prereleases: Annotated[bool, sdk.NoTemplate] = Field(
        True, title="Pre-releases too", description="Whether those fire as well.", examples=[True]
    )


@watched("Release published", "release")
def release(where: Releases, delivery: sdk.WebhookDelivery) -> Release | None:
    """Fires once for each release that is published; drafts and edits fire nothing."""
    body = body_of(delivery, "release", "published", about="release")
    found = within(body, "release")
    if not body or (flag(found, "prerelease") and not where.prereleases):
        return None
    return Release(
        **common(body),
        id=number(found, "id"),
        tag=text(found, "tag_name"),
        name=text(found, "name") or text(found, "tag_name"),
        body=text(found, "body"),
        prerelease=flag(found, "prerelease"),
        published_at=found.get("published_at"),
        url=text(found, "html_url"),
    )


class Star(Happened):
    """A star."""

    stars: int = Field(title="Stars", description="How many the repository has now.", examples=[100])
    starred_at: datetime | None = Field(
        None, title="Starred at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )


@watched("New star", "star")
def star(where: At, delivery: sdk.WebhookDelivery) -> Star | None:
    """Fires when somebody stars the repository; a star taken back fires nothing."""
    body = body_of(delivery, "star", "created")
    if not body:
        return None
    return Star(**common(body), stars=number(body, "repository", "stargazers_count"), starred_at=body.get("starred_at"))


class Conclusion(StrEnum):
    """How a workflow ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    ACTION_REQUIRED = "action_required"
    SKIPPED = "skipped"
    NEUTRAL = "neutral"
    STALE = "stale"


class Workflows(OnBranch):
    """Which workflows, and how they shall have ended."""

    workflow: Annotated[str | None, sdk.NoTemplate, sdk.Choices(workflow_name_choices)] = Field(
        None,
        title="Workflow",
        description="Only the one with this name; empty for all.",
        max_length=200,
        examples=["CI"],
    )
    conclusions: Annotated[list[Conclusion], sdk.NoTemplate] = Field(
        [Conclusion.SUCCESS, Conclusion.FAILURE],
        title="Ended as",
        description="Which ends fire.",
        min_length=1,
        max_length=8,
        examples=[["failure"]],
    )


class WorkflowRun(Happened):
    """A workflow that ended."""

    id: int = Field(title="Id", description="GitHub's id of the run.", examples=[30433642])
    name: str = Field(title="Workflow", description="Its name.", examples=["CI"])
    title: str = Field(title="Title", description="Of this run: often the commit's.", examples=["Mend the door"])
    conclusion: str = Field(title="Ended as", description="In GitHub's word.", examples=["failure"])
    branch: str = Field(title="Branch", description="What it ran on.", examples=["main"])
    commit: str = Field(title="Commit", description="What it ran on.", examples=["b" * 40])
    attempt: int = Field(title="Attempt", description="1 for the first.", examples=[1])
    url: str = Field(
        title="Address",
        description="Where its log is.",
        examples=["https://github.com/acme/site/actions/runs/30433642"],
    )


@watched("Workflow run finished", "workflow_run")
def workflow_run(where: Workflows, delivery: sdk.WebhookDelivery) -> WorkflowRun | None:
    """Fires when a workflow of GitHub Actions ends."""
    body = body_of(delivery, "workflow_run", "completed", about="workflow_run")
    found = within(body, "workflow_run")
    # The run itself may have no name: it is the workflow's.
    name, branch = text(body, "workflow", "name") or text(found, "name"), text(found, "head_branch")
    conclusion = text(found, "conclusion")
    if conclusion not in where.conclusions:
        return None
    if where.branch not in (None, "", branch) or where.workflow not in (None, "", name):
        return None
    return WorkflowRun(
        **common(body),
        id=number(found, "id"),
        name=name,
        title=text(found, "display_title"),
        conclusion=conclusion,
        branch=branch,
        commit=text(found, "head_sha"),
        attempt=number(found, "run_attempt") or 1,
        url=text(found, "html_url"),
    )
