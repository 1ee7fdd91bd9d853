"""The service itself: accounts, and what GitLab's answers mean.

Accounts: https://docs.gitlab.com/api/oauth2/ and https://docs.gitlab.com/user/profile/personal_access_tokens/
The application that an operator registers at GitLab needs the scopes api and read_user: what it lacks cannot be asked for.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes._answers import one, read

API = "api"
"""The one scope by which anything can be written, webhooks among it; `READ_API` and `READ_USER` are parts of it."""
READ_API, READ_USER = "read_api", "read_user"
V4 = "/api/v4"
MAINTAINERS = (
    "The account may not add webhooks to this project: "
    "make it a Maintainer of the project, or connect it again and allow more."
)
MOVED = "The project has been renamed or moved: choose it again under its present path."


class Token(sdk.Inputs):
    """A personal, project or group access token, and whose it is."""

    token: Annotated[str, sdk.Secret] = Field(
        title="Access token",
        description="Personal, or of a project or group; with the scope api.",
        min_length=20,
        max_length=300,
        pattern=r"^[A-Za-z0-9_.-]+$",
        examples=["glpat-1a2B3c4D5e6F7g8H9i0J"],
    )
    instance: str = Field(
        "",
        title="Instance",
        description="Address of your own GitLab; empty for gitlab.com.",
        max_length=200,
        pattern=r"^(https://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._-]+)*/?)?$",
        examples=["https://gitlab.example.com"],
    )

    @field_validator("instance")
    @classmethod
    def _bare(cls, value: str) -> str:
        address = value.rstrip("/")
        return "" if urlsplit(address).hostname == "gitlab.com" else address


class Gone(sdk.Rejected):
    """404: it does not exist, or the account may not see it."""


def authorise_by_token(request: httpx.Request, credentials: Mapping[str, Any]) -> None:
    """An access token goes where an OAuth token goes."""
    request.headers["Authorization"] = f"Bearer {credentials['token']}"


def api_of(credentials: Mapping[str, Any]) -> str:
    """The API of the instance that was typed in; empty for the service's own."""
    instance = credentials.get("instance")
    return f"{instance}{V4}" if instance else ""


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at GitLab; rate limits and failures of GitLab's own are left to the common parser.

    Gateways that gave up are among those: as `sdk.Unheard` what was posted is looked for, and not repeated, since GitLab makes it
    anew each time.
    """
    status, said = response.status_code, words(response)
    if response.is_redirect or (status == 405 and "moved project" in said):
        raise sdk.Rejected(MOVED, code="MOVED")
    if status == 404:
        raise Gone(_told(_missing(response), said), code="NOT_FOUND")
    if status in MEANINGS:
        hint, code = MEANINGS[status]
        hint = MAINTAINERS if status == 403 and _of_hooks(response) else hint
        raise sdk.Rejected(_told(hint, said), code=code)


MEANINGS = {
    400: ("GitLab cannot accept this: change what its words name.", "REFUSED"),
    403: (
        "The account may not do this: give it a higher role in the project, or connect it again and allow more.",
        "FORBIDDEN",
    ),
    409: ("GitLab cannot accept this as things stand: change what its words name.", "CONFLICT"),
    422: ("GitLab cannot accept this: change what its words name.", "REFUSED"),
}
"""Status to what the user can do, and a code."""


def _told(hint: str, said: str) -> str:
    return f"{hint} GitLab says: {said}" if said else hint


def _missing(response: httpx.Response) -> str:
    """What a 404 may mean: GitLab says it too of what the account may not see."""
    if _of_hooks(response):
        return (
            "There is no such project, or the account may not see it: "
            "check its path, and that the account is a Maintainer of it."
        )
    return "There is no such thing, or the account may not see it: check the names, and the account's access."


def _of_hooks(response: httpx.Response) -> bool:
    return "/hooks" in response.request.url.path


def words(response: httpx.Response) -> str:
    """GitLab's words in an error: ``message``, which is text, or lists by field; else ``error_description`` or ``error``."""
    if response.status_code < 400:
        return ""
    body = read(response)
    if not isinstance(body, dict):
        return ""
    told = body.get("message") or body.get("error_description") or body.get("error") or ""
    return " ".join("; ".join(_lines(told)).split())[:400]


def _lines(told: Any) -> list[str]:
    """``{"base": ["Reference not found"], "title": ["is too long"]}`` as lines; ``base`` is the whole, and is not named."""
    if not isinstance(told, dict):
        return [" ".join(map(str, told)) if isinstance(told, list) else str(told)]
    found = []
    for field, problem in told.items():
        said = ", ".join(map(str, problem)) if isinstance(problem, list) else str(problem)
        found.append(said if field in ("base", "error") else f"{field} {said}")
    return found


service = sdk.Service(
    key="gitlab",
    name="GitLab",
    description="Reacts to pushes, merge requests, pipelines and issues; writes issues and comments, and starts pipelines.",
    base_url=f"https://gitlab.com{V4}",
    docs_url="https://docs.gitlab.com/api/rest/",
    headers={"Accept": "application/json", "User-Agent": "AREA"},
    auth=sdk.OAuth2(
        authorize_url="https://gitlab.com/oauth/authorize",
        token_url="https://gitlab.com/oauth/token",  # noqa: S106 - an address
        revoke_url="https://gitlab.com/oauth/revoke",
        scopes=(READ_USER,),
        pkce=True,
        implies={API: (READ_API, READ_USER)},
    ),
    key_auth=sdk.Key(
        fields=Token,
        authorise=authorise_by_token,
        base_url=api_of,
        help="GitLab, Edit profile, Access tokens; or a project's or group's Settings, Access tokens. Give it the scope api.",
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is. Ids are an instance's own, so that of another instance goes with its name."""
    found = one(await ctx.http.get("user"), "id", "username")
    number, username = str(found["id"]), str(found["username"])
    host = urlsplit(str(ctx.credentials.get("instance") or "")).netloc
    return sdk.Profile(
        external_id=f"{number}@{host}" if host else number,
        label=f"{username} at {host}" if host else username,
        avatar_url=found.get("avatar_url") or None,
        facts={"id": number, "username": username},
    )
