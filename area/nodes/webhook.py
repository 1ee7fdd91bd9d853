"""Webhook: start a run from any HTTP request to the AREA's own URL."""

from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(key="webhook", name="Webhook", description="Starts a run when a URL is called.")

HEADER = "x-signature-256"
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
        HEADER,
        title="Signature header",
        description="Header that holds 'sha256=' and the signature in hex.",
        pattern=r"^[A-Za-z0-9-]+$",
        examples=[HEADER],
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


@service.webhook("Request received", verify=sdk.HmacSha256(HEADER))  # with a secret; without one, the URL is it
def received(where: Hook, delivery: sdk.WebhookDelivery) -> Received | None:
    """Fires for each request to the AREA's URL. Authorization and cookie headers are not kept.
    When a secret is set, requests that are not signed with it are refused."""
    return Received(
        body=delivery.body,
        headers={name: value for name, value in delivery.headers.items() if name not in HIDDEN},
        query=delivery.query,
        method=delivery.method,
    )
