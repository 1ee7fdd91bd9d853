"""Pipelines of GitLab CI/CD: https://docs.gitlab.com/api/pipelines/"""

from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import many, one
from area.nodes._forges import began, made
from area.nodes.gitlab.projects import branch_choices, path_of
from area.nodes.gitlab.provider import API, service
from area.nodes.gitlab.writing import In

MOST_ALIKE = 5
"""How many pipelines are looked at, the newest first."""
NAME = r"^[A-Za-z0-9_]{1,255}$"


class Start(In):
    """What to start."""

    ref: Annotated[str, sdk.Choices(branch_choices)] = Field(
        title="Branch or tag", description="What to run it on.", min_length=1, max_length=250, examples=["main"]
    )
    variables: dict[Annotated[str, Field(pattern=NAME)], Annotated[str, Field(max_length=10_000)]] = Field(
        default_factory=dict,
        title="Variables",
        description="For its jobs. The project may take them from some roles only, or from none.",
        max_length=50,
        examples=[{"ENVIRONMENT": "production"}],
        json_schema_extra={"widget": "keyvalue"},
    )


class Started(sdk.Outputs):
    """The pipeline."""

    id: int = Field(title="Id", description="GitLab's id.", examples=[31])
    ref: str = Field(title="Branch or tag", description="What it runs on.", examples=["main"])
    commit: str = Field(title="Commit", description="What it runs on.", examples=["b" * 40])
    status: str = Field(title="State", description="As it started.", examples=["created"])
    url: str = Field(
        title="Address",
        description="Where it can be seen.",
        examples=["https://gitlab.com/acme/web/site/-/pipelines/31"],
    )


@service.reaction("Start a pipeline", idempotent=False, scopes=(API,))
async def trigger_pipeline(ctx: sdk.Context, start: Start) -> Started:
    """Starts a pipeline on a branch or a tag."""
    asked: dict[str, Any] = {"ref": start.ref}
    if start.variables:
        asked["variables"] = [{"key": name, "value": value} for name, value in start.variables.items()]
    return _started(one(await ctx.http.post(f"{path_of(start.project)}/pipeline", json=asked), "id"), start)


@trigger_pipeline.reconcile
async def _triggered(ctx: sdk.Context, start: Start) -> Started | None:
    """The pipeline that this account has started by the API on the same branch, with the same variables, since the first attempt.

    Several may be several runs' own, and a pipeline bears no mark of ours: that is left to a person. Raises: Unknown.
    """
    place = path_of(start.project)
    asked = {"ref": start.ref, "source": "api", "username": str(ctx.account.facts.get("username") or ctx.account.label)}
    answer = await ctx.http.get(f"{place}/pipelines", params={**asked, "per_page": MOST_ALIKE})
    since = began(ctx, answer)
    found = [item for item in many(answer) if item.get("id") is not None and made(item, service.name) >= since]
    is_whole = len(found) < MOST_ALIKE
    if start.variables:
        found = [item for item in found if await _variables(ctx, place, item["id"]) == start.variables]
    if len(found) > 1:
        raise sdk.Unknown(f"{len(found)} such pipelines were started on {start.ref} since: look which is this run's.")
    if not found and not is_whole:
        raise sdk.Unknown(f"Many pipelines were started on {start.ref} since: look whether this run's is among them.")
    return _started(found[0], start) if found else None


async def _variables(ctx: sdk.Context, place: str, pipeline: int) -> dict[Any, Any]:
    listed = many(await ctx.http.get(f"{place}/pipelines/{pipeline}/variables"))
    return {item.get("key"): item.get("value") for item in listed}


def _started(found: dict[str, Any], start: Start) -> Started:
    return Started(
        id=found["id"],
        ref=str(found.get("ref") or start.ref),
        commit=str(found.get("sha") or ""),
        status=str(found.get("status") or ""),
        url=str(found.get("web_url") or ""),
    )
