"""Twitch through the engine: an account, subscriptions, signed deliveries over HTTP, and what an AREA then does there, once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from area.app.server import make_app
from area.core.settings import Settings
from area.db.models import Area
from area.engine import polling
from area.engine.areas import ReactionDraft, delete_area
from area.engine.connections.connected import Secrets
from area.engine.connections.store import NewAccount
from area.engine.platform import Platform, open_platform
from area.nodes import sdk
from area.nodes.twitch import service
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.engine.conftest import World
from tests.engine.conftest import serving as serving_app
from tests.engine.connections import environment
from tests.providers.base import serving
from tests.providers.calls import Fault
from tests.providers.oauth import User
from tests.providers.signing import twitch as signed
from tests.providers.twitch import Twitch, person, who

PUBLIC = "https://area.example"
SCOPES = sorted({scope for node in [*service.actions.values(), *service.reactions.values()] for scope in node.scopes})
ONLINE = {"action": "twitch.stream_online"}


@dataclass
class Stage:
    """A platform whose public address Twitch can resolve, and one user whose account ada has been connected."""

    world: World
    twitch: Twitch
    account: UUID
    address: str

    @property
    def platform(self) -> Platform:
        return self.world.platform

    @property
    def ada(self) -> User:
        return self.twitch.users[0]

    @property
    def grace(self) -> User:
        return self.twitch.users[1]

    async def connect(self, who: User) -> UUID:
        """Consent to everything, without the consent page."""
        assert service.auth
        grant = service.auth.read_grant(self.twitch.auth.issue(who, *SCOPES))
        given = NewAccount(
            user_id=self.world.user,
            service="twitch",
            method="oauth2",
            profile=sdk.Profile(who.id, who.name, facts={"login": who.login}),
            secrets=Secrets(grant.access_token, grant.refresh_token),
            scopes=grant.scopes or frozenset(),
            expires_in=grant.expires_in,
            check_every=service.auth.validate_every,
        )
        account = await self.platform.accounts.store.save(given)
        await self.platform.accounts.revived(account)
        return account

    async def area(self, *reactions: ReactionDraft, **draft: Any) -> Area:
        """An AREA of ada's account, its subscription made and verified."""
        made = await self.world.area(*reactions, account_id=draft.pop("account_id", self.account), **draft)
        await self.tend(made)
        return made

    async def tend(self, area: Area) -> Any:
        """Let the hook's time come; gives its row."""
        await self.world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", area.hook_id)
        await polling.tick(self.platform)
        await self.twitch.verified()
        return await self.hook(area)

    async def tend_later(self, area: Area) -> Any:
        """As `tend`, a minute after it was subscribed to."""
        await self.world.pool.execute(
            "UPDATE hooks SET subscribed_at = now() - interval '1 minute', expires_at = now() WHERE id = $1",
            area.hook_id,
        )
        return await self.tend(area)

    async def hook(self, area: Area) -> Any:
        return await self.world.pool.fetchrow("SELECT * FROM hooks WHERE id = $1", area.hook_id)

    async def runs(self, area: Area) -> list[UUID]:
        rows = await self.world.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)
        return [row["id"] for row in rows]

    async def status(self, account: UUID) -> str:
        found: str = await self.world.pool.fetchval("SELECT status FROM connected_accounts WHERE id = $1", account)
        return found


@asynccontextmanager
async def opened(settings: Settings, user: UUID) -> AsyncIterator[Stage]:
    async with serving(twitch := Twitch()) as given:
        with environment(given):
            platform = await open_platform(settings.model_copy(update={"public_url": PUBLIC}))
            platform.clients.settings("twitch")
        try:
            async with serving_app(make_app(platform)) as address:  # type: ignore[arg-type]
                twitch.addresses[PUBLIC] = address
                # Nobody watches any more what earlier tests watched: it was the same two channels.
                left = "UPDATE hooks SET status = 'unused', next_due_at = NULL WHERE action LIKE 'twitch.%'"
                await platform.db.pool.execute(left)
                await platform.redis.flushall()  # it keeps the app's token, and this Twitch is another
                stage = Stage(World(platform, user), twitch, user, address)
                stage.account = await stage.connect(stage.ada)
                yield stage
        finally:
            await platform.close()
    if SPECS.is_dir():
        Contract("twitch").audit(twitch)


@pytest.fixture
async def stage(settings: Settings, user: UUID) -> AsyncIterator[Stage]:
    async with opened(settings, user) as made:
        yield made


def says(message: str, account: UUID, key: str = "say") -> ReactionDraft:
    return ReactionDraft("twitch.send_chat_message", {"message": message}, key=key, account_id=account)


async def test_a_stream_goes_live_and_the_chat_is_told_once(stage: Stage) -> None:
    reactions = [
        says("Live: {{ trigger.title }} ({{ trigger.game }}) {{ trigger.url }}", stage.account),
        ReactionDraft(
            "twitch.update_channel",
            {"title": "{{ trigger.title }} 🔴", "tags": ["English"]},
            key="face",
            account_id=stage.account,
        ),
        ReactionDraft(
            "twitch.create_marker", {"description": "{{ steps.face.title }}"}, key="mark", account_id=stage.account
        ),
    ]
    area = await stage.area(*reactions, **ONLINE)
    assert [one["status"] for one in stage.twitch.of("stream.online")] == ["enabled"]
    hook = await stage.tend_later(area)
    assert (hook["status"], hook["expires_at"]) == ("active", None), "verified, so that it does not end"

    (answer,) = await stage.twitch.go_live(stage.ada, "Día 3: ロボット", "509670")
    assert (answer.status_code, answer.content) == (200, b"")
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    assert await stage.world.status(run) == "succeeded"
    assert [line["message"] for line in stage.twitch.chat] == [
        "Live: Día 3: ロボット (Science & Technology) https://www.twitch.tv/ada"
    ]
    assert stage.twitch.channels[stage.ada.id]["title"] == "Día 3: ロボット 🔴"
    assert [marker["description"] for marker in stage.twitch.markers] == ["Día 3: ロボット 🔴"]

    await delete_area(stage.platform, stage.world.user, area.id)
    await polling.tick(stage.platform)
    assert stage.twitch.of("stream.online") == []
    assert await stage.twitch.go_live(stage.ada) == []
    assert len(stage.twitch.chat) == 1


async def test_a_delivery_that_comes_twice_runs_once(stage: Stage) -> None:
    area = await stage.area(says("raid of {{ trigger.viewers }}", stage.account), action="twitch.raid")
    event = {**who(stage.grace, "from_"), **who(stage.ada, "to_"), "viewers": 9001}
    for _ in range(3):
        await stage.twitch.tell("channel.raid", event, event, message_id="e76c6bd4")
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    assert [line["message"] for line in stage.twitch.chat] == ["raid of 9001"]
    await stage.twitch.tell("channel.raid", event, event, message_id="another")
    assert len(await stage.runs(area)) == 2


async def test_what_is_forged_late_or_no_message_starts_nothing(stage: Stage) -> None:
    area = await stage.area(says("hi", stage.account), action="twitch.stream_offline")
    (found,) = stage.twitch.of("stream.offline")
    url, good = f"{stage.address}/webhooks/twitch", stage.twitch.secrets[found["id"]]
    body: dict[str, Any] = {"subscription": found, "event": who(stage.ada)}
    for secret, wanted, sent in (("guessed", 401, body), (good, 400, {}), (good, 400, {"subscription": found})):
        await stage.twitch.deliver(url, sent, sign=signed(secret, "notification"), expects=wanted)
    await stage.twitch.deliver(url, b"<html>", sign=signed(good, "notification"), expects=400)
    await stage.twitch.deliver(url, body, expects=401)
    assert await stage.runs(area) == []
    await stage.twitch.deliver(url, body, sign=signed(good, "notification"), expects=200, answer="")
    assert len(await stage.runs(area)) == 1


async def test_nothing_is_lost_before_the_subscription_is_known_here(stage: Stage) -> None:
    await stage.area(says("other", stage.account), action="twitch.channel_updated")
    (other,) = stage.twitch.of("channel.update")
    secret = stage.twitch.secrets[other["id"]]  # the endpoint has one for all
    area = await stage.world.area(
        says("{{ trigger.broadcaster_name }}", stage.account),
        action="twitch.stream_offline",
        config={"channel": "https://twitch.tv/Grace"},
        account_id=stage.account,
    )
    assert (await stage.hook(area))["status"] == "pending"
    condition = {"broadcaster_user_id": stage.grace.id}
    found = {"id": "s1", "type": "stream.offline", "version": "1", "status": "enabled", "condition": condition}
    url, sent = f"{stage.address}/webhooks/twitch", {"subscription": found, "event": who(stage.grace)}
    await stage.twitch.deliver(url, sent, sign=signed(secret, "notification"))
    assert len(await stage.runs(area)) == 1
    hook = await stage.tend(area)
    assert hook["topic"] == f"twitch:stream.offline:broadcaster_user_id={stage.grace.id}"
    await stage.twitch.go_offline(stage.grace)
    assert len(await stage.runs(area)) == 2


async def test_two_accounts_that_watch_one_channel_share_a_subscription(stage: Stage) -> None:
    other = await stage.connect(stage.grace)
    first = await stage.area(says("a", stage.account), **ONLINE)
    second = await stage.area(says("b", other), account_id=other, config={"channel": "ada"}, **ONLINE)
    assert len(stage.twitch.of("stream.online")) == 1, "Twitch refuses a second one"
    await stage.twitch.go_live(stage.ada)
    assert [len(await stage.runs(area)) for area in (first, second)] == [1, 1]
    await delete_area(stage.platform, stage.world.user, first.id)
    await polling.tick(stage.platform)
    await stage.twitch.go_live(stage.ada)
    assert [len(await stage.runs(area)) for area in (first, second)] == [1, 2]
    await delete_area(stage.platform, stage.world.user, second.id)
    await polling.tick(stage.platform)
    assert stage.twitch.of("stream.online") == []


async def test_a_consent_taken_back_at_twitch_is_told_and_heals_when_connected_again(stage: Stage) -> None:
    area = await stage.area(says("hi {{ trigger.user_name }}", stage.account), action="twitch.new_follower")
    await stage.twitch.disconnect(stage.ada)
    assert await stage.status(stage.account) == "needs_reconnect"
    hook = await stage.tend(area)
    assert (hook["status"], hook["remote_id"]) == ("broken", None)
    assert "has to be connected again" in hook["last_error"]

    assert await stage.connect(stage.ada) == stage.account
    assert (await stage.tend(area))["status"] == "active"
    event = {**who(stage.ada), **person(stage.grace), "followed_at": "2026-03-01T08:00:00.123456789Z"}
    await stage.twitch.tell("channel.follow", who(stage.ada), event)
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    assert [line["message"] for line in stage.twitch.chat] == ["hi Grace Hopper"]


async def test_a_subscription_of_an_account_that_is_gone_is_ended_by_the_app(stage: Stage) -> None:
    area = await stage.area(says("hi", stage.account), **ONLINE)
    await stage.platform.accounts.disconnect(stage.world.user, stage.account)
    await delete_area(stage.platform, stage.world.user, area.id)
    await polling.tick(stage.platform)
    assert stage.twitch.of("stream.online") == []


async def test_an_address_that_twitch_cannot_reach_is_told_and_heals(stage: Stage) -> None:
    stage.twitch.addresses[PUBLIC] = "http://127.0.0.1:1"
    area = await stage.area(says("hi", stage.account), **ONLINE)
    hook = await stage.tend_later(area)
    assert hook["status"] == "broken"
    assert "could not verify https://area.example/webhooks/twitch" in hook["last_error"]
    stage.twitch.addresses[PUBLIC] = stage.address
    await stage.tend(area)
    hook = await stage.tend_later(area)
    assert (hook["status"], hook["expires_at"], hook["last_error"]) == ("active", None, None)


async def test_a_subscription_that_twitch_ended_is_made_again(stage: Stage) -> None:
    area = await stage.area(says("hi", stage.account), **ONLINE)
    (found,) = stage.twitch.of("stream.online")
    await stage.twitch.revoke(found["id"], "notification_failures_exceeded")
    hook = await stage.hook(area)
    assert (hook["status"], hook["last_error"]) == (
        "broken",
        "Twitch: too many deliveries failed; Twitch could not reach this platform.",
    )
    hook = await stage.tend(area)
    assert (hook["status"], hook["remote_id"] == found["id"]) == ("active", False)
    assert await stage.status(stage.account) == "active"


# Twitch fails in the middle


async def test_an_answer_that_was_lost_leaves_the_message_unknown(stage: Stage) -> None:
    area = await stage.area(says("once", stage.account), action="twitch.stream_offline")
    stage.twitch.next(Fault(lose=True), "POST /helix/chat/messages")
    await stage.twitch.go_offline(stage.ada)
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    assert (await stage.world.steps(run))["say"]["status"] == "unknown"
    assert len(stage.twitch.chat) == 1, "it was said, and is not said again"


async def test_a_full_bucket_snoozes_and_an_expired_token_is_refreshed(stage: Stage) -> None:
    area = await stage.area(says("patience", stage.account), action="twitch.stream_offline")
    full = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "799"}
    stage.twitch.next(Fault(status=429, headers=full, body={"message": "slow"}), "POST /helix/chat/messages")
    await stage.twitch.go_offline(stage.ada)
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    step = (await stage.world.steps(run))["say"]
    assert (step["status"], step["attempt"], step["error"]["code"]) == ("waiting", 0, "THROTTLED")
    stage.twitch.auth.expire(stage.ada)
    await stage.platform.redis.flushall()  # what the governor remembers of the wait
    await stage.world.due_now(run)
    await stage.world.execute(run)
    assert (await stage.world.status(run), stage.twitch.auth.refreshes) == ("succeeded", 1)
    assert [line["message"] for line in stage.twitch.chat] == ["patience"]


async def test_a_failing_answer_that_was_cut_short_counts_by_its_status(stage: Stage) -> None:
    area = await stage.area(says("again", stage.account), action="twitch.stream_offline")
    stage.twitch.next(Fault(status=503, cut=True), "POST /helix/chat/messages")
    await stage.twitch.go_offline(stage.ada)
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    step = (await stage.world.steps(run))["say"]
    assert (step["status"], step["error"]["code"]) == ("waiting", "UNAVAILABLE")
    await stage.world.due_now(run)
    await stage.world.execute(run)
    assert [line["message"] for line in stage.twitch.chat] == ["again"]


@pytest.mark.parametrize(
    ("fault", "call"),
    [
        (Fault(status=503), "GET /helix/streams"),
        (Fault(body="<h1>Maintenance</h1>", headers={"content-type": "text/html"}), "GET /helix/streams"),
        (Fault(cut=True), "GET /helix/channels"),
        (Fault(size=10 << 20, body={"data": []}), "GET /helix/channels"),
    ],
    ids=["down", "html", "cut short", "10 MB"],
)
async def test_an_event_that_cannot_be_asked_about_runs_without_its_title(
    stage: Stage, fault: Fault, call: str
) -> None:
    area = await stage.area(says("live [{{ trigger.title }}] {{ trigger.id }}", stage.account), **ONLINE)
    stage.twitch.next(fault, call)
    await stage.twitch.go_live(stage.ada, "unheard", listed=False)
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    assert [line["message"] for line in stage.twitch.chat] == ["live [] 9001"]
    assert await stage.world.status(run) == "succeeded"


async def test_a_message_that_was_dropped_fails_the_run_with_twitchs_reason(stage: Stage) -> None:
    area = await stage.area(says("hi", stage.account), action="twitch.stream_offline")
    stage.twitch.dropped = {"code": "msg_rejected", "message": "Your message is being checked by mods."}
    await stage.twitch.go_offline(stage.ada)
    (run,) = await stage.runs(area)
    await stage.world.execute(run)
    error = (await stage.world.steps(run))["say"]["error"]
    assert (error["code"], "checked by mods" in error["message"]) == ("NOT_SENT", True)
    assert await stage.world.status(run) == "failed"


async def test_subscribing_goes_on_after_a_failure_in_the_middle(stage: Stage) -> None:
    stage.twitch.next(Fault(lose=True), "POST /helix/eventsub/subscriptions")
    area = await stage.area(says("hi", stage.account), **ONLINE)
    assert (await stage.hook(area))["remote_id"] is None
    (made,) = stage.twitch.of("stream.online")
    hook = await stage.tend(area)
    assert (hook["remote_id"], hook["status"]) == (made["id"], "active"), "the one that is there is taken over"
    stage.twitch.next(Fault(status=500), "DELETE /helix/eventsub/subscriptions")
    await delete_area(stage.platform, stage.world.user, area.id)
    await polling.tick(stage.platform)
    assert stage.twitch.of("stream.online") == [made]
    await stage.tend(area)
    assert stage.twitch.of("stream.online") == []


async def test_a_dead_token_is_found_out_by_the_hourly_validation(stage: Stage) -> None:
    async with stage.platform.using(service, stage.account, key="x") as ctx:
        assert service.validator
        await service.validator(ctx)
    stage.twitch.auth.withdraw(stage.ada)
    with pytest.raises(sdk.Reconnect):
        async with stage.platform.using(service, stage.account, key="x") as ctx:
            await service.validator(ctx)
    assert await stage.status(stage.account) == "needs_reconnect"


async def test_an_unknown_channel_is_told_on_its_hook(stage: Stage) -> None:
    area = await stage.area(says("hi", stage.account), config={"channel": "nobody"}, **ONLINE)
    hook = await stage.hook(area)
    assert (hook["status"], "no channel 'nobody'" in hook["last_error"]) == ("broken", True)
