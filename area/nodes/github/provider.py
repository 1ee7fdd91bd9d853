"""The service itself: accounts, and what GitHub's answers mean.

Accounts: https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps and
https://docs.github.com/rest/apps/oauth-applications
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import one, read

VERSION = "2022-11-28"
PATIENCE = 60.0
"""Seconds to wait after a limit that names no time: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
REPO = "repo"
HOOKS = "admin:repo_hook"
"""The least scope by which a webhook can be removed again."""
APP_USER = "ghu_"
"""What the tokens of a GitHub App begin with: they have permissions, and no scopes."""


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


def read_grant(body: Any) -> sdk.Grant:
    """Tokens; a GitHub App's say nothing of scopes. Raises: GrantRefused, also for an error that came with status 200."""
    grant = sdk.read_grant(body)
    return replace(grant, scopes=None) if grant.access_token.startswith(APP_USER) and not grant.scopes else grant


async def revoke(ctx: sdk.Context, grant: sdk.Grant) -> None:
    """End this token, and leave others of the same person alone; one that is dead already is no error."""
    client = ctx.settings["client_id"], ctx.settings["client_secret"]
    asked = {"access_token": grant.access_token}
    try:
        await ctx.client_http.request("DELETE", f"/applications/{client[0]}/token", json=asked, auth=client)
    except Gone:
        return


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at GitHub; rate limits that say how long are left to the common parser."""
    status, said = response.status_code, words(response)
    if response.is_redirect:
        moved = "The repository has been renamed or moved: choose it again under its present name."
        raise sdk.Rejected(moved, code="MOVED")
    if status == 429 or (status == 403 and (_is_limit(said) or "retry-after" in response.headers)):
        if not _says_when(response):
            raise sdk.Throttled(f"GitHub asks to go slower: {said or status}", retry_after=PATIENCE)
        return
    if status == 404:
        raise Gone(_told(_missing(response), said), code="NOT_FOUND")
    if status == 409 and _is_race(response, said):
        raise sdk.Unavailable(_told("Somebody else wrote to the branch at the same moment.", said))
    if status in MEANINGS:
        hint, code = MEANINGS[status]
        raise sdk.Rejected(_told(hint, said), code=code)


MEANINGS = {
    403: (
        "The account may not do this: give it access to the repository, or connect it again and allow more.",
        "FORBIDDEN",
    ),
    410: ("This is switched off for the repository: its owner can switch it on in its settings.", "SWITCHED_OFF"),
    422: ("GitHub cannot accept this: change what its words name.", "REFUSED"),
}
"""Status to what the user can do, and a code."""


def _told(hint: str, said: str) -> str:
    return f"{hint} GitHub says: {said}" if said else hint


def _missing(response: httpx.Response) -> str:
    """What a 404 may mean: GitHub says it too of what the account may not see."""
    if "/hooks" in response.request.url.path:
        return (
            "There is no such repository, or the account may not add webhooks to it: "
            "check its name, and that the account is an administrator of it."
        )
    return "There is no such thing, or the account may not see it: check the names, and the account's access."


def _is_limit(said: str) -> bool:
    return "rate limit" in said.lower() or "abuse detection" in said.lower()


def _says_when(response: httpx.Response) -> bool:
    """Whether it names the end: ``Retry-After``, or the reset of a budget that is spent."""
    spent = response.headers.get("x-ratelimit-remaining") == "0" and "x-ratelimit-reset" in response.headers
    return spent or "retry-after" in response.headers


def _is_race(response: httpx.Response, said: str) -> bool:
    """Whether a file was not written because its branch moved: nothing happened, and a second attempt reads it anew."""
    written = response.request.method == "PUT" and "/contents/" in response.request.url.path
    return written and bool(re.search(r"does not match|but expected", said))


def words(response: httpx.Response) -> str:
    """GitHub's words in an error: its ``message``, and what ``errors`` add for each field. Empty for an answer that is none."""
    if response.status_code < 400:
        return ""
    body = read(response)
    if not isinstance(body, dict):
        return ""
    told = [str(body.get("message") or "")]
    listed = body.get("errors")
    for problem in listed if isinstance(listed, list) else [listed or ""]:
        if isinstance(problem, dict):
            field = ".".join(str(problem[name]) for name in ("resource", "field") if problem.get(name))
            told.append(
                " ".join(part for part in (field, str(problem.get("message") or problem.get("code") or "")) if part)
            )
        else:
            told.append(str(problem))
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
        # https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps: repositories with their webhooks.
        implies={REPO: (HOOKS, "public_repo")},
        read_grant=read_grant,
        revoke=revoke,
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
    found = one(await ctx.http.get("/user"), "id", "login")
    return sdk.Profile(
        external_id=str(found["id"]),
        label=str(found["login"]),
        avatar_url=found.get("avatar_url") or None,
        facts={"login": str(found["login"])},
    )
