"""Which repository is meant, and what it has to choose from.

What it has: https://docs.github.com/rest/repos/repos, /rest/branches/branches, /rest/issues/labels, /rest/issues/assignees and
/rest/actions/workflows
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field

from area.nodes import sdk
from area.nodes._answers import one
from area.nodes._forges import PER_PAGE, pages

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+$"
WORKFLOWS = ".github/workflows/"


async def repository_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The repositories that the account sees, those touched last first."""
    return [
        sdk.Choice(item["full_name"], item["full_name"] + (" (private)" if item.get("private") else ""))
        for item in await pages(ctx, "/user/repos", sort="pushed")
        if isinstance(item.get("full_name"), str)
    ]


async def branch_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The repository's branches."""
    return await _named(ctx, so_far, "branches", "name")


async def label_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The repository's labels."""
    return await _named(ctx, so_far, "labels", "name")


async def assignee_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """Who may be assigned to the repository's issues."""
    return await _named(ctx, so_far, "assignees", "login")


async def workflow_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The repository's workflows, by the names of their files."""
    return [
        sdk.Choice(path.removeprefix(WORKFLOWS), f"{item.get('name') or path} ({path.removeprefix(WORKFLOWS)})")
        for item in await _workflows(ctx, so_far)
        if (path := str(item.get("path") or "")).startswith(WORKFLOWS)
    ]


async def workflow_name_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The repository's workflows, by what they call themselves."""
    names = dict.fromkeys(item.get("name") for item in await _workflows(ctx, so_far))
    return [sdk.Choice(name, name) for name in names if isinstance(name, str) and name]


async def _workflows(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[dict[str, Any]]:
    repository = so_far.get("repository")
    if not repository:
        return []
    answer = await ctx.http.get(f"{path_of(str(repository))}/actions/workflows", params={"per_page": PER_PAGE})
    found = one(answer).get("workflows")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


async def _named(ctx: sdk.Context, so_far: Mapping[str, Any], what: str, name: str) -> list[sdk.Choice]:
    repository = so_far.get("repository")
    if not repository:
        return []
    found = await pages(ctx, f"{path_of(str(repository))}/{what}")
    return [sdk.Choice(item[name], item[name]) for item in found if isinstance(item.get(name), str)]


def _short(value: Any) -> Any:
    """``owner/name`` of what was pasted: an address, a clone URL, or itself."""
    if not isinstance(value, str):
        return value
    address = re.sub(r"^(https?://|ssh://|git@)*(www\.)?github\.com[/:]", "", value.strip(), flags=re.IGNORECASE)
    owner, _, rest = re.split(r"[?#]", address)[0].strip("/").partition("/")
    return f"{owner}/{rest.partition('/')[0].removesuffix('.git')}" if rest else owner


def _not_relative(value: str) -> str:
    if value.rpartition("/")[2] in (".", ".."):
        raise ValueError("is no repository: write owner/name")
    return value


Repository = Annotated[str, BeforeValidator(_short), AfterValidator(_not_relative), sdk.Choices(repository_choices)]
"""``owner/name``."""


def repository_field() -> Any:
    """The input that every node has."""
    return Field(
        title="Repository",
        description="As owner/name, or its address.",
        pattern=NAME,
        max_length=140,
        examples=["acme/site"],
    )


def path_of(repository: str) -> str:
    """The API's path of a repository. Raises: Rejected for what a template made that is none."""
    name = _short(repository)
    if not re.fullmatch(NAME.strip("^$"), name) or name.rpartition("/")[2] in (".", ".."):
        raise sdk.Rejected(f"{repository[:100]!r} is not a repository. Write it as owner/name.")
    return f"/repos/{name}"


def escaped(part: str) -> str:
    """One segment of a path."""
    return quote(part, safe="")
