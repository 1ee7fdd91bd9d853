"""The service itself: an account at an instance of one's choice, and what its refusals mean.

An account is connected by an access token that its owner makes in the settings of the instance, because each instance is a provider
of its own: an app is registered at every one of them. Facts: https://docs.joinmastodon.org/api/oauth-scopes/,
https://docs.joinmastodon.org/api/rate-limits/, https://docs.joinmastodon.org/methods/accounts/#verify_credentials
"""

from collections.abc import Mapping
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import many, one, read
from area.nodes._instance import INSTANCE, address

SCOPES = "profile, read:accounts, read:notifications, read:statuses and write:statuses"
HOME = "https://mastodon.social"


class Login(sdk.Inputs):
    """An account at an instance."""

    instance: str = Field(
        "mastodon.social",
        title="Instance",
        description="The address of the server that has the account, without a path.",
        pattern=INSTANCE,
        max_length=270,
        examples=["mastodon.social"],
    )
    token: Annotated[str, sdk.Secret] = Field(
        title="Access token",
        description="“Your access token” of an application of yours on that server.",
        pattern=r"^[A-Za-z0-9._~+/=-]{10,500}$",
        examples=["ZA-Yj3aBD8U8Cm7lKUp-lm9O9BmDgdhHzDeqsY8tlL0"],
    )


def base_url(credentials: Mapping[str, Any]) -> str:
    """The instance's address; empty for the service's own, which an operator can replace."""
    instance = _instance(credentials)
    return "" if instance == HOME else instance


def _instance(credentials: Mapping[str, Any]) -> str:
    return address(str(credentials.get("instance") or HOME))


def authorise(request: httpx.Request, credentials: Mapping[str, Any]) -> None:
    """The token as ``Bearer``."""
    request.headers["Authorization"] = f"Bearer {credentials['token']}"


def judge(response: httpx.Response) -> None:
    """Raise what a refusal means; waits and failures of the server are read by the common parser."""
    status, said = response.status_code, words(response)
    if not 400 <= status < 500 or status in (401, 408, 429) or sdk.throttled(response) is not None or not said:
        return
    if status == 403 and "authorized scopes" in said:
        hint = f"The access token is not allowed to do this. Make one with the scopes {SCOPES}, and connect it again."
        raise sdk.Rejected(hint, code="MISSING_SCOPE")
    if status in (404, 410):
        raise sdk.Rejected(
            f"{response.request.url.host} does not have this, or does not show it to the account: {said}", code="GONE"
        )
    if "character limit" in said:
        hint = "Shorten the text, for example by the filter truncate: 500"
        raise sdk.Rejected(f"The text is too long for this instance ({said}). {hint}.", code="TOO_LONG")
    raise sdk.Rejected(f"{response.request.url.host} cannot accept this: {said}", code="REFUSED")


def words(response: httpx.Response) -> str:
    """The instance's own words in an error: https://docs.joinmastodon.org/entities/Error/"""
    body = read(response)
    found = body.get("error") if isinstance(body, dict) else None
    return " ".join(found.split())[:300] if isinstance(found, str) else ""


service = sdk.Service(
    key="mastodon",
    name="Mastodon",
    description="Reacts to mentions and to an account's posts; writes and boosts posts, at any instance.",
    base_url=HOME,
    docs_url="https://docs.joinmastodon.org/client/intro/",
    key_auth=sdk.Key(
        fields=Login,
        authorise=authorise,
        base_url=base_url,
        help=(
            "On your instance: Preferences, Development, New application. Tick the scopes "
            f"{SCOPES}, save, open the application and copy “Your access token”."
        ),
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is. Its id means something at its instance alone, so both make up the name of the account."""
    found = one(await ctx.http.get("/api/v1/accounts/verify_credentials"), "id")
    host, name = httpx.URL(_instance(ctx.credentials)).netloc.decode(), str(found.get("username") or "")
    avatar = found.get("avatar")
    return sdk.Profile(
        f"{found['id']}@{host}",
        f"@{name}@{host}",
        avatar if isinstance(avatar, str) else None,
        {"id": str(found["id"]), "username": name, "instance": host},
    )


def known(response: httpx.Response) -> list[dict[str, Any]]:
    """Those of a list that have an id. Raises: Unavailable when it is none."""
    return [item for item in many(response) if item.get("id")]
