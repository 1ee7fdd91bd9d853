"""Every signed request of the samples is accepted or refused, as it says, by the SDK's proofs and by a service's own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from area.nodes import sdk
from area.nodes.registry import load
from area.nodes.telegram.provider import OfBot, secret_of
from tests.contract.documents import SHARED, SPECS

FILE = SPECS / "samples/signature_vectors.json"
VECTORS: list[Any] = json.loads(FILE.read_text()) if FILE.exists() else []
pytestmark = pytest.mark.skipif(not VECTORS, reason=f"the samples are not there: {SHARED} is missing")

TWITCH = "twitch-eventsub-message-"
PROOFS: dict[str, sdk.Verify] = {
    "github": sdk.HmacSha256("x-hub-signature-256"),
    "slack": sdk.Hmac(
        header="x-slack-signature",
        prefix="v0=",
        signs=("v0:", "{x-slack-request-timestamp}", ":", "{body}"),
        timestamp="x-slack-request-timestamp",
    ),
    "twitch": sdk.Hmac(
        header=f"{TWITCH}signature",
        prefix="sha256=",
        signs=(f"{{{TWITCH}id}}", f"{{{TWITCH}timestamp}}", "{body}"),
        timestamp=f"{TWITCH}timestamp",
        tolerance=timedelta(minutes=10),
    ),
    "discord": sdk.Ed25519(header="x-signature-ed25519", timestamp="x-signature-timestamp"),
    "stripe": sdk.StripeSignature(),
    "standard-webhooks": sdk.StandardWebhook(),
    "telegram": sdk.SharedToken("x-telegram-bot-api-secret-token"),
    "gitlab": sdk.SharedToken("x-gitlab-token"),
    "notion": sdk.HmacSha256("x-notion-signature"),
    "linear": sdk.Hmac(header="linear-signature"),
    "trello": sdk.Hmac(
        header="x-trello-webhook",
        signs=("{body}", "https://area.example/hooks/trello"),
        algorithm="sha1",
        encoding="base64",
    ),
    "dropbox": sdk.Hmac(header="x-dropbox-signature"),
    "websub": sdk.Hmac(header="x-hub-signature", prefix="sha1=", algorithm="sha1"),
}
OTHER = str.maketrans("0123456789abcdefghABCDEFGH", "1032547698badcfehgBADCFEHG")
"""Another signature in the same letters."""
NAMES = [f"{vector['provider']}-{number}" for number, vector in enumerate(VECTORS)]
SERVICES = load().services


def delivery_of(vector: Any) -> sdk.WebhookDelivery:
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    try:
        body = json.loads(vector["body"])
    except ValueError:
        body = vector["body"]
    return sdk.WebhookDelivery("POST", headers, {}, vector["body"].encode(), body, "application/json")


def moment_of(vector: Any) -> datetime:
    now = vector.get("now", vector["headers"].get("X-Signature-Timestamp", 0))
    return datetime.fromisoformat(now) if isinstance(now, str) and "-" in now else datetime.fromtimestamp(int(now), UTC)


def check(proof: sdk.Verify, vector: Any) -> None:
    secret = vector.get("public_key") or vector["secret"]
    if vector["valid"]:
        proof.check(secret, delivery_of(vector), moment_of(vector))
        return
    with pytest.raises(sdk.BadSignature):
        proof.check(secret, delivery_of(vector), moment_of(vector))


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_vector_is_judged_as_it_says(vector: Any) -> None:
    check(PROOFS[vector["provider"]], vector)


@pytest.mark.parametrize("vector", [one for one in VECTORS if one["valid"]], ids=lambda one: one["provider"])
def test_every_valid_vector_is_refused_when_anything_signed_changes(vector: Any) -> None:
    proof, secret = PROOFS[vector["provider"]], vector.get("public_key") or vector["secret"]
    delivery, moment = delivery_of(vector), moment_of(vector)
    if not isinstance(proof, sdk.SharedToken):
        longer = sdk.WebhookDelivery("POST", delivery.headers, {}, delivery.raw + b" ", None, "application/json")
        with pytest.raises(sdk.BadSignature):
            proof.check(secret, longer, moment)
    for name in delivery.headers:
        if "signature" in name or "token" in name or name == "x-trello-webhook":
            for changed in ({**delivery.headers, name: delivery.headers[name].translate(OTHER)}, {}):
                with pytest.raises(sdk.BadSignature):
                    proof.check(secret, sdk.WebhookDelivery("POST", changed, {}, delivery.raw, None, ""), moment)


def proofs_of(service: sdk.Service) -> list[sdk.Verify]:
    """Those by which a service's deliveries are verified."""
    own = [action.verify for action in service.actions.values() if action.verify]
    return [*own, *([service.entrance.verify] if service.entrance else [])]


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS if one["provider"] in SERVICES], ids=lambda one: one["provider"]
)
def test_services_judge_the_vectors_of_their_provider(vector: Any) -> None:
    for proof in proofs_of(SERVICES[vector["provider"]]):
        if isinstance(proof, OfBot):  # what the provider was told as its secret follows from ours
            told = {name: secret_of(value, "") for name, value in vector["headers"].items()}
            check(proof, {**vector, "headers": told})
        else:
            check(proof, vector)


@pytest.mark.parametrize(
    "vector",
    [one for one in VECTORS if one["provider"] in SERVICES and "expect_response" in one and one["valid"]],
    ids=lambda one: one["provider"],
)
def test_services_answer_handshakes_as_the_vectors_say(vector: Any) -> None:
    service, wanted = SERVICES[vector["provider"]], vector["expect_response"]
    assert service.entrance
    assert service.entrance.handshake
    answer = service.entrance.handshake(delivery_of(vector))
    assert answer
    assert answer.status == wanted["status"]
    if "json" in wanted:
        assert answer.body == wanted["json"]
    else:
        assert answer.body == wanted["body"]
        assert answer.content_type.startswith(wanted["content_type"])
