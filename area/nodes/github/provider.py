"""The service itself: accounts, what GitHub's answers mean, and which repository is meant. API: https://docs.github.com/rest"""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from pydantic import AfterValidator, BeforeValidator, Field

from area.nodes import sdk

VERSION = "2022-11-28"
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$"
SECONDARY = 60.0
"""Seconds to wait after a secondary limit that names no time: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
PER_PAGE = 100
HOOKS = "admin:repo_hook"


class Token(sdk.Inputs):
    """A personal access token."""

    token: Annotated[str, sdk.Secret] = Field(
        title="Personal access token",
        description="Fine-grained or classic, with access to the repositories you mean.",
        min_length=20,
        max_length=300,
        pattern=r"^[A-Za-z0-9_]+$",
        examples=["github_pat_11ABCDEFG0123456789_abcdefghij"],
    )


class Gone(sdk.Rejected):
    """404: it does not exist, or the account may not see it."""


def authorise_by_token(request: httpx.Request, credentials: Mapping[str, Any]) -> None:
    """A personal access token goes where an OAuth token goes."""
    request.headers["Authorization"] = f"Bearer {credentials['token']}"


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at GitHub; rate limits that say how long are left to the common parser."""
    status = response.status_code
    if status < 400:
        if response.is_redirect:
            moved = "The repository has been renamed or moved: choose it again under its present name."
            raise sdk.Rejected(moved, code="MOVED")
        return
    said = words(response)
    if status == 403 and "rate limit" in said.lower() and "retry-after" not in response.headers:
        if response.headers.get("x-ratelimit-remaining") != "0":
            raise sdk.Throttled(f"GitHub asks to go slower: {said}", retry_after=SECONDARY)
        return
    if status == 403 and "rate limit" not in said.lower():
        hint = "The account may not do this: give it access to the repository, or connect it again and allow more."
        raise sdk.Rejected(f"{hint} GitHub says: {said}", code="FORBIDDEN")
    if status == 404:
        hint = "There is no such thing, or the account may not see it: check the names, and the account's access."
        raise Gone(f"{hint} GitHub says: {said}", code="NOT_FOUND")
    if status == 410:
        raise sdk.Rejected(f"This is switched off for the repository. GitHub says: {said}", code="SWITCHED_OFF")
    if status == 422:
        raise sdk.Rejected(f"GitHub cannot accept this: {said}", code="REFUSED")


def words(response: httpx.Response) -> str:
    """GitHub's words in an error: its ``message``, and what ``errors`` add for each field."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    told = [str(body.get("message") or "")]
    for one in body.get("errors") or ():
        if isinstance(one, dict):
            field = ".".join(str(one[name]) for name in ("resource", "field") if one.get(name))
            told.append(" ".join(part for part in (field, str(one.get("message") or one.get("code") or "")) if part))
        else:
            told.append(str(one))
    return "; ".join(" ".join(part.split()) for part in told if part)[:400]


service = sdk.Service(
    key="github",
    name="GitHub",
    description="Reacts to pushes, issues, pull requests, releases, stars and workflows; writes issues, comments and files.",
    base_url="https://api.github.com",
    docs_url="https://docs.github.com/rest",
    headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION, "User-Agent": "AREA"},
    auth=sdk.OAuth2(
        authorize_url="https://github.com/login/oauth/authorize",
        token_url="https://github.com/login/oauth/access_token",  # noqa: S106 - an address
        pkce=True,
    ),
    key_auth=sdk.Key(
        fields=Token,
        authorise=authorise_by_token,
        help="GitHub, Settings, Developer settings, Personal access tokens. Give it the repositories that your AREAs need.",
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is. The same browser may bring another account next time, so this is asked after every consent."""
    found = one(await ctx.http.get("/user"), "login")
    return sdk.Profile(
        external_id=str(found.get("id")),
        label=str(found["login"]),
        avatar_url=found.get("avatar_url") or None,
        facts={"login": found["login"]},
    )


def one(response: httpx.Response, *needed: str) -> dict[str, Any]:
    """The object of an answer. Raises: Unavailable when it is something else, or Unknown where the call may have done something."""
    try:
        found = response.json()
    except ValueError:
        found = None
    if isinstance(found, dict) and all(found.get(name) is not None for name in needed):
        return found
    raise _nonsense(response)


def many(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of an answer. Raises: Unavailable when it is something else."""
    try:
        found = response.json()
    except ValueError:
        found = None
    if isinstance(found, list):
        return [item for item in found if isinstance(item, dict)]
    raise _nonsense(response)


def _nonsense(response: httpx.Response) -> sdk.NodeError:
    told = f"{response.request.url.host} answered {response.status_code} with something else than its API promises."
    if response.request.method == "GET":
        return sdk.Unavailable(told)
    return sdk.Unknown(f"{told} The call may have happened.")


async def repository_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The repositories that the account sees, those touched last first."""
    found = many(await ctx.http.get("/user/repos", params={"per_page": PER_PAGE, "sort": "pushed"}))
    return [
        sdk.Choice(item["full_name"], item["full_name"] + (" (private)" if item.get("private") else ""))
        for item in found
        if isinstance(item.get("full_name"), str)
    ]


async def label_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """Labels in use on the repository's latest issues: GitHub lists them with the issues themselves."""
    repository = so_far.get("repository")
    if not repository:
        return []
    asked: dict[str, str | int] = {"state": "all", "per_page": PER_PAGE}
    found = many(await ctx.http.get(f"{path_of(str(repository))}/issues", params=asked))
    names = {label["name"] for item in found for label in item.get("labels") or () if isinstance(label, dict)}
    return [sdk.Choice(name, name) for name in sorted(names)]


def _short(value: Any) -> Any:
    """``owner/name`` of what was pasted: an address, a clone URL, or itself."""
    if not isinstance(value, str):
        return value
    found = re.sub(r"^(https?://|git@)?(www\.)?github\.com[/:]", "", value.strip()).removesuffix(".git").strip("/")
    return "/".join(found.split("/")[:2])


def _not_relative(value: str) -> str:
    if value.rpartition("/")[2] in (".", ".."):
        raise ValueError("is no repository: write owner/name")
    return value


Repository = Annotated[
    str,
    BeforeValidator(_short),
    AfterValidator(_not_relative),
    sdk.Choices(repository_choices),
]
"""``owner/name``."""


def repository_field() -> Any:
    """The input that every node has."""
    return Field(
        title="Repository",
        description="As owner/name, or its address.",
        pattern=REPOSITORY,
        max_length=140,
        examples=["acme/site"],
    )


def path_of(repository: str) -> str:
    """The API's path of a repository. Raises: Rejected for what a template made that is none."""
    name = _short(repository)
    if not re.match(REPOSITORY, name) or name.rpartition("/")[2] in (".", ".."):
        raise sdk.Rejected(f"{repository[:100]!r} is not a repository. Write it as owner/name.")
    return f"/repos/{name}"


def escaped(part: str) -> str:
    """One segment of a path."""
    return quote(part, safe="")
