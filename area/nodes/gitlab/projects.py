"""Which project is meant, and what it has to choose from.

What it has: https://docs.gitlab.com/api/projects/, /api/branches/ and /api/labels/
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from pydantic import BeforeValidator, Field

from area.nodes import sdk
from area.nodes._forges import pages
from area.nodes.gitlab.provider import V4

SEGMENT = r"\.?[A-Za-z0-9_][A-Za-z0-9_.-]*"
PATH = rf"^{SEGMENT}(/{SEGMENT})+$"


async def project_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The projects that the account is a member of, those touched last first."""
    asked = {"membership": "true", "simple": "true", "archived": "false", "order_by": "last_activity_at"}
    return [
        sdk.Choice(item["path_with_namespace"], str(item.get("name_with_namespace") or item["path_with_namespace"]))
        for item in await pages(ctx, "projects", **asked)
        if isinstance(item.get("path_with_namespace"), str)
    ]


async def branch_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The project's branches."""
    return await _named(ctx, so_far, "repository/branches")


async def label_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The project's labels, and those of its groups."""
    return [found for found in await _named(ctx, so_far, "labels") if "," not in str(found.value)]


async def _named(ctx: sdk.Context, so_far: Mapping[str, Any], what: str) -> list[sdk.Choice]:
    project = so_far.get("project")
    if not project:
        return []
    found = await pages(ctx, f"{path_of(str(project))}/{what}")
    return [sdk.Choice(item["name"], item["name"]) for item in found if isinstance(item.get("name"), str)]


def _short(value: Any) -> Any:
    """``group/project`` of what was pasted: an address of any page of it, a clone URL, or itself."""
    if not isinstance(value, str):
        return value
    path = re.sub(r"^(\w+://([^/@]*@)?[^/]+/|[\w.-]+@[^/:]+:)", "", value.strip())
    return re.split(r"/-(?:/|$)|[?#]", path)[0].strip("/").removesuffix(".git")


Project = Annotated[str, BeforeValidator(_short), sdk.Choices(project_choices)]
"""``group/project``, with as many groups as it is in."""


def project_field() -> Any:
    """The input that every node has."""
    return Field(
        title="Project",
        description="As group/project, or its address.",
        pattern=PATH,
        max_length=255,
        examples=["acme/web/site"],
    )


def path_of(project: str) -> str:
    """The API's path of a project. Raises: Rejected for what a template made that is none."""
    path = _short(project)
    if not re.fullmatch(PATH.strip("^$"), path):
        raise sdk.Rejected(f"{project[:100]!r} is not a project. Write it as group/project.")
    return f"projects/{quote(path, safe='')}"


def page_of(answer: httpx.Response, project: str) -> str:
    """The address at which people see the project, on the instance that gave ``answer``."""
    instance = str(answer.request.url).partition(V4)[0]
    return f"{instance}/{_short(project)}"
