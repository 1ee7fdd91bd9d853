"""What every webhook makes of deliveries that are forged, late, or of another kind than its provider sends."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.registry import load
from area.nodes.sdk.webhooks import Endpoint
from area.nodes.telegram.provider import OfBot
from tests.nodes.rig import examples
from tests.providers import signing

REGISTRY = load()
WEBHOOKS = {key: action for key, action in REGISTRY.actions.items() if action.delivery is sdk.Delivery.WEBHOOK}
ENTRANCES = {key: service for key, service in REGISTRY.services.items() if service.entrance}
PROOFS: dict[str, sdk.Verify] = {
    **{key: action.verify for key, action in WEBHOOKS.items() if action.verify},
    **{f"{key}:endpoint": service.entrance.verify for key, service in ENTRANCES.items() if service.entrance},
}
EVERY_PROOF = pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS.keys())
EVERY_WEBHOOK = pytest.mark.parametrize("action", WEBHOOKS.values(), ids=WEBHOOKS.keys())
EVERY_ENTRANCE = pytest.mark.parametrize("service", ENTRANCES.values(), ids=ENTRANCES.keys())

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
STRANGE: list[Any] = [
    None,
    [],
    [None],
    "text",
    "",
    5,
    True,
    {},
    {"id": None},
    {"data": []},
    {"event": "x"},
    {"type": {}},
    {"a": {"b": 1}},
]
STRANGE += [{"challenge": 5}, {"subscription": None}, {"message": {"data": "%%%"}}, {"type": 1, "data": {}}]


def signed(proof: sdk.Verify, raw: bytes, at: datetime = NOW) -> tuple[str, dict[str, str]]:
    """The secret and the headers by which a sender proves itself."""
    second = int(at.timestamp())
    if isinstance(proof, sdk.Ed25519):
        moment = str(second)
        return signing.public_hex(KEY), {proof.timestamp: moment, proof.header: KEY.sign(moment.encode() + raw).hex()}
    if isinstance(proof, sdk.AnyOf):
        return signed(proof.proofs[0], raw, at)
    if isinstance(proof, sdk.StripeSignature):
        return SECRET, dict(signing.stripe(SECRET, at=second)(raw, {}))
    if isinstance(proof, sdk.StandardWebhook):
        return SECRET, dict(signing.standard_webhook(SECRET, at=second)(raw, {}))
    if isinstance(proof, sdk.SharedToken):
        return SECRET, {proof.header: SECRET}
    if isinstance(proof, OfBot):  # the deliveries of this suite name no bot
        return SECRET, {"X-Telegram-Bot-Api-Secret-Token": hmac.new(SECRET.encode(), b"bot:", "sha256").hexdigest()}
    if isinstance(proof, sdk.HmacSha256):
        return SECRET, dict(signing.hmac_body(SECRET, proof.header, proof.prefix)(raw, {}))
    assert isinstance(proof, sdk.Hmac), f"{type(proof).__name__} is a proof that this suite cannot sign for: teach it"
    headers = {proof.timestamp: str(second)} if proof.timestamp else {}
    mac = hmac.new(SECRET.encode(), digestmod=getattr(hashlib, proof.algorithm))
    for part in proof.signs:
        if part != "{body}" and part.startswith("{"):
            headers.setdefault(part[1:-1], "e76c6bd4")
        mac.update(raw if part == "{body}" else headers[part[1:-1]].encode() if part.startswith("{") else part.encode())
    digest = mac.hexdigest() if proof.encoding == "hex" else base64.b64encode(mac.digest()).decode()
    return SECRET, {**headers, proof.header: proof.prefix + digest}


def delivery(raw: bytes, headers: dict[str, str]) -> sdk.WebhookDelivery:
    lower = {name.lower(): value for name, value in headers.items()}
    return sdk.WebhookDelivery("POST", lower, {}, raw, None, "application/json")


@EVERY_PROOF
def test_only_what_the_sender_signed_is_taken(proof: sdk.Verify) -> None:
    if isinstance(proof, sdk.Unsigned):
        assert proof.why.endswith("."), "say in a sentence why nobody signs"
        return
    raw = b'{"kind":"caf\xc3\xa9"}'
    secret, headers = signed(proof, raw)
    good = delivery(raw, headers)
    proof.check(secret, good, NOW)
    forged = [replace(good, headers={}), replace(good, headers={**good.headers, **_garbled(good.headers)})]
    if not isinstance(proof, sdk.SharedToken | OfBot):
        forged += [replace(good, raw=raw + b" "), replace(good, raw=b"")]
    for wrong in forged:
        with pytest.raises(sdk.BadSignature):
            proof.check(secret, wrong, NOW)
    with pytest.raises(sdk.BadSignature):
        proof.check("00" * 32, good, NOW)
    if getattr(proof, "timestamp", None) or (hasattr(proof, "tolerance") and not isinstance(proof, sdk.Hmac)):
        with pytest.raises(sdk.BadSignature):  # replayed
            proof.check(secret, good, NOW + timedelta(hours=1))


def _garbled(headers: dict[str, str]) -> dict[str, str]:
    other = str.maketrans("0123456789abcdefghABCDEFGH", "1032547698badcfehgBADCFEHG")
    return {name: value.translate(other) for name, value in headers.items()}


def _strange(call: Callable[[sdk.WebhookDelivery], Any]) -> None:
    for body in STRANGE:
        raw = json.dumps(body).encode()
        given = sdk.WebhookDelivery("POST", {"content-type": "application/json"}, {}, raw, body, "application/json")
        refused: Exception | None = None
        try:
            call(given)
        except Exception as error:
            refused = error
        fine = refused is None or isinstance(refused, sdk.NodeError | ValidationError)
        assert fine, (
            f"{raw.decode()} breaks it: {refused!r}. Read deliveries by a pydantic model, or ignore what is unknown."
        )


@EVERY_WEBHOOK
def test_strange_deliveries_break_no_action(action: sdk.Action) -> None:
    where = examples(action.inputs)
    _strange(lambda given: action.fn(where, given))
    if action.handshake:
        _strange(lambda given: action.handshake(where, given))  # type: ignore[misc]


@EVERY_ENTRANCE
def test_strange_deliveries_break_no_endpoint(service: sdk.Service) -> None:
    entrance = service.entrance
    assert isinstance(entrance, Endpoint)
    _strange(entrance.route)
    if entrance.handshake:
        _strange(entrance.handshake)
    if entrance.reply:
        assert isinstance(entrance.reply(delivery(b"{}", {})), sdk.Answer)


@EVERY_WEBHOOK
def test_a_stranger_s_probe_is_not_confirmed(action: sdk.Action) -> None:
    """A GET that asks whether deliveries are wanted is answered for what the hook asked for, and for nothing else."""
    where = examples(action.inputs)
    elsewhere = {"hub.topic": "https://elsewhere.example", "hub.challenge": "c-7"}
    queries = ({}, {"hub.mode": "subscribe", **elsewhere}, {"hub.mode": "unsubscribe", **elsewhere})
    for ask in filter(None, (action.handshake, action.farewell)):
        for query in queries:
            answer = ask(where, sdk.WebhookDelivery("GET", {}, query))
            assert answer is None or not 200 <= answer.status < 300 or "c-7" not in str(answer.body), (
                f"{action.key} confirms {query}"
            )
