"""The service itself: an account by its API key, what Stripe's answers mean, and how it is asked.

Keys: https://docs.stripe.com/keys; errors: https://docs.stripe.com/api/errors; versions: https://docs.stripe.com/api/versioning
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import httpx
from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes._answers import read, strange
from area.nodes._payloads import within

VERSION = "2026-06-24.dahlia"
"""Of answers and of deliveries alike, whatever version the account is set to."""
PER_PAGE = 100
"""The most that Stripe lists at once: https://docs.stripe.com/api/pagination"""
FIELDS = {
    **{name: name for name in ("name", "email", "phone", "description", "metadata", "amount", "reason")},
    "payment_intent": "payment",
    "charge": "payment",
}
"""What Stripe calls a parameter, to the input that it is made of."""


class ApiKey(sdk.Inputs):
    """An API key of one account."""

    key: Annotated[str, sdk.Secret] = Field(
        title="API key",
        description="A restricted key (rk_…), or a secret key (sk_…). A publishable key (pk_…) cannot do this.",
        pattern=r"^(rk|sk)_(live|test)_[A-Za-z0-9]{10,300}$",
        examples=["rk_test_51ABCDEFG0123456"],
    )

    @field_validator("key", mode="before")
    @classmethod
    def _is_not_published(cls, key: Any) -> Any:
        if isinstance(key, str) and key.startswith("pk_"):
            raise ValueError(
                "this is the publishable key, which can do nothing here: give a restricted (rk_) or secret (sk_) one"
            )
        return key.strip() if isinstance(key, str) else key


class Gone(sdk.Rejected):
    """Stripe has no such object, or not in this mode."""


class Forbidden(sdk.Rejected):
    """A restricted key lacks a permission."""


def authorise(request: httpx.Request, credentials: Mapping[str, Any]) -> None:
    """https://docs.stripe.com/api/authentication"""
    request.headers["Authorization"] = f"Bearer {credentials['key']}"


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at Stripe; 429 and a 5xx that may pass are left to the common parser."""
    status, error = response.status_code, error_of(response)
    if status < 400 or status == 429:
        return
    said, code = words(error), str(error.get("code") or "")
    if status >= 500:
        if response.request.method == "POST" and _is_final(response):
            told = f"Stripe failed with {status} and will say so again, so it may have happened."
            raise sdk.Unknown(f"{told} Look in its dashboard, and replay the run if it has not.")
        return
    if status == 401:
        raise sdk.Reconnect(
            "Stripe does not take this API key any more: connect the account again with one that is valid."
        )
    if status == 409 and (code in PASSING or response.headers.get("stripe-should-retry") == "true"):
        raise sdk.Unavailable(_told("Another call holds what this one needs.", said))
    if error.get("type") == "idempotency_error":
        told = (
            "An earlier attempt of this step reached Stripe with other inputs: look in its dashboard what came of it."
        )
        raise sdk.Unknown(_told(told, said))
    if status == 403:
        hint = "The API key may not do this: give it the permission in Stripe's dashboard, or connect another key."
        raise Forbidden(_told(hint, said), code="FORBIDDEN")
    field = FIELDS.get(str(error.get("param") or "").partition("[")[0])
    if status == 404 or code == "resource_missing":
        hint = "Stripe has no such object; test mode and live mode each have their own."
        raise Gone(_told(hint, said), code="NOT_FOUND", field=field)
    stable = code.upper() if re.fullmatch(r"[a-z_]{1,60}", code) else "REFUSED"
    raise sdk.Rejected(_told("Stripe cannot accept this: change what its words name.", said), code=stable, field=field)


PASSING = frozenset({"idempotency_key_in_use", "lock_timeout"})
"""Codes of a 409 that ends by itself: https://docs.stripe.com/error-codes"""


def _is_final(response: httpx.Response) -> bool:
    """Whether a failure is what this Idempotency-Key will always get, or Stripe says that another attempt is of no use.

    https://docs.stripe.com/api/idempotent_requests and https://docs.stripe.com/error-low-level
    """
    headers = response.headers
    return bool(headers.get("idempotent-replayed") == "true" or headers.get("stripe-should-retry") == "false")


def _told(hint: str, said: str) -> str:
    return f"{hint} Stripe says: {said}" if said else hint


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The ``error`` of a failing answer; empty where there is none."""
    body = read(response)
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def words(error: Mapping[str, Any]) -> str:
    """Stripe's own words, without the key that they may name."""
    said = " ".join(str(error.get("message") or "").split())
    return re.sub(r"\b(sk|rk|pk)_(live|test)_[\w*]+", "the key", said)[:400]


service = sdk.Service(
    key="stripe",
    name="Stripe",
    description="Reacts to payments that succeed or fail and to subscriptions that change; creates customers and refunds.",
    base_url="https://api.stripe.com",
    docs_url="https://docs.stripe.com/api",
    headers={"Stripe-Version": VERSION},
    key_auth=sdk.Key(
        fields=ApiKey,
        authorise=authorise,
        help=(
            "Stripe's dashboard, Developers, API keys, Create restricted key. Allow writing for Webhook Endpoints where payments "
            "and subscriptions are to start AREAs, for Customers and for Charges and Refunds where those are to be made, and "
            "reading for PaymentIntents and Customers to choose from them."
        ),
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose key it is. Test mode is an account of its own: the same key name, and none of the same objects."""
    test = "_test_" in str(ctx.credentials.get("key") or "")
    try:
        found = one(await ctx.http.get("/v1/account"), "account")
    except Forbidden as error:
        # Most restricted keys may not read the account; the refusal proves the key, and names whose it is.
        named = re.search(r"\bacct_[A-Za-z0-9]+", error.message)
        if named is None:
            raise
        found = {"id": named.group()}
    label = text(found, "settings", "dashboard", "display_name") or text(found, "email") or found["id"]
    return sdk.Profile(
        external_id=f"{found['id']}:test" if test else found["id"],
        label=f"{label} (test mode)" if test else label,
        facts={"account": found["id"], "test": test},
    )


async def post(
    ctx: sdk.Context, path: str, asked: Mapping[str, Any], kind: str, *, once: bool = True
) -> dict[str, Any]:
    """The ``kind`` of object that a form posted to ``path`` made.

    With ``once``, Stripe's Idempotency-Key makes a repeat of the same call give the first one's answer.
    Raises: Unavailable for an answer that is none: it is asked for again by the same key.
    """
    headers = {"Idempotency-Key": ctx.idempotency_key} if once else {}
    response = await ctx.http.post(path, data=form(asked), headers=headers)
    if response.headers.get("idempotent-replayed") == "true":
        ctx.log("Stripe had done this in an earlier attempt, and gave that answer again.")
    return one(response, kind)


def form(asked: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """A body as Stripe reads it: ``metadata[order]=7``, ``enabled_events[]=…``; what is None or empty is left out."""
    return {name: value for name, value in _pairs(asked) if value not in ("", [])}


def _pairs(asked: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str | list[str]]]:
    for name, value in asked.items():
        path = f"{within}[{name}]" if within else name
        if isinstance(value, Mapping):
            yield from _pairs(value, path)
        elif isinstance(value, list | tuple):
            yield f"{path}[]", [str(item) for item in value]
        elif isinstance(value, bool):
            yield path, "true" if value else "false"
        elif value is not None:
            yield path, str(value)


async def listed(
    ctx: sdk.Context, path: str, kind: str, *, pages: int = 1, **asked: Any
) -> tuple[list[dict[str, Any]], bool]:
    """The newest objects of a list, ``pages`` of 100 at most, and whether that is all of them."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {**asked, "limit": PER_PAGE}
    for _ in range(pages):
        response = await ctx.http.get(path, params=form(query))
        body = read(response)
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, list):
            raise nonsense(response)
        part = [item for item in data if _is(item, kind)]
        found += part
        if body.get("has_more") is not True or not part:
            return found, True
        query["starting_after"] = part[-1]["id"]
    return found, False


def one(response: httpx.Response, kind: str) -> dict[str, Any]:
    """The object of an answer. Raises: Unavailable when it is something else."""
    found = read(response)
    if isinstance(found, dict) and _is(found, kind):
        return found
    raise nonsense(response)


def _is(found: Any, kind: str) -> bool:
    return isinstance(found, dict) and found.get("object") == kind and bool(text(found, "id"))


def nonsense(response: httpx.Response) -> sdk.NodeError:
    """An answer that is not Stripe's. It is asked for again: what was posted has an Idempotency-Key, and an endpoint its URL."""
    return strange(response, safe=True)


def text(body: Any, *names: str) -> str:
    """Text there; empty where there is none."""
    found = within(body, *names)
    return found if isinstance(found, str) else ""


def id_of(body: Any, *names: str) -> str | None:
    """The id of what is referred to there, which Stripe writes as its id or, expanded, as the object; None for nothing."""
    found = within(body, *names)
    found = found.get("id") if isinstance(found, Mapping) else found
    return found if isinstance(found, str) and found else None
