"""EventSub: who signed it, what it is about, and subscriptions with all that becomes of them."""

from datetime import timedelta
from typing import Any

import pytest

from area.nodes import sdk
from area.nodes.twitch import eventsub
from tests.nodes.conftest import NOON, FakeContext, MakeContext
from tests.nodes.twitch_wire import (
    ACCOUNT,
    HOOK,
    ONLINE,
    SECRET,
    URL,
    Answer,
    action,
    entrance,
    handshake,
    items,
    message,
    refusal,
    subscription,
    told,
    wired,
)

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
    context: MakeContext, name: str, where: dict[str, Any], kind: str, version: str, condition: dict[str, str]
) -> None:
    made = subscription(status="webhook_callback_verification_pending", type=kind, condition=condition)
    ctx, wire = wired(context, {"POST /eventsub/subscriptions": items(made, status=202)})
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


async def test_somebody_elses_channel_is_found_by_its_login(context: MakeContext) -> None:
    made = subscription(condition={"broadcaster_user_id": "141981764"})
    ctx, wire = wired(
        context, {"GET /users": items({"id": "141981764"}), "POST /eventsub/subscriptions": items(made, status=202)}
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


async def test_a_login_that_nobody_has_is_told(context: MakeContext) -> None:
    ctx, wire = wired(context, {"GET /users": items()})
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


async def test_a_subscription_that_exists_is_taken_over(context: MakeContext) -> None:
    other = subscription(id="s0", type="stream.offline")
    found = [
        items(other, pagination={"cursor": "next"}),
        items(subscription(condition={"broadcaster_user_id": "1337", "extra": ""})),
    ]
    ctx, wire = wired(
        context, {"POST /eventsub/subscriptions": refusal(409, "already exists"), "GET /eventsub/subscriptions": found}
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
async def test_a_dead_subscription_makes_room(context: MakeContext, dead: dict[str, Any]) -> None:
    posts = [refusal(409, "already exists"), items(subscription(id="s2"), status=202), refusal(409, "already exists")]
    ctx, wire = wired(
        context,
        {
            "POST /eventsub/subscriptions": posts,
            "GET /eventsub/subscriptions": items(subscription(**dead)),
            "DELETE /eventsub/subscriptions": Answer(204),
        },
    )
    assert (await subscribe(ctx)).remote_id == "s2"
    assert ("DELETE", "/eventsub/subscriptions?id=s1", None) in wire.told


async def test_pages_are_bounded(context: MakeContext) -> None:
    ctx, wire = wired(
        context,
        {
            "POST /eventsub/subscriptions": refusal(409, "already exists"),
            "GET /eventsub/subscriptions": items(subscription(type="other"), pagination={"cursor": "again"}),
        },
    )
    with pytest.raises(sdk.Rejected, match="exists already"):
        await subscribe(ctx)
    assert sum(method == "GET" for method, _, _ in wire.told) == 5


async def test_a_verified_subscription_is_kept_for_good(context: MakeContext) -> None:
    ctx, wire = wired(context, {"GET /eventsub/subscriptions": items(subscription())})
    again = sdk.Hook("h1", URL, SECRET, remote_id="s1")
    assert await subscribe(ctx, again) == sdk.Subscription("s1", None, "stream.online:broadcaster_user_id=1337")
    assert wire.told == [("GET", "/eventsub/subscriptions?subscription_id=s1", None)]


async def test_a_subscription_that_waits_is_looked_at_again(context: MakeContext) -> None:
    waiting = subscription(status="webhook_callback_verification_pending")
    ctx, _ = wired(context, {"GET /eventsub/subscriptions": items(waiting)})
    made = await subscribe(ctx, sdk.Hook("h1", URL, SECRET, remote_id="s1"))
    assert (made.remote_id, made.expires_at) == ("s1", NOON + timedelta(seconds=30))


async def test_an_address_that_twitch_cannot_verify_is_told(context: MakeContext) -> None:
    failed = subscription(status="webhook_callback_verification_failed")
    ctx, wire = wired(
        context,
        {"GET /eventsub/subscriptions": items(failed), "DELETE /eventsub/subscriptions": refusal(404, "not found")},
    )
    with pytest.raises(sdk.Rejected, match=r"could not verify https://area\.example/webhooks/twitch.*AREA_PUBLIC_URL"):
        await subscribe(ctx, sdk.Hook("h1", URL, SECRET, remote_id="s1"))
    assert [call[0] for call in wire.told] == ["GET", "DELETE"]


async def test_a_lost_subscription_is_made_anew(context: MakeContext) -> None:
    ctx, wire = wired(
        context,
        {
            "GET /eventsub/subscriptions": items(),
            "POST /eventsub/subscriptions": items(subscription(id="s2"), status=202),
        },
    )
    assert (await subscribe(ctx, sdk.Hook("h1", URL, SECRET, remote_id="s1"))).remote_id == "s2"
    assert [call[0] for call in wire.told] == ["GET", "POST", "POST"]


async def test_the_notice_of_revoked_consent_is_not_worth_failing(context: MakeContext) -> None:
    posts = [items(subscription(), status=202), refusal(500, "oops")]
    ctx, _ = wired(context, {"POST /eventsub/subscriptions": posts})
    assert (await subscribe(ctx)).remote_id == "s1"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/webhooks/twitch", "https://area.example:8443/webhooks/twitch"])
async def test_an_address_that_twitch_will_not_take_is_told_before_it_is_asked(context: MakeContext, url: str) -> None:
    ctx, wire = wired(context, {})
    with pytest.raises(sdk.Rejected, match=r"only to https addresses on port 443.*AREA_PUBLIC_URL") as caught:
        await subscribe(ctx, sdk.Hook("h1", url, SECRET))
    assert caught.value.code == "PUBLIC_URL_NOT_HTTPS"
    assert wire.sent == []
    standin = {"client_id": "cid", "base_url": "http://127.0.0.1:9/helix"}
    ctx, _ = wired(context, {"POST /eventsub/subscriptions": items(subscription(), status=202)}, settings=standin)
    assert (await subscribe(ctx, sdk.Hook("h1", url, SECRET))).remote_id == "s1"


async def test_a_consent_that_is_lacking_is_told(context: MakeContext) -> None:
    ctx, _ = wired(context, {"POST /eventsub/subscriptions": refusal(403, "subscription missing proper authorization")})
    with pytest.raises(sdk.Rejected, match=r"connect it again, and allow them\..*missing proper authorization"):
        await subscribe(ctx)


async def test_too_many_subscriptions_are_not_worth_waiting_for(context: MakeContext) -> None:
    ctx, _ = wired(
        context, {"POST /eventsub/subscriptions": refusal(429, "cost exceeded", **{"Ratelimit-Remaining": "790"})}
    )
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
async def test_whether_a_subscription_stands(context: MakeContext, found: list[dict[str, Any]], stands: bool) -> None:
    ctx, wire = wired(context, {"GET /eventsub/subscriptions": items(*found)})
    node = action("stream_online")
    assert node.still_there
    assert await node.still_there(ctx, node.inputs(), "s1") is stands
    assert wire.told == [("GET", "/eventsub/subscriptions?subscription_id=s1", None)]


@pytest.mark.parametrize("answer", [Answer(204), refusal(404, "not found")], ids=["removed", "gone already"])
async def test_a_subscription_is_ended(context: MakeContext, answer: Answer) -> None:
    ctx, wire = wired(context, {"DELETE /eventsub/subscriptions": answer})
    node = action("cheer")
    assert node.unsubscriber
    await node.unsubscriber(ctx, node.inputs(), "s1")
    assert wire.told == [("DELETE", "/eventsub/subscriptions?id=s1", None)]


async def test_a_subscription_that_cannot_be_ended_now_is_told(context: MakeContext) -> None:
    ctx, _ = wired(context, {"DELETE /eventsub/subscriptions": Answer(503)})
    node = action("cheer")
    assert node.unsubscriber
    with pytest.raises(sdk.Unavailable):
        await node.unsubscriber(ctx, node.inputs(), "s1")
