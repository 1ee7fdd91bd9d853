"""Workflows of GitHub Actions: https://docs.github.com/rest/actions/workflows"""

from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.github.issues import In
from area.nodes.github.provider import REPO, service
from area.nodes.github.repositories import branch_choices, escaped, path_of, workflow_choices


class Dispatch(In):
    """What to start."""

    workflow: Annotated[str, sdk.Choices(workflow_choices)] = Field(
        title="Workflow",
        description="Its file's name, or its id. It needs the trigger workflow_dispatch.",
        pattern=r"^([\w.-]+\.ya?ml|\d+)$",
        max_length=200,
        examples=["deploy.yml"],
    )
    ref: Annotated[str, sdk.Choices(branch_choices)] = Field(
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


@service.reaction("Start a workflow", idempotent=False, scopes=(REPO,))
async def dispatch_workflow(ctx: sdk.Context, what: Dispatch) -> Dispatched:
    """Starts a workflow of GitHub Actions that has the trigger workflow_dispatch."""
    asked: dict[str, Any] = {"ref": what.ref}
    if what.inputs:
        asked["inputs"] = what.inputs
    path = f"{path_of(what.repository)}/actions/workflows/{escaped(what.workflow)}/dispatches"
    # The answer is empty, or has a run in later versions of the API: a good status is all that is needed.
    await ctx.http.post(path, json=asked)
    return Dispatched(workflow=what.workflow, ref=what.ref)
