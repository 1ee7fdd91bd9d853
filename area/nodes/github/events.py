"""What happens in a repository. Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.github.hooks import body_of, watched
from area.nodes.github.provider import Repository, repository_field

NO_COMMIT = "0" * 40
MOST_TEXT = 10_000


class At(sdk.Inputs):
    """Which repository."""

    repository: Annotated[Repository, sdk.NoTemplate] = repository_field()


class OnBranch(At):
    """Which repository, and which branch of it."""

    branch: Annotated[str | None, sdk.NoTemplate] = Field(
        None, title="Branch", description="Only this one; empty for all.", max_length=250, examples=["main"]
    )


class Happened(sdk.Outputs):
    """What every event tells."""

    repository: str = Field(title="Repository", description="As owner/name.", examples=["acme/site"])
    sender: str = Field(title="By", description="Login of who did it.", examples=["ada"])


class Push(Happened):
    """Commits that landed."""

    branch: str = Field(title="Branch", description="Where they landed.", examples=["main"])
    before: str = Field(title="Before", description="The branch's commit until then.", examples=["a" * 40])
    after: str = Field(title="After", description="Its commit now.", examples=["b" * 40])
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
    """Fires when commits land on a branch. The deletion of a branch and tags fire nothing."""
    body = body_of(delivery, "push")
    branch = str((body or {}).get("ref", "")).removeprefix("refs/heads/")
    if body is None or body.get("deleted") or branch == body.get("ref") or where.branch not in (None, "", branch):
        return None
    head = body.get("head_commit") or {}
    return Push(
        **_common(body),
        branch=branch,
        before=_text(body.get("before")) or NO_COMMIT,
        after=_text(body.get("after")),
        forced=bool(body.get("forced")),
        message=_text(head.get("message")),
        commits=len(body.get("commits") or ()),
        author=_text((head.get("author") or {}).get("name")),
        url=_text(body.get("compare")),
    )


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
    body = body_of(delivery, "issues", *where.changes)
    if body is None:
        return None
    label, assignee = (body.get("label") or {}).get("name"), (body.get("assignee") or {}).get("login")
    change = body.get("action")
    return Issue(
        **_item(body, "issue"),
        label=label if change == "labeled" else None,
        assignee=assignee if change == "assigned" else None,
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
    body = body_of(delivery, "pull_request")
    pull = (body or {}).get("pull_request") or {}
    if body is None or not pull:
        return None
    change = "merged" if body.get("action") == "closed" and pull.get("merged") else str(body.get("action"))
    if change not in where.changes:
        return None
    return PullRequest(
        **{**_item(body, "pull_request"), "action": change},
        merged=bool(pull.get("merged")),
        draft=bool(pull.get("draft")),
        source=_text((pull.get("head") or {}).get("ref")),
        target=_text((pull.get("base") or {}).get("ref")),
    )


class Release(Happened):
    """A release."""

    id: int = Field(title="Id", description="GitHub's id.", examples=[583231])
    tag: str = Field(title="Tag", description="What it is of.", examples=["v1.2.0"])
    name: str = Field(title="Name", description="Its headline.", examples=["Doors"])
    body: str = Field(title="Text", description="Its notes; Markdown.", examples=["No more squeaking."])
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
    """Which repository."""

    prereleases: Annotated[bool, sdk.NoTemplate] = Field(
        True, title="Pre-releases too", description="Whether those fire as well.", examples=[True]
    )


@watched("Release published", "release")
def release(where: Releases, delivery: sdk.WebhookDelivery) -> Release | None:
    """Fires once for each release that is published; drafts and edits fire nothing."""
    body = body_of(delivery, "release", "published")
    found = (body or {}).get("release") or {}
    if body is None or (found.get("prerelease") and not where.prereleases):
        return None
    return Release(
        **_common(body),
        id=found["id"],
        tag=_text(found.get("tag_name")),
        name=_text(found.get("name")),
        body=_text(found.get("body")),
        prerelease=bool(found.get("prerelease")),
        published_at=found.get("published_at"),
        url=_text(found.get("html_url")),
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
    if body is None:
        return None
    stars = (body.get("repository") or {}).get("stargazers_count") or 0
    return Star(**_common(body), stars=stars, starred_at=body.get("starred_at"))


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
    body: str = Field(title="Text", description="What the reviewer wrote.", examples=["Well done."])
    url: str = Field(
        title="Address",
        description="Where it can be read.",
        examples=["https://github.com/acme/site/pull/42#pullrequestreview-80"],
    )


@watched("Review submitted", "pull_request_review")
def review(where: Reviews, delivery: sdk.WebhookDelivery) -> Review | None:
    """Fires when a review of a pull request is submitted."""
    body = body_of(delivery, "pull_request_review", "submitted")
    found = (body or {}).get("review") or {}
    verdict = _text(found.get("state")).lower()
    if body is None or verdict not in where.verdicts:
        return None
    pull = body.get("pull_request") or {}
    return Review(
        **_common(body),
        id=found["id"],
        number=pull.get("number") or 0,
        title=_text(pull.get("title")),
        verdict=verdict,
        body=_text(found.get("body")),
        url=_text(found.get("html_url")),
    )


class Conclusion(StrEnum):
    """How a workflow ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Workflows(OnBranch):
    """Which workflows, and how they shall have ended."""

    workflow: Annotated[str | None, sdk.NoTemplate] = Field(
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
        max_length=4,
        examples=[["failure"]],
    )


class WorkflowRun(Happened):
    """A workflow that ended."""

    id: int = Field(title="Id", description="GitHub's id of the run.", examples=[30433642])
    name: str = Field(title="Workflow", description="Its name.", examples=["CI"])
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
    body = body_of(delivery, "workflow_run", "completed")
    found = (body or {}).get("workflow_run") or {}
    if body is None or found.get("conclusion") not in where.conclusions:
        return None
    branch, name = _text(found.get("head_branch")), _text(found.get("name"))
    if where.branch not in (None, "", branch) or where.workflow not in (None, "", name):
        return None
    return WorkflowRun(
        **_common(body),
        id=found["id"],
        name=name,
        conclusion=_text(found.get("conclusion")),
        branch=branch,
        commit=_text(found.get("head_sha")),
        attempt=found.get("run_attempt") or 1,
        url=_text(found.get("html_url")),
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


@watched("New comment", "issue_comment")
def comment(where: Comments, delivery: sdk.WebhookDelivery) -> Comment | None:
    """Fires for each new comment on an issue or a pull request; edits fire nothing."""
    body = body_of(delivery, "issue_comment", "created")
    found, about = (body or {}).get("comment") or {}, (body or {}).get("issue") or {}
    if body is None or (where.contains or "").casefold() not in _text(found.get("body")).casefold():
        return None
    return Comment(
        **_common(body),
        id=found["id"],
        number=about.get("number") or 0,
        title=_text(about.get("title")),
        body=_text(found.get("body")),
        author=_text((found.get("user") or {}).get("login")),
        on_pull_request=about.get("pull_request") is not None,
        url=_text(found.get("html_url")),
    )


def _common(body: dict[str, Any]) -> dict[str, str]:
    return {
        "repository": _text((body.get("repository") or {}).get("full_name")),
        "sender": _text((body.get("sender") or {}).get("login")),
    }


def _item(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name) or {}
    return {
        **_common(body),
        "action": _text(body.get("action")),
        "number": found.get("number") or 0,
        "title": _text(found.get("title")),
        "body": _text(found.get("body")),
        "author": _text((found.get("user") or {}).get("login")),
        "labels": [_text(label.get("name")) for label in found.get("labels") or () if isinstance(label, dict)],
        "state": _text(found.get("state")),
        "url": _text(found.get("html_url")),
    }


def _text(value: Any) -> str:
    """Text, bounded; nothing where there is none."""
    return value[:MOST_TEXT] if isinstance(value, str) else ""
