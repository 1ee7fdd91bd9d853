"""Webhook: what a request hands on, and how it proves its sender."""

import hashlib
import hmac

import pytest
from pydantic import ValidationError

from area.nodes import sdk, webhook
from tests.nodes.conftest import NOON

HEADER = "x-signature-256"


def signed(raw: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("body", [{"n": 3, "ü": ["🎉"]}, "plain ✓", None, [1]])
def test_received_hands_the_request_on_without_the_senders_credentials(body: object) -> None:
    headers = {"x-a": "1", "authorization": "Bearer x", "cookie": "s=1", "proxy-authorization": "Basic x"}
    delivery = sdk.WebhookDelivery("PUT", headers, {"q": "2"}, b"", body, "application/json")
    event = webhook.received.fn(webhook.Hook(), delivery)
    assert event == webhook.Received(body=body, headers={"x-a": "1"}, query={"q": "2"}, method="PUT")


def test_received_declares_how_it_is_signed() -> None:
    assert webhook.received.verify == sdk.HmacSha256(webhook.Hook().signature_header)


@pytest.mark.parametrize(
    ("given", "raw", "told"),
    [
        (signed(b"body", "s3cret"), b"body!", "does not match"),
        (signed(b"body", "guessed"), b"body", "does not match"),
        (signed(b"body", "s3cret").removeprefix("sha256="), b"body", "does not match"),
        ("\u00e9", b"body", "does not match"),
        (None, b"body", "x-signature-256 is missing"),
    ],
    ids=["changed", "another secret", "no prefix", "unicode", "none"],
)
def test_a_signature_is_of_this_body_by_this_secret(given: str | None, raw: bytes, told: str) -> None:
    verify = sdk.HmacSha256(HEADER)
    verify.check("s3cret", sdk.WebhookDelivery("POST", {HEADER: signed(b"body", "s3cret")}, raw=b"body"), NOON)
    headers = {} if given is None else {HEADER: given}
    with pytest.raises(sdk.BadSignature, match=told):
        verify.check("s3cret", sdk.WebhookDelivery("POST", headers, raw=raw), NOON)


@pytest.mark.parametrize("given", [{"signature_header": "x sig"}, {"signature_header": ""}, {"secret": ""}])
def test_a_hook_refuses(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        webhook.Hook.model_validate(given)
