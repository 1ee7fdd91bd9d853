"""Twitch: accounts, EventSub and its quirks, what viewers and streams tell, and what an AREA does there."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from area.nodes import sdk
from area.nodes.twitch import eventsub, service
from area.nodes.twitch.provider import authorise
from tests.nodes.conftest import NOON, FakeContext, MakeContext

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


@pytest.fixture
def wired(context: MakeContext) -> Callable[..., tuple[FakeContext, Wire]]:
    def make(answers: dict[str, Answer | list[Answer]], **given: Any) -> tuple[FakeContext, Wire]:
        wire = Wire({call: found if isinstance(found, list) else [found] for call, found in answers.items()})
        given = {"connected": ACCOUNT, "settings": {"client_id": "cid"}, **given}
        return context(wire, service=service, **given), wire

    return make


Wired = Callable[..., tuple[FakeContext, Wire]]


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


# Accounts


def test_the_client_id_goes_with_every_bearer_token() -> None:
    request = httpx.Request("GET", "https://api.twitch.tv/helix/users")
    authorise(request, "t0k3n", {"client_id": "cid"})
    assert (request.headers["authorization"], request.headers["client-id"]) == ("Bearer t0k3n", "cid")


def test_validation_has_an_authorisation_of_its_own() -> None:
    request = httpx.Request("GET", "https://id.twitch.tv/oauth2/validate")
    authorise(request, "t0k3n", {"client_id": "cid"})
    assert request.headers["authorization"] == "OAuth t0k3n"
    assert "client-id" not in request.headers


def test_tokens_are_refreshed_when_refused_and_validated_hourly() -> None:
    assert service.auth
    assert (service.auth.refresh_ahead, service.auth.validate_every) == (timedelta(0), timedelta(hours=1))
    assert not service.auth.pkce
    assert service.auth.scopes == ()


def test_scopes_come_as_a_list() -> None:
    body = {
        "access_token": "a",
        "refresh_token": "r",
        "expires_in": 14124,
        "scope": ["bits:read"],
        "token_type": "bearer",
    }
    assert sdk.read_grant(body) == sdk.Grant("a", "r", 14124.0, frozenset({"bits:read"}))


async def test_an_account_is_known_by_its_id(wired: Wired) -> None:
    user = {
        "id": "1337",
        "login": "cooler_user",
        "display_name": "Cooler_User",
        "profile_image_url": "https://p.test/1.png",
    }
    ctx, wire = wired({"GET /users": items(user)})
    assert service.identifier
    profile = await service.identifier(ctx)
    assert profile == sdk.Profile("1337", "Cooler_User", "https://p.test/1.png", {"login": "cooler_user"})
    assert wire.told == [("GET", "/users", None)]


async def test_an_account_that_twitch_does_not_name_is_refused(wired: Wired) -> None:
    ctx, _ = wired({"GET /users": items()})
    assert service.identifier
    with pytest.raises(sdk.Rejected, match="whose account this is"):
        await service.identifier(ctx)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, "https://id.twitch.tv/oauth2/validate"),
        ({"token_url": "http://127.0.0.1:9/oauth2/token"}, "http://127.0.0.1:9/oauth2/validate"),
    ],
)
async def test_validation_asks_where_tokens_come_from(
    context: MakeContext, settings: dict[str, str], asked: str
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> Answer:
        seen.append(str(request.url))
        return Answer(200, json={"client_id": "cid", "login": "cooler_user", "scopes": [], "user_id": "1337"})

    assert service.validator
    await service.validator(context(answer, service=service, settings=settings))
    assert seen == [asked]


async def test_a_dead_token_means_reconnect(context: MakeContext) -> None:
    ctx = context(lambda _: refusal(401, "invalid access token"), service=service)
    assert service.validator
    with pytest.raises(sdk.Reconnect, match="invalid access token"):
        await service.validator(ctx)


# What answers mean


@pytest.mark.parametrize(
    ("remaining", "wait"), [("0", 60.0), ("", 60.0), ("799", 5.0)], ids=["bucket empty", "unsaid", "another limit"]
)
async def test_patience_is_as_long_as_the_bucket_says(wired: Wired, remaining: str, wait: float) -> None:
    reset = str(int(datetime.now(UTC).timestamp()) + 60)
    headers = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": remaining, "Ratelimit-Reset": reset}
    ctx, _ = wired({"GET /games": refusal(429, "Too Many Requests", **headers)})
    with pytest.raises(sdk.Throttled, match="Too Many Requests") as caught:
        await react(ctx, "update_channel", game="Tetris")
    assert wait - 2 <= caught.value.retry_after <= wait


@pytest.mark.parametrize("reset", ["", "soon", "99999999999999999999", "1"])
async def test_a_wrong_reset_stops_nothing_for_long(wired: Wired, reset: str) -> None:
    ctx, _ = wired({"GET /games": refusal(429, "slow", **{"Ratelimit-Remaining": "0", "Ratelimit-Reset": reset})})
    with pytest.raises(sdk.Throttled) as caught:
        await react(ctx, "update_channel", game="Tetris")
    assert 1 <= caught.value.retry_after <= 3600


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, html="<h1>Maintenance</h1>"),
        Answer(200, json={"error": "Internal"}),
        Answer(200, json={"data": None}),
        Answer(200, json={"data": ["x"]}),
        Answer(200, json=[]),
        Answer(200, content=b'{"data": [{"id": 1'),
    ],
    ids=["html", "error inside", "null", "no objects", "a list", "cut short"],
)
async def test_an_answer_that_is_none_is_no_success(wired: Wired, answer: Answer) -> None:
    ctx, _ = wired({"POST /chat/messages": answer, "GET /games": answer})
    with pytest.raises(sdk.Unknown, match="may have happened"):
        await react(ctx, "send_chat_message", message="hi")
    with pytest.raises(sdk.Unavailable, match=r"api\.twitch\.tv answered 200 with something else"):
        await react(ctx, "update_channel", game="Tetris")


async def test_a_redirect_is_not_followed(wired: Wired) -> None:
    ctx, wire = wired({"POST /chat/announcements": Answer(302, headers={"Location": "http://169.254.169.254/"})})
    with pytest.raises(sdk.Rejected, match="a redirect"):
        await react(ctx, "send_announcement", message="hi")
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("call", "inputs", "status", "says"),
    [
        ("POST /chat/messages", {"message": "hi"}, 403, "may not write in this chat"),
        ("POST /chat/messages", {"message": "hi"}, 422, "too long"),
        ("POST /clips", {}, 403, "may not make clips"),
        ("POST /clips", {}, 404, "is not live"),
        ("POST /streams/markers", {}, 403, "editors"),
        ("POST /streams/markers", {}, 404, "needs a live stream"),
    ],
)
async def test_refusals_say_what_to_do(wired: Wired, call: str, inputs: dict[str, Any], status: int, says: str) -> None:
    names = {"POST /chat/messages": "send_chat_message", "POST /clips": "create_clip"}
    ctx, _ = wired({call: refusal(status, "the words of Twitch")})
    with pytest.raises(sdk.Rejected, match=f"{says}.*the words of Twitch"):
        await react(ctx, names.get(call, "create_marker"), **inputs)


async def test_a_missing_scope_means_reconnect(wired: Wired) -> None:
    ctx, _ = wired({"POST /clips": refusal(401, "Missing scope: clips:edit")})
    with pytest.raises(sdk.Reconnect, match="Missing scope: clips:edit"):
        await react(ctx, "create_clip")


# Whose channel


@pytest.mark.parametrize(
    ("given", "login"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("TwitchDev", "twitchdev"),
        (" @TwitchDev ", "twitchdev"),
        ("https://www.twitch.tv/TwitchDev/", "twitchdev"),
        ("m.twitch.tv/twitchdev", "twitchdev"),
    ],
)
def test_a_channel_is_named_in_many_ways(given: str | None, login: str | None) -> None:
    assert action("stream_online").inputs(channel=given).channel == login


@pytest.mark.parametrize("given", ["a b", "x" * 26, "https://youtube.com/x", "twitch.tv/", "é", "a?b", "a\nb"])
def test_what_is_no_channel_is_refused_when_saved(given: str) -> None:
    with pytest.raises(ValueError, match="channel"):
        action("stream_online").inputs(channel=given)


async def test_choices_are_ones_own_channel_and_those_that_may_be_seen(wired: Wired) -> None:
    choices = next(
        mark
        for mark in action("stream_online").inputs.model_fields["channel"].metadata
        if isinstance(mark, sdk.Choices)
    )
    ctx, wire = wired({})
    assert await choices.fn(ctx, {}) == [sdk.Choice("cooler_user", "Cooler_User (your own)")]
    followed = {"broadcaster_id": "2", "broadcaster_login": "ada", "broadcaster_name": "Ada"}
    seeing = sdk.Account("a1", "1337", "Cooler_User", frozenset({"user:read:follows"}), {"login": "cooler_user"})
    ctx, wire = wired({"GET /channels/followed": items(followed)}, connected=seeing)
    assert await choices.fn(ctx, {}) == [sdk.Choice("cooler_user", "Cooler_User (your own)"), sdk.Choice("ada", "Ada")]
    assert wire.told == [("GET", "/channels/followed?user_id=1337&first=100", None)]


async def test_choices_of_rewards(wired: Wired) -> None:
    choices = next(
        mark
        for mark in action("reward_redeemed").inputs.model_fields["reward"].metadata
        if isinstance(mark, sdk.Choices)
    )
    ctx, wire = wired({"GET /channel_points/custom_rewards": items({"id": "r1", "title": "Hydrate! 💧", "cost": 100})})
    assert await choices.fn(ctx, {}) == [sdk.Choice("r1", "Hydrate! 💧 (100 points)")]
    assert wire.told == [("GET", "/channel_points/custom_rewards?broadcaster_id=1337", None)]
    ctx, _ = wired({"GET /channel_points/custom_rewards": refusal(403, "not a partner")})
    with pytest.raises(sdk.Rejected, match="affiliates and partners"):
        await choices.fn(ctx, {})


# Signatures, probes, revocations


def test_a_signed_delivery_is_accepted_with_nanoseconds() -> None:
    eventsub.SIGNED.check(SECRET, message("notification", told("x", {}, {})), NOON)


@pytest.mark.parametrize(
    "tamper", ["body", "twitch-eventsub-message-id", "twitch-eventsub-message-timestamp", "secret"]
)
def test_a_tampered_delivery_is_refused(tamper: str) -> None:
    delivery = message("notification", told("x", {}, {}), secret="other" if tamper == "secret" else SECRET)
    if tamper in delivery.headers:
        delivery.headers[tamper] = delivery.headers[tamper].replace("1", "2", 1)
    raw = delivery.raw + b" " if tamper == "body" else delivery.raw
    with pytest.raises(sdk.BadSignature):
        eventsub.SIGNED.check(SECRET, sdk.WebhookDelivery("POST", delivery.headers, {}, raw, delivery.body), NOON)


@pytest.mark.parametrize("minutes", [-11, 11])
def test_a_delivery_from_another_time_is_refused(minutes: int) -> None:
    at = (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    with pytest.raises(sdk.BadSignature, match="600 s"):
        eventsub.SIGNED.check(SECRET, message("notification", told("x", {}, {}), at=at), NOON)
    late = (NOON + timedelta(minutes=minutes * 9 // 11)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    eventsub.SIGNED.check(SECRET, message("notification", told("x", {}, {}), at=late), NOON)


def test_the_challenge_goes_back_as_plain_text() -> None:
    body = {
        "challenge": "pogchamp-kappa-360noscope-vohiyo",
        "subscription": {"status": "webhook_callback_verification_pending"},
    }
    answer = handshake(message("webhook_callback_verification", body))
    assert answer is not None
    assert (answer.body, answer.status, answer.content_type) == ("pogchamp-kappa-360noscope-vohiyo", 200, "text/plain")
    assert handshake(message("notification", body)) is None


@pytest.mark.parametrize("body", [None, [], "x", {"challenge": 7}, {}])
def test_a_probe_without_challenge_is_no_probe(body: Any) -> None:
    delivery = message("webhook_callback_verification", body)
    assert handshake(delivery) is None
    with pytest.raises(sdk.Rejected, match="no subscription"):
        entrance(delivery)


def test_a_delivery_is_routed_by_condition_and_by_login() -> None:
    condition = {"broadcaster_user_id": "1337"}
    assert entrance(message("notification", told("stream.online", condition, ONLINE))) == [
        "stream.online:broadcaster_user_id=1337",
        "stream.online:broadcaster_user_id=@cooler_user",
    ]
    raid = {"to_broadcaster_user_id": "1337", "from_broadcaster_user_id": ""}
    event = {"to_broadcaster_user_login": "cooler_user", "from_broadcaster_user_login": "cool_user"}
    assert entrance(message("notification", told("channel.raid", raid, event))) == [
        "channel.raid:to_broadcaster_user_id=1337",
        "channel.raid:to_broadcaster_user_id=@cooler_user",
    ]


def test_a_delivery_of_an_unknown_kind_is_taken_and_does_nothing() -> None:
    assert entrance(message("session_keepalive", told("x", {}, {}))) == []


@pytest.mark.parametrize(
    "body", [{}, {"subscription": 1}, {"subscription": {"type": "x"}}, {"subscription": {"condition": {}}}]
)
def test_a_delivery_that_is_no_message_is_refused(body: Any) -> None:
    with pytest.raises(sdk.Rejected, match="no message of Twitch"):
        entrance(message("notification", body))


def test_a_consent_taken_back_ends_the_subscription_and_the_account() -> None:
    condition = {"broadcaster_user_id": "1337", "moderator_user_id": "1337"}
    body = told("channel.follow", condition, None, "authorization_revoked")
    topic = "channel.follow:broadcaster_user_id=1337&moderator_user_id=1337"
    assert entrance(message("revocation", body)) == [
        sdk.SubscriptionGone(topic, "Twitch: the account's consent was taken back."),
        sdk.AccountGone("1337"),
    ]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("user_removed", "the channel or the account no longer exists"),
        ("notification_failures_exceeded", "too many deliveries failed; Twitch could not reach this platform"),
        ("version_removed", "Twitch has retired this version of the event"),
        ("something_new", "something_new"),
    ],
)
def test_other_revocations_end_the_subscription_alone(status: str, reason: str) -> None:
    body = told("stream.online", {"broadcaster_user_id": "1337"}, None, status)
    gone = sdk.SubscriptionGone("stream.online:broadcaster_user_id=1337", f"Twitch: {reason}.")
    assert entrance(message("revocation", body)) == [gone]


def test_a_notification_cannot_be_replayed_as_a_revocation() -> None:
    with pytest.raises(sdk.Rejected, match="that is enabled"):
        entrance(message("revocation", told("stream.online", {"broadcaster_user_id": "1337"}, ONLINE)))


def test_a_revoked_authorisation_ends_the_account() -> None:
    event = {"client_id": "cid", "user_id": "1337", "user_login": "cooler_user", "user_name": "Cooler_User"}
    assert entrance(message("notification", told("user.authorization.revoke", {"client_id": "cid"}, event))) == [
        sdk.AccountGone("1337")
    ]
    with pytest.raises(sdk.Rejected, match="no user_id"):
        entrance(message("notification", told("user.authorization.revoke", {"client_id": "cid"}, {"user_id": None})))


# Subscriptions

EVERY_ACTION = [
    ("stream_online", {}, "stream.online", "1", {"broadcaster_user_id": "1337"}),
    ("stream_offline", {}, "stream.offline", "1", {"broadcaster_user_id": "1337"}),
    ("channel_updated", {}, "channel.update", "2", {"broadcaster_user_id": "1337"}),
    ("raid", {}, "channel.raid", "1", {"to_broadcaster_user_id": "1337"}),
    ("raid", {"direction": "outgoing"}, "channel.raid", "1", {"from_broadcaster_user_id": "1337"}),
    ("new_follower", {}, "channel.follow", "2", {"broadcaster_user_id": "1337", "moderator_user_id": "1337"}),
    ("new_subscription", {}, "channel.subscribe", "1", {"broadcaster_user_id": "1337"}),
    ("subscription_gift", {}, "channel.subscription.gift", "1", {"broadcaster_user_id": "1337"}),
    ("resubscription", {}, "channel.subscription.message", "1", {"broadcaster_user_id": "1337"}),
    ("cheer", {}, "channel.cheer", "1", {"broadcaster_user_id": "1337"}),
    (
        "reward_redeemed",
        {"reward": "r1"},
        "channel.channel_points_custom_reward_redemption.add",
        "1",
        {"broadcaster_user_id": "1337"},
    ),
]


@pytest.mark.parametrize(("name", "where", "kind", "version", "condition"), EVERY_ACTION)
async def test_every_action_subscribes_to_its_type(
    wired: Wired, name: str, where: dict[str, Any], kind: str, version: str, condition: dict[str, str]
) -> None:
    made = subscription(status="webhook_callback_verification_pending", type=kind, condition=condition)
    ctx, wire = wired({"POST /eventsub/subscriptions": items(made, status=202)})
    node = action(name)
    assert node.subscriber
    assert node.topic_of
    got = await node.subscriber(ctx, node.inputs(**where), HOOK)
    topic = node.topic_of(node.inputs(**where), ACCOUNT)
    assert got == sdk.Subscription("s1", NOON + timedelta(seconds=30), topic)
    transport = {"method": "webhook", "callback": URL, "secret": SECRET}
    asked = [{"type": kind, "version": version, "condition": condition, "transport": transport}]
    revoked = {"type": "user.authorization.revoke", "version": "1", "condition": {"client_id": "cid"}}
    asked.append({**revoked, "transport": transport})
    assert wire.told == [("POST", "/eventsub/subscriptions", body) for body in asked]
    event = {f"{key.removesuffix('_id')}_login": "cooler_user" for key in condition}
    assert topic in entrance(message("notification", told(kind, condition, event)))


async def test_somebody_elses_channel_is_found_by_its_login(wired: Wired) -> None:
    made = subscription(condition={"broadcaster_user_id": "141981764"})
    ctx, wire = wired(
        {"GET /users": items({"id": "141981764"}), "POST /eventsub/subscriptions": items(made, status=202)}
    )
    node = action("stream_online")
    assert node.subscriber
    assert node.topic_of
    where = node.inputs(channel="TwitchDev")
    assert node.topic_of(where, ACCOUNT) == "stream.online:broadcaster_user_id=@twitchdev"
    got = await node.subscriber(ctx, where, HOOK)
    assert got == sdk.Subscription("s1", None, "stream.online:broadcaster_user_id=141981764")
    assert wire.told[0] == ("GET", "/users?login=twitchdev", None)
    assert wire.told[1][2]["condition"] == {"broadcaster_user_id": "141981764"}
    own = node.inputs(channel="cooler_user")
    assert node.topic_of(own, ACCOUNT) == "stream.online:broadcaster_user_id=1337"


async def test_a_login_that_nobody_has_is_told(wired: Wired) -> None:
    ctx, wire = wired({"GET /users": items()})
    node = action("stream_online")
    assert node.subscriber
    with pytest.raises(sdk.Rejected, match="no channel 'nobody'") as caught:
        await node.subscriber(ctx, node.inputs(channel="nobody"), HOOK)
    assert caught.value.code == "NO_CHANNEL"
    assert len(wire.sent) == 1


async def subscribe(ctx: FakeContext, hook: sdk.Hook = HOOK) -> sdk.Subscription:
    node = action("stream_online")
    assert node.subscriber
    made: sdk.Subscription = await node.subscriber(ctx, node.inputs(), hook)
    return made


async def test_a_subscription_that_exists_is_taken_over(wired: Wired) -> None:
    other = subscription(id="s0", type="stream.offline")
    found = [
        items(other, pagination={"cursor": "next"}),
        items(subscription(condition={"broadcaster_user_id": "1337", "extra": ""})),
    ]
    ctx, wire = wired(
        {"POST /eventsub/subscriptions": refusal(409, "already exists"), "GET /eventsub/subscriptions": found}
    )
    assert await subscribe(ctx) == sdk.Subscription("s1", None, "stream.online:broadcaster_user_id=1337")
    assert [call[:2] for call in wire.told] == [
        ("POST", "/eventsub/subscriptions"),
        ("GET", "/eventsub/subscriptions?user_id=1337"),
        ("GET", "/eventsub/subscriptions?user_id=1337&after=next"),
        ("POST", "/eventsub/subscriptions"),
    ]


@pytest.mark.parametrize(
    "dead",
    [
        {"status": "notification_failures_exceeded"},
        {"status": "webhook_callback_verification_failed"},
        {"transport": {"method": "webhook", "callback": "https://old.example/webhooks/twitch"}},
    ],
    ids=["failures", "unverified", "another address"],
)
async def test_a_dead_subscription_makes_room(wired: Wired, dead: dict[str, Any]) -> None:
    posts = [refusal(409, "already exists"), items(subscription(id="s2"), status=202), refusal(409, "already exists")]
    ctx, wire = wired(
        {
            "POST /eventsub/subscriptions": posts,
            "GET /eventsub/subscriptions": items(subscription(**dead)),
            "DELETE /eventsub/subscriptions": Answer(204),
        }
    )
    assert (await subscribe(ctx)).remote_id == "s2"
    assert ("DELETE", "/eventsub/subscriptions?id=s1", None) in wire.told


async def test_pages_are_bounded(wired: Wired) -> None:
    ctx, wire = wired(
        {
            "POST /eventsub/subscriptions": refusal(409, "already exists"),
            "GET /eventsub/subscriptions": items(subscription(type="other"), pagination={"cursor": "again"}),
        }
    )
    with pytest.raises(sdk.Rejected, match="exists already"):
        await subscribe(ctx)
    assert sum(method == "GET" for method, _, _ in wire.told) == 5


async def test_a_verified_subscription_is_kept_for_good(wired: Wired) -> None:
    ctx, wire = wired({"GET /eventsub/subscriptions": items(subscription())})
    again = sdk.Hook("h1", URL, SECRET, remote_id="s1")
    assert await subscribe(ctx, again) == sdk.Subscription("s1", None, "stream.online:broadcaster_user_id=1337")
    assert wire.told == [("GET", "/eventsub/subscriptions?subscription_id=s1", None)]


async def test_a_subscription_that_waits_is_looked_at_again(wired: Wired) -> None:
    waiting = subscription(status="webhook_callback_verification_pending")
    ctx, _ = wired({"GET /eventsub/subscriptions": items(waiting)})
    made = await subscribe(ctx, sdk.Hook("h1", URL, SECRET, remote_id="s1"))
    assert (made.remote_id, made.expires_at) == ("s1", NOON + timedelta(seconds=30))


async def test_an_address_that_twitch_cannot_verify_is_told(wired: Wired) -> None:
    failed = subscription(status="webhook_callback_verification_failed")
    ctx, wire = wired(
        {"GET /eventsub/subscriptions": items(failed), "DELETE /eventsub/subscriptions": refusal(404, "not found")}
    )
    with pytest.raises(sdk.Rejected, match=r"could not verify https://area\.example/webhooks/twitch.*AREA_PUBLIC_URL"):
        await subscribe(ctx, sdk.Hook("h1", URL, SECRET, remote_id="s1"))
    assert [call[0] for call in wire.told] == ["GET", "DELETE"]


async def test_a_lost_subscription_is_made_anew(wired: Wired) -> None:
    ctx, wire = wired(
        {
            "GET /eventsub/subscriptions": items(),
            "POST /eventsub/subscriptions": items(subscription(id="s2"), status=202),
        }
    )
    assert (await subscribe(ctx, sdk.Hook("h1", URL, SECRET, remote_id="s1"))).remote_id == "s2"
    assert [call[0] for call in wire.told] == ["GET", "POST", "POST"]


async def test_the_notice_of_revoked_consent_is_not_worth_failing(wired: Wired) -> None:
    posts = [items(subscription(), status=202), refusal(500, "oops")]
    ctx, _ = wired({"POST /eventsub/subscriptions": posts})
    assert (await subscribe(ctx)).remote_id == "s1"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/webhooks/twitch", "https://area.example:8443/webhooks/twitch"])
async def test_an_address_that_twitch_will_not_take_is_told_before_it_is_asked(wired: Wired, url: str) -> None:
    ctx, wire = wired({})
    with pytest.raises(sdk.Rejected, match=r"only to https addresses on port 443.*AREA_PUBLIC_URL") as caught:
        await subscribe(ctx, sdk.Hook("h1", url, SECRET))
    assert caught.value.code == "PUBLIC_URL_NOT_HTTPS"
    assert wire.sent == []
    standin = {"client_id": "cid", "base_url": "http://127.0.0.1:9/helix"}
    ctx, _ = wired({"POST /eventsub/subscriptions": items(subscription(), status=202)}, settings=standin)
    assert (await subscribe(ctx, sdk.Hook("h1", url, SECRET))).remote_id == "s1"


async def test_a_consent_that_is_gone_means_reconnect(wired: Wired) -> None:
    ctx, _ = wired({"POST /eventsub/subscriptions": refusal(403, "subscription missing proper authorization")})
    with pytest.raises(sdk.Reconnect, match=r"Connect the account again\..*missing proper authorization"):
        await subscribe(ctx)


async def test_too_many_subscriptions_are_not_worth_waiting_for(wired: Wired) -> None:
    ctx, _ = wired({"POST /eventsub/subscriptions": refusal(429, "cost exceeded", **{"Ratelimit-Remaining": "790"})})
    with pytest.raises(sdk.Rejected, match=r"no more subscriptions.*cost exceeded"):
        await subscribe(ctx)


@pytest.mark.parametrize(
    ("found", "stands"),
    [
        ([subscription()], True),
        ([subscription(status="webhook_callback_verification_pending")], False),
        ([subscription(status="authorization_revoked")], False),
        ([subscription(condition={"broadcaster_user_id": "666"})], False),
        ([subscription(id="s9")], False),
        ([], False),
    ],
    ids=["enabled", "pending", "revoked", "another channel", "another id", "gone"],
)
async def test_whether_a_subscription_stands(wired: Wired, found: list[dict[str, Any]], stands: bool) -> None:
    ctx, wire = wired({"GET /eventsub/subscriptions": items(*found)})
    node = action("stream_online")
    assert node.still_there
    assert await node.still_there(ctx, node.inputs(), "s1") is stands
    assert wire.told == [("GET", "/eventsub/subscriptions?subscription_id=s1", None)]


@pytest.mark.parametrize("answer", [Answer(204), refusal(404, "not found")], ids=["removed", "gone already"])
async def test_a_subscription_is_ended(wired: Wired, answer: Answer) -> None:
    ctx, wire = wired({"DELETE /eventsub/subscriptions": answer})
    node = action("cheer")
    assert node.unsubscriber
    await node.unsubscriber(ctx, node.inputs(), "s1")
    assert wire.told == [("DELETE", "/eventsub/subscriptions?id=s1", None)]


async def test_a_subscription_that_cannot_be_ended_now_is_told(wired: Wired) -> None:
    ctx, _ = wired({"DELETE /eventsub/subscriptions": Answer(503)})
    node = action("cheer")
    assert node.unsubscriber
    with pytest.raises(sdk.Unavailable):
        await node.unsubscriber(ctx, node.inputs(), "s1")


# Streams


def test_a_stream_goes_online() -> None:
    assert fires("stream_online", ONLINE) == {
        **OUTPUT,
        "id": "9001",
        "type": "live",
        "started_at": "2026-11-23T10:11:12.123456Z",
        "title": "",
        "game": "",
        "game_id": "",
        "tags": [],
        "language": "",
        "thumbnail_url": "https://static-cdn.jtvnw.net/previews-ttv/live_user_cooler_user-1280x720.jpg",
    }


async def enriched(ctx: FakeContext) -> dict[str, Any]:
    node = action("stream_online")
    assert node.enricher
    event = node.fn(node.inputs(), message("notification", told("stream.online", {}, ONLINE)))
    fuller: sdk.Outputs = await node.enricher(ctx, event)
    return fuller.model_dump(mode="json")


STREAM = {
    "id": "9001",
    "title": "Día 3: ロボット 🤖 <b>& more</b>",
    "game_name": "Science & Technology",
    "game_id": "509670",
    "tags": ["English", "ロボット"],
    "language": "es",
    "thumbnail_url": "https://cdn.test/live-{width}x{height}.jpg",
}


async def test_title_and_game_are_read_of_the_stream(wired: Wired) -> None:
    ctx, wire = wired({"GET /streams": items({**STREAM, "id": "older", "title": "old"}, STREAM)})
    got = await enriched(ctx)
    assert (got["title"], got["game"], got["game_id"]) == (STREAM["title"], "Science & Technology", "509670")
    assert (got["tags"], got["language"]) == (["English", "ロボット"], "es")
    assert got["thumbnail_url"] == "https://cdn.test/live-1280x720.jpg"
    assert (got["id"], got["broadcaster_login"]) == ("9001", "cooler_user")
    assert wire.told == [("GET", "/streams?user_id=1337", None)]


@pytest.mark.parametrize("streams", [[], [{**STREAM, "id": "8999"}]], ids=["not listed yet", "the last one still"])
async def test_title_and_game_are_read_of_the_channel_meanwhile(wired: Wired, streams: list[dict[str, Any]]) -> None:
    channel = {"title": "New title", "game_name": "Tetris", "game_id": "7", "tags": [], "broadcaster_language": "en"}
    ctx, wire = wired({"GET /streams": items(*streams), "GET /channels": items(channel)})
    got = await enriched(ctx)
    assert (got["title"], got["game"], got["game_id"], got["language"]) == ("New title", "Tetris", "7", "en")
    assert got["thumbnail_url"].endswith("live_user_cooler_user-1280x720.jpg")
    assert wire.told[1] == ("GET", "/channels?broadcaster_id=1337", None)


async def test_a_channel_that_says_nothing_leaves_title_and_game_empty(wired: Wired) -> None:
    ctx, _ = wired({"GET /streams": items(), "GET /channels": items({"title": None, "tags": None})})
    got = await enriched(ctx)
    assert (got["title"], got["game"], got["tags"]) == ("", "", [])


def test_a_stream_goes_offline() -> None:
    assert fires("stream_offline", CHANNEL) == {**OUTPUT, "ended_at": "2026-03-01T12:00:00.123456Z"}


def test_a_channel_is_updated() -> None:
    event = {
        **CHANNEL,
        "title": "Best Stream Ever ✨",
        "language": "en",
        "category_id": "12453",
        "category_name": "Grand Theft Auto",
        "content_classification_labels": ["MatureGame"],
    }
    assert fires("channel_updated", event) == {
        **OUTPUT,
        "title": "Best Stream Ever ✨",
        "game": "Grand Theft Auto",
        "game_id": "12453",
        "language": "en",
        "content_labels": ["MatureGame"],
    }


def test_a_raid() -> None:
    sides = {
        f"{side}_broadcaster_user_{part}": value
        for side, values in {
            "from": ("1234", "cool_user", "Cool_User"),
            "to": ("1337", "cooler_user", "Cooler_User"),
        }.items()
        for part, value in zip(("id", "login", "name"), values, strict=True)
    }
    assert fires("raid", {**sides, "viewers": 9001}) == {
        "from_id": "1234",
        "from_login": "cool_user",
        "from_name": "Cool_User",
        "from_url": "https://www.twitch.tv/cool_user",
        "to_id": "1337",
        "to_login": "cooler_user",
        "to_name": "Cooler_User",
        "to_url": "https://www.twitch.tv/cooler_user",
        "viewers": 9001,
    }


# Viewers


def test_a_follower() -> None:
    event = {**CHANNEL, **VIEWER, "followed_at": "2026-11-23T18:16:11.17106713Z"}
    assert fires("new_follower", event) == {**OUTPUT, **VIEWER, "followed_at": "2026-11-23T18:16:11.171067Z"}


def test_a_subscription() -> None:
    event = {**CHANNEL, **VIEWER, "tier": "3000", "is_gift": True}
    assert fires("new_subscription", event) == {
        **OUTPUT,
        **VIEWER,
        "tier": "3000",
        "tier_name": "Tier 3",
        "is_gift": True,
    }


def test_gifts_of_somebody_who_stays_anonymous() -> None:
    nobody = {"user_id": None, "user_login": None, "user_name": None}
    event = {**CHANNEL, **nobody, "tier": "1000", "total": 2, "cumulative_total": None, "is_anonymous": True}
    assert fires("subscription_gift", event) == {
        **OUTPUT,
        **nobody,
        "user_name": "Anonymous",
        "tier": "1000",
        "tier_name": "Tier 1",
        "total": 2,
        "cumulative_total": None,
        "is_anonymous": True,
    }


def test_a_resubscription() -> None:
    text = {"text": "Love the stream! FevziGG 💜", "emotes": [{"begin": 23, "end": 30, "id": "302976485"}]}
    event = {**CHANNEL, **VIEWER, "tier": "2000", "message": text}
    event |= {"cumulative_months": 15, "streak_months": None, "duration_months": 6}
    assert fires("resubscription", event) == {
        **OUTPUT,
        **VIEWER,
        "tier": "2000",
        "tier_name": "Tier 2",
        "message": "Love the stream! FevziGG 💜",
        "cumulative_months": 15,
        "streak_months": None,
        "duration_months": 6,
    }


def test_an_anonymous_cheer() -> None:
    nobody = {"user_id": None, "user_login": None, "user_name": None}
    event = {**CHANNEL, **nobody, "is_anonymous": True, "message": "pogchamp", "bits": 1000}
    got = fires("cheer", event)
    assert got == {
        **OUTPUT,
        **nobody,
        "user_name": "Anonymous",
        "bits": 1000,
        "message": "pogchamp",
        "is_anonymous": True,
    }


REDEMPTION = {
    **CHANNEL,
    **VIEWER,
    "id": "17fa2df1",
    "user_input": "pogchamp",
    "status": "unfulfilled",
    "reward": {"id": "r1", "title": "Hydrate 💧", "cost": 100, "prompt": "reward prompt"},
    "redeemed_at": "2026-07-15T17:16:03.17106713Z",
}


def test_a_reward_redeemed() -> None:
    assert fires("reward_redeemed", REDEMPTION) == {
        **OUTPUT,
        **VIEWER,
        "id": "17fa2df1",
        "reward_id": "r1",
        "reward_title": "Hydrate 💧",
        "reward_cost": 100,
        "reward_prompt": "reward prompt",
        "user_input": "pogchamp",
        "status": "unfulfilled",
        "redeemed_at": "2026-07-15T17:16:03.171067Z",
    }
    assert fires("reward_redeemed", REDEMPTION, reward="r1") is not None
    assert fires("reward_redeemed", REDEMPTION, reward="r2") is None


@pytest.mark.parametrize(
    ("name", "event", "says"),
    [
        ("stream_online", {**ONLINE, "started_at": "soon"}, "started_at cannot be read"),
        ("stream_online", {}, "broadcaster_id"),
        ("cheer", {**CHANNEL, "bits": "many"}, "bits cannot be read"),
        ("reward_redeemed", {**REDEMPTION, "reward": "r1"}, "reward_cost, reward_id, reward_title"),
        ("resubscription", {**CHANNEL, **VIEWER, "tier": 1, "message": "x"}, "cumulative_months, tier"),
    ],
)
def test_an_event_that_is_not_as_documented_is_refused(name: str, event: dict[str, Any], says: str) -> None:
    with pytest.raises(sdk.Rejected, match=f"not as Twitch documents it: .*{says}"):
        fires(name, event)
    node = action(name)
    with pytest.raises(sdk.Rejected, match="no event"):
        node.fn(node.inputs(), message("notification", {"subscription": {}}))


def test_every_delivery_is_known_by_its_message_id() -> None:
    assert {node.dedupe for node in service.actions.values()} == {"Twitch-Eventsub-Message-Id"}


# Reactions


async def test_a_chat_message_is_sent(wired: Wired) -> None:
    ctx, wire = wired({"POST /chat/messages": items({"message_id": "abc-123", "is_sent": True})})
    got = await react(ctx, "send_chat_message", message="Live!\n<b>@everyone</b> Ünïcödé 🎮")
    line = "Live! <b>@everyone</b> Ünïcödé 🎮"
    assert got == {"message_id": "abc-123", "message": line, "broadcaster_id": "1337"}
    body = {"broadcaster_id": "1337", "sender_id": "1337", "message": line}
    assert wire.told == [("POST", "/chat/messages", body)]


async def test_a_reply_in_somebody_elses_chat(wired: Wired) -> None:
    ctx, wire = wired(
        {"GET /users": items({"id": "42"}), "POST /chat/messages": items({"message_id": "m", "is_sent": True})}
    )
    await react(ctx, "send_chat_message", message="hi", channel="@TwitchDev", reply_to="abc-123")
    body = {"broadcaster_id": "42", "sender_id": "1337", "message": "hi", "reply_parent_message_id": "abc-123"}
    assert wire.told == [("GET", "/users?login=twitchdev", None), ("POST", "/chat/messages", body)]


@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        ({"code": "msg_duplicate", "message": "Your message is identical to the last."}, "identical to the last"),
        ({"code": "automod_held"}, "automod_held"),
        (None, "no reason"),
    ],
)
async def test_a_message_that_was_not_sent_is_a_failure(wired: Wired, dropped: Any, says: str) -> None:
    answer = items({"message_id": "", "is_sent": False, "drop_reason": dropped})
    ctx, _ = wired({"POST /chat/messages": answer})
    with pytest.raises(sdk.Rejected, match=f"did not send it: .*{says}") as caught:
        await react(ctx, "send_chat_message", message="hi")
    assert caught.value.code == "NOT_SENT"


@pytest.mark.parametrize("name", ["send_chat_message", "send_announcement"])
@pytest.mark.parametrize("line", ["", " \n\t ", "x" * 501], ids=["empty", "blank", "501"])
def test_a_line_of_chat_has_1_to_500_characters(name: str, line: str) -> None:
    with pytest.raises(ValueError, match="message"):
        reaction(name).inputs(message=line)
    assert len(reaction(name).inputs(message="é" * 500).message) == 500


async def test_an_empty_answer_leaves_it_open_what_happened(wired: Wired) -> None:
    ctx, _ = wired({"POST /chat/messages": items()})
    with pytest.raises(sdk.Unknown, match="did not say what became of it"):
        await react(ctx, "send_chat_message", message="hi")


async def test_an_announcement_is_sent(wired: Wired) -> None:
    ctx, wire = wired({"POST /chat/announcements": Answer(204)})
    got = await react(ctx, "send_announcement", message="Raid incoming 🚀", color="purple")
    assert got == {"message": "Raid incoming 🚀", "broadcaster_id": "1337"}
    asked = "/chat/announcements?broadcaster_id=1337&moderator_id=1337"
    assert wire.told == [("POST", asked, {"message": "Raid incoming 🚀", "color": "purple"})]


async def test_a_clip_is_made(wired: Wired) -> None:
    made = {"id": "FiveWords", "edit_url": "https://clips.twitch.tv/FiveWords/edit"}
    ctx, wire = wired({"POST /clips": items(made, status=202)})
    got = await react(ctx, "create_clip", title="¡Qué momento!", duration=12.5)
    assert got == {**made, "url": "https://clips.twitch.tv/FiveWords"}
    assert dict(wire.sent[0].url.params) == {"broadcaster_id": "1337", "title": "¡Qué momento!", "duration": "12.5"}
    await react(ctx, "create_clip")
    assert dict(wire.sent[1].url.params) == {"broadcaster_id": "1337"}
    with pytest.raises(ValueError, match="duration"):
        reaction("create_clip").inputs(duration=61)


async def test_title_game_and_tags_are_set(wired: Wired) -> None:
    game = {"id": "509670", "name": "Science & Technology"}
    ctx, wire = wired({"GET /games": items(game), "PATCH /channels": Answer(204)})
    got = await react(ctx, "update_channel", title="Día 3 🤖", game="Science & Technology", tags=["ロボット", "Día3"])
    assert got == {
        "broadcaster_id": "1337",
        "title": "Día 3 🤖",
        "game": "Science & Technology",
        "game_id": "509670",
        "tags": ["ロボット", "Día3"],
    }
    assert wire.told == [
        ("GET", "/games?name=Science+%26+Technology", None),
        (
            "PATCH",
            "/channels?broadcaster_id=1337",
            {"title": "Día 3 🤖", "game_id": "509670", "tags": ["ロボット", "Día3"]},
        ),
    ]


async def test_what_is_not_given_stays_as_it_is(wired: Wired) -> None:
    ctx, wire = wired({"PATCH /channels": Answer(204)})
    await react(ctx, "update_channel", tags=[])
    await react(ctx, "update_channel", title="New")
    assert [call[2] for call in wire.told] == [{"tags": []}, {"title": "New"}]
    with pytest.raises(sdk.Rejected, match="nothing to set") as caught:
        await react(ctx, "update_channel")
    assert caught.value.code == "NOTHING_TO_SET"
    assert len(wire.sent) == 2


async def test_a_game_that_twitch_does_not_know_sets_nothing(wired: Wired) -> None:
    ctx, wire = wired({"GET /games": items()})
    with pytest.raises(sdk.Rejected, match="no game or category 'Tetriss'") as caught:
        await react(ctx, "update_channel", title="New", game="Tetriss")
    assert caught.value.code == "NO_GAME"
    assert [call[0] for call in wire.told] == ["GET"]


@pytest.mark.parametrize("tags", [["two words"], [""], ["x" * 26], ["c++"], ["ok", "#no"], ["t"] * 11])
def test_tags_that_twitch_refuses_are_refused_when_saved(tags: list[str]) -> None:
    with pytest.raises(ValueError, match="tag"):
        reaction("update_channel").inputs(tags=tags)


async def test_a_marker_is_set_and_its_id_may_be_a_number(wired: Wired) -> None:
    made = {"id": 123, "created_at": "2018-08-20T20:10:03Z", "position_seconds": 244}
    ctx, wire = wired({"POST /streams/markers": items(made)})
    got = await react(ctx, "create_marker", description="Raid by クール")
    assert got == {
        "id": "123",
        "created_at": "2018-08-20T20:10:03Z",
        "position_seconds": 244,
        "description": "Raid by クール",
    }
    assert wire.told == [("POST", "/streams/markers", {"user_id": "1337", "description": "Raid by クール"})]
    with pytest.raises(ValueError, match="description"):
        reaction("create_marker").inputs(description="x" * 141)


def test_only_setting_the_channel_may_be_repeated() -> None:
    repeatable = {key for key, node in service.reactions.items() if node.is_idempotent(node.inputs.model_construct())}
    assert repeatable == {"twitch.update_channel"}
