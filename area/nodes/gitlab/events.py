"""What happens to a project's code: pushes and pipelines.

Payloads: https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._payloads import number, objects, text, within
from area.nodes.gitlab.hooks import body_of, moment, watched
from area.nodes.gitlab.projects import Project, branch_choices, project_field

NO_COMMIT = "0" * 40
BRANCHES = "refs/heads/"


class At(sdk.Inputs):
    """Which project."""

    project: Annotated[Project, sdk.NoTemplate] = project_field()


def branch_field(description: str) -> Any:
    """A branch to keep to."""
    return Field(None, title="Branch", description=description, max_length=250, examples=["main"])


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
    from_api: Annotated[bool, sdk.NoTemplate] = Field(
        False,
        title="Those started by the API too",
        description="What an AREA starts is among those. An AREA that answers a pipeline with a pipeline never ends.",
        examples=[False],
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
    """Fires when a pipeline succeeds or fails, or comes to what else is chosen; once more when it is run again.

    Those that were started by the API fire only where that is wanted.
    """
    body = body_of(delivery, "pipeline")
    found = within(body, "object_attributes")
    status, branch = text(found, "status"), text(found, "ref")
    if status not in where.statuses or where.branch not in (None, "", branch):
        return None
    if text(found, "source") == "api" and not where.from_api:
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
