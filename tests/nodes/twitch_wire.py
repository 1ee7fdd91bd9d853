"""What the tests of Twitch share: a wire that answers, signed messages, the account and its channel."""

import hashlib
import hmac
import json
from typing import Any

import httpx

from area.nodes import sdk
from area.nodes.twitch import service
from tests.nodes.conftest import FakeContext, MakeContext

SECRET = "0123456789abcdef" * 4
URL = "https://area.example/webhooks/twitch"
HOOK = sdk.Hook(id="h1", url=URL, secret=SECRET)
ACCOUNT = sdk.Account(id="a1", external_id="1337", label="Cooler_User", facts={"login": "cooler_user"})
CHANNEL = {
    "broadcaster_user_id": "1337",
    "broadcaster_user_login": "cooler_user",
    "broadcaster_user_name": "Cooler_User",
}
OUTPUT = {
    "broadcaster_id": "1337",
    "broadcaster_login": "cooler_user",
    "broadcaster_name": "Cooler_User",
    "url": "https://www.twitch.tv/cooler_user",
}
VIEWER = {"user_id": "1234", "user_login": "cool_user", "user_name": "クール 🎮"}
ONLINE = {**CHANNEL, "id": "9001", "type": "live", "started_at": "2026-11-23T10:11:12.123456789Z"}

Answer = httpx.Response


class Wire:
    """Answers by method and path, in order; the last one again and again."""

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        self.answers = answers
        self.sent: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> Answer:
        self.sent.append(request)
        assert request.url.path.startswith("/helix/"), request.url
        left = self.answers[f"{request.method} {request.url.path.removeprefix('/helix')}"]
        return left.pop(0) if len(left) > 1 else left[0]

    @property
    def told(self) -> list[tuple[str, str, Any]]:
        """Method, address and JSON body of each request."""
        return [
            (request.method, str(request.url).partition("/helix")[2], json.loads(request.content or b"null"))
            for request in self.sent
        ]


def items(*found: dict[str, Any], status: int = 200, **more: Any) -> Answer:
    return Answer(status, json={"data": list(found), **more})


def refusal(status: int, message: str, **headers: str) -> Answer:
    return Answer(status, json={"error": "Nope", "status": status, "message": message}, headers=headers)


def wired(context: MakeContext, answers: dict[str, Answer | list[Answer]], **given: Any) -> tuple[FakeContext, Wire]:
    """A context for the account, and the wire that it speaks over."""
    wire = Wire({call: found if isinstance(found, list) else [found] for call, found in answers.items()})
    given = {"connected": ACCOUNT, "settings": {"client_id": "cid"}, **given}
    return context(wire, service=service, **given), wire


def action(name: str) -> sdk.Action:
    return service.actions[f"twitch.{name}"]


def reaction(name: str) -> sdk.Reaction:
    return service.reactions[f"twitch.{name}"]


def offered(name: str, field: str) -> sdk.Choices:
    marks = action(name).inputs.model_fields[field].metadata
    return next(mark for mark in marks if isinstance(mark, sdk.Choices))


async def react(ctx: FakeContext, name: str, **inputs: Any) -> dict[str, Any]:
    node = reaction(name)
    answer: sdk.Outputs = await node.fn(ctx, node.inputs(**inputs))
    return answer.model_dump(mode="json")


def message(
    kind: str, body: Any, *, secret: str = SECRET, at: str = "2026-03-01T12:00:00.123456789Z"
) -> sdk.WebhookDelivery:
    raw = json.dumps(body, ensure_ascii=False).encode()
    mac = hmac.new(secret.encode(), b"m-1" + at.encode() + raw, hashlib.sha256).hexdigest()
    headers = {
        "twitch-eventsub-message-id": "m-1",
        "twitch-eventsub-message-timestamp": at,
        "twitch-eventsub-message-type": kind,
        "twitch-eventsub-message-signature": f"sha256={mac}",
    }
    return sdk.WebhookDelivery("POST", headers, {}, raw, body, "application/json")


def told(kind: str, condition: dict[str, str], event: Any, status: str = "enabled") -> dict[str, Any]:
    return {"subscription": {"id": "s1", "type": kind, "status": status, "condition": condition}, "event": event}


def fires(name: str, event: Any, **where: Any) -> dict[str, Any] | None:
    node = action(name)
    made = node.fn(node.inputs(**where), message("notification", told("any", {}, event)))
    return None if made is None else made.model_dump(mode="json")


def entrance(delivery: sdk.WebhookDelivery) -> list[sdk.Routed]:
    assert service.entrance
    return service.entrance.route(delivery)


def handshake(delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
    assert service.entrance
    assert service.entrance.handshake
    return service.entrance.handshake(delivery)


def subscription(**more: Any) -> dict[str, Any]:
    return {
        "id": "s1",
        "status": "enabled",
        "type": "stream.online",
        "version": "1",
        "condition": {"broadcaster_user_id": "1337"},
        "transport": {"method": "webhook", "callback": URL},
        **more,
    }
