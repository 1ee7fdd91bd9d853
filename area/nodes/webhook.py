"""Webhook: start a run from any HTTP request to the AREA's own URL."""

from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(key="webhook", name="Webhook", description="Starts a run when a URL is called.")

PREFIX = "sha256="
HIDDEN = {"authorization", "cookie", "proxy-authorization"}


class Hook(sdk.Inputs):
    """How callers prove themselves."""

    secret: Annotated[str | None, sdk.Secret, sdk.NoTemplate] = Field(
        None,
        title="Secret",
        description="When set, callers must sign the raw body with HMAC-SHA256; when empty, the URL is enough.",
        min_length=1,
        max_length=500,
        examples=["a long random string"],
    )
    signature_header: Annotated[str, sdk.NoTemplate] = Field(
        "x-signature-256",
        title="Signature header",
        description="Header with the hex signature, with or without 'sha256=' in front.",
        pattern=r"^[A-Za-z0-9-]+$",
        examples=["x-signature-256"],
    )


class Received(sdk.Outputs):
    """The request."""

    body: Any = Field(
        None,
        title="Body",
        description="Parsed when it is JSON or a form, else text.",
        examples=[{"order": 42, "status": "paid"}],
    )
    headers: dict[str, str] = Field(
        title="Headers", description="Names in lower case.", examples=[{"content-type": "application/json"}]
    )
    query: dict[str, str] = Field(title="Query", description="The URL's parameters.", examples=[{"source": "shop"}])
    method: str = Field(title="Method", description="How the URL was called.", examples=["POST"])


@service.webhook("Request received", verify=sdk.Unsigned("the URL is unguessable, and received() checks the signature"))
def received(where: Hook, delivery: sdk.WebhookDelivery) -> Received | None:
    """Fires for each request to the AREA's URL. Authorization and cookie headers are not kept."""
    if where.secret:
        _check_signature(where.secret, where.signature_header, delivery)
    return Received(
        body=delivery.body,
        headers={name: value for name, value in delivery.headers.items() if name not in HIDDEN},
        query=delivery.query,
        method=delivery.method,
    )


def _check_signature(secret: str, header: str, delivery: sdk.WebhookDelivery) -> None:
    given = delivery.headers.get(header.lower(), "")
    sdk.HmacSha256(header, prefix=PREFIX if given.startswith(PREFIX) else "").check(secret, delivery)
