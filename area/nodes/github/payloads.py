"""What deliveries have in common, and how they are read: nothing in them is relied upon but what a signature says.

https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._payloads import text, within
from area.nodes.github.repositories import Repository, branch_choices, repository_field


class At(sdk.Inputs):
    """Which repository."""

    repository: Annotated[Repository, sdk.NoTemplate] = repository_field()


class OnBranch(At):
    """Which repository, and which branch of it."""

    branch: Annotated[str | None, sdk.NoTemplate, sdk.Choices(branch_choices)] = Field(
        None, title="Branch", description="Only this one; empty for all.", max_length=250, examples=["main"]
    )


class Happened(sdk.Outputs):
    """What every event tells."""

    repository: str = Field(title="Repository", description="As owner/name.", examples=["acme/site"])
    sender: str = Field(title="By", description="Login of who did it.", examples=["ada"])


def body_of(delivery: sdk.WebhookDelivery, event: str, *actions: str, about: str = "repository") -> dict[str, Any]:
    """The payload, when it is of this event, with one of ``actions`` where there are some, and has an object ``about``; else {}.

    The ping that follows a new webhook is another event.
    """
    body = delivery.body
    if delivery.headers.get("x-github-event") != event or not isinstance(body, dict):
        return {}
    return body if isinstance(body.get(about), dict) and (not actions or body.get("action") in actions) else {}


def flag(body: Any, *names: str) -> bool:
    """Whether it is true there."""
    return within(body, *names) is True


def common(body: dict[str, Any]) -> dict[str, str]:
    """Where it happened, and who did it."""
    return {"repository": text(body, "repository", "full_name"), "sender": text(body, "sender", "login")}
