"""What Google's services have in common: accounts, and what their answers mean. https://developers.google.com/identity/protocols/oauth2/web-server"""

from collections.abc import Mapping
from email.utils import getaddresses
from typing import Any
from urllib.parse import quote

import httpx

from area.nodes import sdk
from area.nodes._answers import one, read, strange

USERINFO = "https://www.googleapis.com/oauth2/v2/userinfo"
SCOPE = "https://www.googleapis.com/auth/"
NOT_IN_ADDRESS = frozenset(' @<>,;:"\\()[]')
SEVERAL = "ada@example.com, grace@example.com"
UNCONSENTED = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})


class Gone(sdk.Rejected):
    """404: it does not exist, or the account may not see it."""


class Expired(sdk.Rejected):
    """410: it has been deleted; of a cursor, that everything has to be listed again."""


class Exists(sdk.Rejected):
    """409: what was to be made is there already."""


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at Google; rate limits, also those with status 403, are left to the common parser."""
    status = response.status_code
    if status < 400 or status in (401, 408) or status >= 500 or sdk.throttled(response) is not None:
        return
    said = words(response)
    if status == 403 and UNCONSENTED & reasons_of(response):
        told = f"The account has not allowed this: connect it again, and tick what is asked for. Google says: {said}"
        raise sdk.Rejected(told, code="MISSING_SCOPE")
    if status == 403:
        raise sdk.Rejected(f"The account may not do this. Google says: {said}", code="FORBIDDEN")
    if status == 404:
        raise Gone(f"There is no such thing, or the account may not see it. Google says: {said}", code="NOT_FOUND")
    if status == 409:
        raise Exists(f"It is there already. Google says: {said}", code="EXISTS")
    if status == 410:
        raise Expired(f"It is gone. Google says: {said}", code="GONE")
    raise sdk.Rejected(f"Google cannot accept this: {said}", code=f"HTTP_{status}")


def words(response: httpx.Response) -> str:
    """Google's own words in an error: ``error.message``."""
    return " ".join(str(_error(response).get("message") or response.reason_phrase).split())[:300]


def reasons_of(response: httpx.Response) -> set[str]:
    """The machine-readable reasons of an error, from ``errors`` and ``details`` alike."""
    error = _error(response)
    listed = [error.get(name) for name in ("errors", "details")]
    parts = [part for given in listed if isinstance(given, list) for part in given if isinstance(part, dict)]
    return {str(part["reason"]) for part in parts if part.get("reason")}


def _error(response: httpx.Response) -> dict[str, Any]:
    body = read(response)
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def google(
    key: str,
    name: str,
    description: str,
    base_url: str,
    docs_url: str,
    implies: Mapping[str, tuple[str, ...]] | None = None,
) -> sdk.Service:
    """A service of Google's. Each has settings for a client of its own, which may be the same one."""
    service = sdk.Service(
        key=key,
        name=name,
        description=description,
        base_url=base_url,
        docs_url=docs_url,
        auth=sdk.OAuth2(
            authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
            token_url="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
            revoke_url="https://oauth2.googleapis.com/revoke",
            scopes=("openid", f"{SCOPE}userinfo.email"),
            implies=implies or {},
            # Without these, whoever consents a second time brings no refresh token; and what was granted before stays.
            parameters={"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"},
        ),
        judge=judge,
    )
    service.identify(identify)
    return service


async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is; this needs no scope of the service's own. The setting ``userinfo_url`` replaces its address."""
    found = mapping(await ctx.http.get(ctx.settings.get("userinfo_url") or USERINFO), "id")
    email = str(found.get("email") or "")
    return sdk.Profile(
        external_id=str(found["id"]),
        label=email or str(found.get("name") or found["id"]),
        avatar_url=found.get("picture") or None,
        facts={"email": email},
    )


def mapping(response: httpx.Response, *needed: str, safe: bool = False) -> dict[str, Any]:
    """The object of an answer. Raises: Unavailable when it is something else, or Unknown where the call may have done something.

    ``safe`` says that the call can be repeated all the same.
    """
    found = one(response, *needed, safe=safe or None)
    if "error" in found:
        raise strange(response, safe=safe or None)
    return found


def listed(found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list in an answer; none where it is missing, as Google leaves empty lists out."""
    given = found.get(name)
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []


def segment(part: str) -> str:
    """One segment of a path."""
    return quote(part, safe="")


def addresses(line: str, name: str) -> list[str]:
    """The mail addresses in a line. Raises: Rejected, for the input ``name``, when one is none."""
    found = [address for _, address in getaddresses([line])]
    if not found or not all(map(is_address, found)):
        told = f"{line!r} is not a list of mail addresses. Write {SEVERAL}."
        raise sdk.Rejected(told, field=name, suggestion=SEVERAL)
    return found


def is_address(given: str) -> bool:
    """Whether it is a mail address, in ASCII: others need an extension of SMTP, and domains can be written in their xn-- form."""
    local, _, domain = given.partition("@")
    printable = given.isascii() and given.isprintable()
    return bool(local and domain) and printable and not NOT_IN_ADDRESS & {*local, *domain}
