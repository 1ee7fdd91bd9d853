"""Twitch by its specification: what the nodes send, what the stand-in answers, and the samples of what it tells."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from area.nodes import sdk
from area.nodes.twitch import service
from area.nodes.twitch.provider import authorise
from tests.contract.documents import SHARED, SPECS, ContractBroken
from tests.contract.plugin import Contracts
from tests.nodes.conftest import FakeContext
from tests.providers.base import StandIn, serving
from tests.providers.calls import Call
from tests.providers.oauth import User
from tests.providers.twitch import Twitch, person, who

SECRET = "f" * 64
ORIGIN = "https://area.example"
SCOPES = sorted({scope for node in [*service.actions.values(), *service.reactions.values()] for scope in node.scopes})
SAMPLES = SPECS / "samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the samples are not there: {SHARED} is missing")


class Listener(StandIn):
    """What stands behind our address: it verifies, answers probes, and keeps what came."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.heard: list[sdk.WebhookDelivery] = []
        self.route("POST", "/webhooks/twitch", self._take, auth="none")

    async def _take(self, call: Call) -> Any:
        entrance = service.entrance
        assert entrance
        assert entrance.handshake
        delivery = sdk.WebhookDelivery(call.method, call.headers, {}, call.body, call.json, "application/json")
        entrance.verify.check(SECRET, delivery, datetime.now(UTC))
        probe = entrance.handshake(delivery)
        if probe:
            return Response(probe.body, probe.status, media_type=probe.content_type)
        self.heard.append(delivery)
        return 200, {}


@dataclass
class Wired(FakeContext):
    """A context whose clients are authorised: one by an account's token, one by the app's."""

    app: httpx.AsyncClient | None = None

    @property
    def app_http(self) -> httpx.AsyncClient:
        assert self.app
        return self.app


@dataclass
class World:
    """The stand-in, what listens to it, and a context for an account of ada's."""

    twitch: Twitch
    listener: Listener
    ctx: Wired
    ada: User
    hook: sdk.Hook
    clients: AsyncExitStack

    async def client(self, token: str) -> httpx.AsyncClient:
        """A client that sends this token, and maps answers to errors."""
        settings = settings_of(self.twitch)

        def put(request: httpx.Request) -> httpx.Request:
            authorise(request, token, settings)
            return request

        hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
        made = httpx.AsyncClient(base_url=settings["base_url"], auth=put, event_hooks=hooks)
        return await self.clients.enter_async_context(made)


def settings_of(twitch: Twitch) -> dict[str, str]:
    return {name.removeprefix("AREA_TWITCH_").lower(): value for name, value in twitch.environment().items()}


@asynccontextmanager
async def opened() -> AsyncIterator[World]:
    twitch, listener = Twitch(), Listener()
    ada = twitch.users[0]
    twitch.rewards[ada.id] = [{"id": "r1", "title": "Hydrate! 💧", "cost": 100}]
    account = sdk.Account("a1", ada.id, ada.name, frozenset({"user:read:follows"}), {"login": ada.login})
    async with serving(twitch, listener), AsyncExitStack() as clients:
        twitch.addresses[ORIGIN] = listener.url
        ctx = Wired(httpx.AsyncClient(), settings=settings_of(twitch), connected=account, moment=datetime.now(UTC))
        world = World(twitch, listener, ctx, ada, sdk.Hook("h1", f"{ORIGIN}/webhooks/twitch", SECRET), clients)
        await ctx.http.aclose()
        ctx.http = await world.client(twitch.auth.issue(ada, *SCOPES, "user:read:follows")["access_token"])
        ctx.app = await world.client(twitch.auth.issue(None)["access_token"])
        yield world


async def test_every_action_subscribes_and_ends_as_the_reference_says(contract: Contracts) -> None:
    reference = contract("twitch")
    async with opened() as world:
        for node in service.actions.values():
            where = node.inputs()
            assert node.subscriber
            assert node.unsubscriber
            assert node.still_there
            made = await node.subscriber(world.ctx, where, world.hook)
            await world.twitch.verified()
            assert await node.still_there(world.ctx, where, made.remote_id)
            again = await node.subscriber(world.ctx, where, world.hook)
            assert (again.remote_id, again.topic, again.expires_at) == (made.remote_id, made.topic, None)
            await node.unsubscriber(world.ctx, where, made.remote_id)
            await node.unsubscriber(world.ctx, where, made.remote_id)
            assert not await node.still_there(world.ctx, where, made.remote_id)
        left = [one["type"] for one in world.twitch.subscriptions.values()]
        assert left == ["user.authorization.revoke"]
        reference.audit(world.twitch)
        assert reference.checked > 7 * len(service.actions)


async def test_a_login_an_outgoing_raid_and_the_choices_are_as_the_reference_says(contract: Contracts) -> None:
    reference = contract("twitch")
    async with opened() as world:
        raid, online = service.actions["twitch.raid"], service.actions["twitch.stream_online"]
        assert raid.subscriber
        assert online.enricher
        await raid.subscriber(world.ctx, raid.inputs(channel="grace", direction="outgoing"), world.hook)
        for node in (online, service.actions["twitch.reward_redeemed"]):
            for field in node.inputs.model_fields.values():
                choices = next(mark for mark in field.metadata if isinstance(mark, sdk.Choices))
                assert len(await choices.fn(world.ctx, {})) in (1, 2)
        reference.audit(world.twitch)


async def test_every_reaction_is_as_the_reference_says(contract: Contracts) -> None:
    reference = contract("twitch")
    inputs: dict[str, dict[str, Any]] = {
        "send_chat_message": {"message": "¡Hola! 🎮", "channel": "grace", "reply_to": "abc-123"},
        "send_announcement": {"message": "x" * 500, "color": "orange"},
        "create_clip": {"title": "¡Qué momento!", "duration": 12.5},
        "update_channel": {"title": "t" * 140, "game": "Fortnite", "tags": ["English", "ロボット"]},
        "create_marker": {"description": "d" * 140},
    }
    assert {f"twitch.{name}" for name in inputs} == set(service.reactions)
    async with opened() as world:
        await world.twitch.go_live(world.ada)
        for name, given in inputs.items():
            node = service.reactions[f"twitch.{name}"]
            output = await node.fn(world.ctx, node.inputs(**given))
            if node.reconciler:
                world.ctx.tried_since = world.ctx.moment
                found = await node.reconciler(world.ctx, node.inputs(**given))
                assert found.id == output.id
        assert service.identifier
        assert service.validator
        assert (await service.identifier(world.ctx)).external_id == world.ada.id
        await service.validator(world.ctx)
        reference.audit(world.twitch)
        assert len(world.twitch.asked("GET", "/oauth2/validate")) == 1
        assert (world.twitch.chat[0]["message"], len(world.twitch.announcements)) == ("¡Hola! 🎮", 1)
        assert world.twitch.channels[world.ada.id]["game_name"] == "Fortnite"


@pytest.mark.parametrize("listed", [True, False])
async def test_a_stream_is_told_verified_and_enriched(contract: Contracts, listed: bool) -> None:
    reference = contract("twitch")
    async with opened() as world:
        node = service.actions["twitch.stream_online"]
        assert node.subscriber
        assert node.enricher
        assert service.entrance
        made = await node.subscriber(world.ctx, node.inputs(), world.hook)
        await world.twitch.verified()
        await world.twitch.go_live(world.ada, "Día 3 🤖", "509670", listed=listed)
        (delivery,) = world.listener.heard
        assert made.topic in service.entrance.route(delivery)
        event = await node.enricher(world.ctx, node.fn(node.inputs(), delivery))
        assert (event.title, event.game, event.game_id) == ("Día 3 🤖", "Science & Technology", "509670")
        assert event.thumbnail_url.endswith("live_user_ada-1280x720.jpg")
        reference.audit(world.twitch)


async def test_the_standin_refuses_as_twitch_does(contract: Contracts) -> None:
    reference = contract("twitch")
    async with opened() as world:
        clip, message = service.reactions["twitch.create_clip"], service.reactions["twitch.send_chat_message"]
        with pytest.raises(sdk.Rejected, match="not live"):
            await clip.fn(world.ctx, clip.inputs())
        world.twitch.dropped = {"code": "msg_duplicate", "message": "identical to the last one"}
        with pytest.raises(sdk.Rejected, match="identical to the last one"):
            await message.fn(world.ctx, message.inputs(message="hi"))
        reference.audit(world.twitch)
        world.twitch.auth.withdraw(world.ada)
        assert service.validator
        with pytest.raises(sdk.Reconnect, match="invalid access token"):
            await service.validator(world.ctx)


async def test_a_scope_that_was_not_given_is_told(contract: Contracts) -> None:
    async with opened() as world:
        less = world.twitch.auth.issue(world.ada, "bits:read")["access_token"]
        world.ctx.http = await world.client(less)
        node = service.reactions["twitch.create_clip"]
        with pytest.raises(sdk.Rejected, match="Missing scope: clips:edit"):
            await node.fn(world.ctx, node.inputs())
        contract("twitch").audit(world.twitch)


def test_the_audit_bites(contract: Contracts) -> None:
    request = httpx.Request(
        "POST",
        "https://api.twitch.tv/helix/chat/messages",
        headers={"Authorization": "Bearer t", "Client-Id": "c"},
        json={"broadcaster_id": "1", "sender_id": "1", "message": "x" * 501},
    )
    with pytest.raises(ContractBroken, match="too long"):
        contract("twitch").request(request)


# Samples

NAMES = {
    "stream.online": "stream_online",
    "stream.offline": "stream_offline",
    "channel.update": "channel_updated",
    "channel.follow": "new_follower",
    "channel.subscribe": "new_subscription",
    "channel.cheer": "cheer",
    "channel.raid": "raid",
    "channel.channel_points_custom_reward_redemption.add": "reward_redeemed",
}


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


@needs_samples
def test_every_sample_of_an_event_is_routed_and_read() -> None:
    assert service.entrance
    read, own = set(), sdk.Account("a1", "1337", "Cooler_User")
    for body in (one for one in sample("twitch_eventsub.json").values() if isinstance(one, dict) and "event" in one):
        kind = body["subscription"]["type"]
        if kind == "user.authorization.revoke":
            continue
        node = service.actions[f"twitch.{NAMES[kind]}"]
        headers = {"twitch-eventsub-message-type": "notification"}
        delivery = sdk.WebhookDelivery("POST", headers, {}, b"", body, "application/json")
        assert node.topic_of
        assert node.topic_of(node.inputs(), own) in service.entrance.route(delivery)
        output = node.fn(node.inputs(), delivery).model_dump(mode="json")
        assert set(output) == set(node.outputs.model_fields)
        read.add(kind)
    assert read == set(NAMES)


@needs_samples
def test_the_sample_of_a_revocation_ends_its_subscription() -> None:
    assert service.entrance
    found = [one for one in sample("twitch_eventsub.json").values() if isinstance(one, dict) and "subscription" in one]
    ended = [
        one
        for one in found
        if one["subscription"]["status"] not in ("enabled", "webhook_callback_verification_pending")
    ]
    assert ended
    for body in ended:
        headers = {"twitch-eventsub-message-type": "revocation"}
        routed = service.entrance.route(sdk.WebhookDelivery("POST", headers, {}, b"", body, "application/json"))
        assert isinstance(routed[0], sdk.SubscriptionGone)


@needs_samples
def test_the_samples_of_tokens_are_read() -> None:
    assert service.auth
    grant = service.auth.read_grant(sample("oauth_token_responses.json")["twitch"])
    assert grant.scopes == frozenset({"channel:moderate", "chat:edit"})
    assert (grant.expires_in, grant.refresh_token is None) == (14124.0, False)


@needs_samples
def test_the_sample_of_a_full_bucket_means_patience() -> None:
    told = sample("rate_limit_responses.json")["twitch"]
    reset = str(int((datetime.now(UTC) + timedelta(seconds=30)).timestamp()))
    headers = {**told["headers"], "Ratelimit-Reset": reset}
    request = httpx.Request("GET", "https://api.twitch.tv/helix/users")
    assert service.judge
    with pytest.raises(sdk.Throttled) as caught:
        service.judge(httpx.Response(told["status"], headers=headers, request=request))
    assert 28 <= caught.value.retry_after <= 30


CASES: list[tuple[str, Callable[[User, User], dict[str, Any]]]] = [
    (
        "channel.follow",
        lambda ada, grace: {**who(ada), **person(grace), "followed_at": "2026-03-01T08:00:00.123456789Z"},
    ),
    (
        "channel.cheer",
        lambda ada, grace: {**who(ada), **person(grace), "bits": 5, "message": "hi", "is_anonymous": False},
    ),
]


@pytest.mark.parametrize(("kind", "event"), CASES, ids=[kind for kind, _ in CASES])
async def test_what_viewers_do_is_told(kind: str, event: Callable[[User, User], dict[str, Any]]) -> None:
    async with opened() as world:
        node = service.actions[f"twitch.{NAMES[kind]}"]
        assert node.subscriber
        await node.subscriber(world.ctx, node.inputs(), world.hook)
        await world.twitch.verified()
        await world.twitch.tell(kind, who(world.ada), event(*world.twitch.users))
        (delivery,) = world.listener.heard
        assert node.fn(node.inputs(), delivery).user_login == "grace"
