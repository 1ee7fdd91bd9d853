"""Discord through the engine: messages heard and said once, commands made and removed, each account kept in its server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from area.app.server import make_app
from area.core.ids import new_id
from area.core.settings import Settings
from area.db.models import Area
from area.engine import polling
from area.engine.areas import ReactionDraft, delete_area
from area.engine.connections.authorise import Fixed
from area.engine.connections.connected import Secrets
from area.engine.connections.store import NewAccount
from area.engine.context import Access, NodeContext
from area.engine.platform import Platform, open_platform
from area.nodes import sdk
from area.nodes.discord.connection import identify
from tests.contract.plugin import Contracts
from tests.engine.conftest import World
from tests.engine.conftest import serving as serving_app
from tests.engine.connections import environment
from tests.providers.base import serving
from tests.providers.calls import Fault
from tests.providers.discord import ADA, ELSEWHERE, EVE, GENERAL, GRACE, HOME, NEWS, OTHER, STREAMERS, Discord
from tests.providers.signing import discord as signed

API = "/api/v10"
SAID = f"{API}/channels/{NEWS}/messages"
SAY = {"channel": NEWS, "content": "{{ trigger.author_name }}: {{ trigger.content }}"}
HEARD = "discord.new_message"
COMMAND = "discord.slash_command"


class Story(World):
    """One user's AREAs, and Discord."""

    def __init__(self, platform: Platform, user: UUID, there: Discord) -> None:
        super().__init__(platform, user)
        self.there = there

    async def connect(self, who: str = ADA, user: UUID | None = None) -> UUID:
        """Somebody consents, and so adds the bot to their server."""
        person = next(one for one in self.there.users if one.id == who)
        grant = sdk.read_grant(self.there.auth.issue(person, "identify", "bot"))
        secrets = Secrets(grant.access_token, grant.refresh_token)
        service, clients = self.platform.registry.services["discord"], self.platform.clients
        auth = Fixed(service, secrets, clients.settings("discord"))
        profile = await identify(NodeContext(clients, service, lambda *_: None, access=Access(grant=grant, auth=auth)))
        return await self._keep(profile, secrets, "oauth2", user)

    async def connect_bot(self) -> UUID:
        """A bot of one's own, by its token."""
        secrets = Secrets(fields={"token": "own.moment.proof"})
        return await self._keep(sdk.Profile(self.there.own.id, "Mine (bot)"), secrets, "key", None)

    async def _keep(self, profile: sdk.Profile, secrets: Secrets, method: str, user: UUID | None) -> UUID:
        new = NewAccount(user_id=user or self.user, service="discord", method=method, profile=profile, secrets=secrets)
        return await self.platform.accounts.store.save(new)

    async def tend(self, area: Area) -> Any:
        """Let the source's time come, and give its row."""
        await self.pool.execute("UPDATE hooks SET next_due_at = now(), lease_until = NULL WHERE id = $1", area.hook_id)
        await polling.tick(self.platform)
        return await self.pool.fetchrow("SELECT * FROM hooks WHERE id = $1", area.hook_id)

    async def hearing(self, account: UUID, *reactions: ReactionDraft, **where: Any) -> Area:
        """An AREA that hears the general channel from now on."""
        config = {"channel": GENERAL, **where}
        area = await self.area(*reactions, action=HEARD, account_id=account, config=config)
        await self.tend(area)
        return area

    async def heard(self, area: Area) -> list[UUID]:
        """Poll, and execute what that started; gives the runs so far."""
        await self.tend(area)
        rows = await self.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)
        await self.execute(*(row["id"] for row in rows))
        return [row["id"] for row in rows]

    async def again(self, run: UUID) -> None:
        """Let a waiting run's time come, and execute it."""
        await self.due_now(run)
        await self.execute(run)

    def posts(self) -> list[dict[str, Any]]:
        return [call.json for call in self.there.asked("POST", SAID)]


def step(account: UUID | None, reaction: str, config: dict[str, Any], **more: Any) -> ReactionDraft:
    return ReactionDraft(reaction, config, key=reaction.partition(".")[2], account_id=account, **more)


def say(account: UUID, **config: Any) -> ReactionDraft:
    return step(account, "discord.post_message", {**SAY, **config})


@pytest.fixture
async def there() -> AsyncIterator[Discord]:
    standin = Discord()
    async with serving(standin):
        yield standin


@pytest.fixture
async def platform(settings: Settings, there: Discord) -> AsyncIterator[Platform]:
    """A platform whose Discord is the stand-in."""
    with environment(there.environment()):
        opened = await open_platform(settings)
        opened.clients.settings("discord")  # read once, while the environment has it
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def story(platform: Platform, user: UUID, there: Discord) -> Story:
    """Nothing that other tests watch is looked at, and no limit that they met is remembered."""
    await platform.db.pool.execute(
        "UPDATE hooks SET status = 'unused', next_due_at = NULL, remote_id = NULL, topic = NULL, lease_until = NULL"
    )
    await platform.redis.flushdb()
    return Story(platform, user, there)


@pytest.fixture
async def endpoint(platform: Platform) -> AsyncIterator[str]:
    """What the operator tells Discord: the Interactions Endpoint URL."""
    async with serving_app(make_app(platform)) as url:
        yield f"{url}/webhooks/discord"


# Heard and said


async def test_what_is_said_in_one_channel_is_told_in_another_exactly_once(
    story: Story, there: Discord, contract: Contracts
) -> None:
    there.say(GENERAL, "before anybody listened")
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "Grüße @everyone 🎉")
    there.say(GENERAL, "second", by=GRACE)
    runs = await story.heard(area)
    assert [await story.status(run) for run in runs] == ["succeeded", "succeeded"]
    assert sorted(there.texts(NEWS)) == ["Ada Lovelace: Grüße @everyone 🎉", "Grace Hopper: second"]
    assert all(post["allowed_mentions"] == {"parse": []} for post in story.posts())
    assert await story.heard(area) == runs, "a second look finds nothing new"
    assert len(there.texts(NEWS)) == 2
    shown = (await story.steps(runs[0]))["post_message"]["output"]
    assert shown["url"].startswith(f"https://discord.com/channels/{HOME}/{NEWS}/")
    contract("discord").audit(there)


async def test_an_area_that_posts_where_it_listens_does_not_answer_itself(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account, channel=GENERAL), include_bots=True)
    there.say(GENERAL, "ping")
    assert len(await story.heard(area)) == 1
    assert there.texts(GENERAL) == ["ping", "Ada Lovelace: ping"]
    assert len(await story.heard(area)) == 1


async def test_every_reaction_after_one_message(story: Story, there: Discord, contract: Contracts) -> None:
    account = await story.connect()
    author, message = "{{ trigger.author_id }}", "{{ trigger.id }}"
    area = await story.hearing(
        account,
        step(account, "discord.add_reaction", {"channel": GENERAL, "message": message, "emoji": "👀"}),
        step(account, "discord.create_thread", {"channel": GENERAL, "name": "On it", "message": message}),
        step(
            account,
            "discord.post_message",
            {
                "channel": "{{ steps.create_thread.id }}",
                "embeds": [{"title": "{{ trigger.content }}", "color": "#9146FF"}],
            },
        ),
        step(account, "discord.add_role", {"role": STREAMERS, "user": author}),
        step(account, "discord.direct_message", {"user": author, "content": "Welcome, {{ trigger.author_name }}"}),
        step(None, "discord.post_webhook", {"webhook_url": there.webhook_url, "content": "done", "username": "Herald"}),
    )
    asked = there.say(GENERAL, "help", by=GRACE)
    [run] = await story.heard(area)
    assert await story.status(run) == "succeeded"
    assert [one[1:] for one in there.reactions] == [(asked["id"], "👀")]
    assert there.servers[HOME].threads[asked["id"]]["name"] == "On it"
    assert [one["embeds"][0]["title"] for one in there.messages[asked["id"]]] == ["help"]
    assert STREAMERS in there.servers[HOME].members[GRACE]
    assert there.texts(there.direct[GRACE]) == ["Welcome, Grace Hopper"]
    assert there.messages[GENERAL][-1]["author"]["username"] == "Herald"
    shown = (await story.steps(run))["post_webhook"]["input"]
    assert "a-token-of_letters" not in str(shown), "the webhook's URL is masked"
    contract("discord").audit(there)


# Each in their own server


async def test_an_account_cannot_use_the_bot_in_another_users_server(story: Story, there: Discord) -> None:
    stranger = new_id()
    await story.pool.execute(
        "INSERT INTO users (id, email, display_name) VALUES ($1, $2, 'Eve')", stranger, f"{stranger.hex}@example.com"
    )
    await story.connect(EVE, stranger)
    assert there.bot.servers == {OTHER}
    account = await story.connect()
    assert there.bot.servers == {HOME, OTHER}, "the same bot serves both"
    area = await story.hearing(account, say(account, channel=ELSEWHERE))
    there.say(GENERAL, "x")
    [run] = await story.heard(area)
    error = (await story.steps(run))["post_message"]["error"]
    assert (await story.status(run), error["code"]) == ("failed", "OTHER_SERVER")
    assert there.texts(ELSEWHERE) == []
    spying = await story.area(say(account), action=HEARD, account_id=account, config={"channel": ELSEWHERE})
    hook = await story.tend(spying)
    assert "is not in Ada's server" in hook["last_error"]
    assert there.asked("GET", f"{API}/channels/{ELSEWHERE}/messages") == []


async def test_a_bot_of_ones_own_acts_by_its_own_token(story: Story, there: Discord) -> None:
    account = await story.connect_bot()
    area = await story.area(
        say(account, channel=ELSEWHERE), action=HEARD, account_id=account, config={"channel": ELSEWHERE}
    )
    await story.tend(area)
    there.say(ELSEWHERE, "mine", by=EVE)
    await story.heard(area)
    assert there.texts(ELSEWHERE) == ["mine", "Eve: mine"]
    assert {call.headers["authorization"] for call in there.calls} == {"Bot own.moment.proof"}


# Once, whatever happens


async def test_a_lost_answer_does_not_say_it_twice(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "once")
    there.next(Fault(lose=True), f"POST {SAID}", times=2)
    [run] = await story.heard(area)
    for _ in range(2):
        assert await story.status(run) == "waiting"
        await story.again(run)
    assert await story.status(run) == "succeeded"
    assert len(story.posts()) == 3
    assert len({post["nonce"] for post in story.posts()}) == 1
    assert there.texts(NEWS) == ["Ada Lovelace: once"]


async def test_hours_later_it_is_not_said_twice_either(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "once")
    there.next(Fault(lose=True), f"POST {SAID}")
    [run] = await story.heard(area)
    [posted] = there.messages[NEWS]
    # The platform was away for five hours, in which Discord has forgotten the nonce.
    there.nonces.clear()
    begun = datetime.now(UTC) - timedelta(hours=5)
    await story.pool.execute("UPDATE run_steps SET started_at = $2 WHERE run_id = $1", run, begun)
    await story.again(run)
    assert await story.status(run) == "succeeded"
    assert (await story.steps(run))["post_message"]["output"]["id"] == posted["id"]
    assert there.texts(NEWS) == ["Ada Lovelace: once"]
    assert len(story.posts()) == 1


async def test_a_worker_that_dies_in_the_call_says_it_once(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "once")
    there.next(Fault(hang=True), f"POST {SAID}")
    await story.tend(area)
    run = await story.run_of(area)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while not story.posts():  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    there.release()
    await story.expire_lease(run)
    await story.execute(run)
    assert await story.status(run) == "succeeded"
    assert there.texts(NEWS) == ["Ada Lovelace: once"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=502, body="<h1>Bad gateway</h1>", headers={"content-type": "text/html"}),
        Fault(status=200, body="<h1>Hello</h1>", headers={"content-type": "text/html"}),
        Fault(status=200, body={"error": "no"}),
        Fault(status=200, body=b'{"id": "4', headers={"content-type": "application/json"}, cut=True),
    ],
    ids=["502", "a page", "an error inside", "cut short"],
)
async def test_what_makes_no_sense_is_tried_again_and_said_once(story: Story, there: Discord, fault: Fault) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "x")
    there.next(fault, f"POST {SAID}")
    [run] = await story.heard(area)
    assert await story.status(run) == "waiting"
    await story.again(run)
    assert (await story.status(run), there.texts(NEWS)) == ("succeeded", ["Ada Lovelace: x"])


async def test_an_answer_of_ten_megabytes_is_not_read(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "x")
    there.next(Fault(status=200, body=[], size=10 << 20), f"GET {API}/channels/{GENERAL}/messages")
    hook = await story.tend(area)
    assert "more than" in hook["last_error"]
    assert len(await story.heard(area)) == 1, "what was missed is heard by the next look"


async def test_a_limit_is_waited_for_and_burns_no_attempt(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "x")
    body = {"message": "You are being rate limited.", "retry_after": 64.57, "global": False}
    headers = {"Retry-After": "65", "X-RateLimit-Scope": "shared", "X-RateLimit-Bucket": "b"}
    there.next(Fault(status=429, headers=headers, body=body), f"POST {SAID}")
    [run] = await story.heard(area)
    row = (await story.steps(run))["post_message"]
    assert (row["status"], row["attempt"], row["error"]["code"]) == ("waiting", 0, "THROTTLED")
    left = (row["due_at"] - datetime.now(UTC)).total_seconds()
    assert 50 < left <= 64.57


BUSY = {
    "X-RateLimit-Limit": "5",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Reset-After": "1",
    "X-RateLimit-Bucket": "b",
}


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_asked_for_no_second_time(story: Story, there: Discord, status: int) -> None:
    account = await story.connect()
    area = await story.hearing(account, say(account))
    there.say(GENERAL, "x")
    body = (
        {"message": "401: Unauthorized", "code": 0} if status == 401 else {"message": "Missing Access", "code": 50001}
    )
    there.next(Fault(status=status, body=body, headers=BUSY), f"POST {SAID}", times=5)
    [run] = await story.heard(area)
    assert await story.status(run) == "failed"
    assert len(story.posts()) == 1
    alive = await story.pool.fetchval("SELECT status FROM connected_accounts WHERE id = $1", account)
    assert alive == "active", "the platform's bot was refused, not the user's consent"


async def test_a_token_of_ones_own_that_was_reset_ends_its_account(story: Story, there: Discord) -> None:
    account = await story.connect_bot()
    there.tokens.pop("own.moment.proof")
    area = await story.area(say(account), action=HEARD, account_id=account, config={"channel": ELSEWHERE})
    await story.tend(area)
    found = await story.pool.fetchval("SELECT status FROM connected_accounts WHERE id = $1", account)
    assert found == "needs_reconnect"
    asked = [f"{API}/channels/{ELSEWHERE}", f"{API}/users/@me"]
    assert [call.path for call in there.calls] == asked, "it is asked once whether the token is to blame"


async def test_a_webhook_that_is_gone_is_not_called_again(story: Story, there: Discord) -> None:
    account = await story.connect()
    given = {"webhook_url": there.webhook_url, "content": "x"}
    area = await story.hearing(account, step(None, "discord.post_webhook", given))
    there.webhooks.clear()
    there.say(GENERAL, "x")
    [run] = await story.heard(area)
    error = (await story.steps(run))["post_webhook"]["error"]
    assert (await story.status(run), error["code"]) == ("failed", "DISCORD_10015")
    assert "a-token-of_letters" not in error["message"]
    assert len([call for call in there.calls if "/webhooks/" in call.path]) == 1


async def test_a_webhooks_lost_answer_is_left_to_a_person(story: Story, there: Discord) -> None:
    account = await story.connect()
    given = {"webhook_url": there.webhook_url, "content": "x"}
    area = await story.hearing(account, step(None, "discord.post_webhook", given))
    there.say(GENERAL, "y")
    there.next(Fault(lose=True), "/webhooks/")
    [run] = await story.heard(area)
    assert await story.status(run) == "held"
    assert there.texts(GENERAL) == ["y", "x"]


# Commands


async def test_a_command_lives_as_long_as_its_area_and_each_use_runs_it_once(
    story: Story, there: Discord, endpoint: str, contract: Contracts
) -> None:
    account = await story.connect()
    where = {"command": "déploie", "parameters": [{"name": "version", "description": "Which"}]}
    told = {"channel": NEWS, "content": "{{ trigger.user_name }}: {{ trigger.values.version }}"}
    area = await story.area(
        step(account, "discord.post_message", told), action=COMMAND, account_id=account, config=where
    )
    hook = await story.tend(area)
    made = there.servers[HOME].commands["déploie"]
    assert (hook["status"], hook["topic"]) == ("active", f"discord:{HOME}/déploie")
    assert made["options"][0]["name"] == "version"

    use = there.interaction(made, {"version": "1.4 ✨"}, by=GRACE)
    answer = await there.interact(endpoint, use)
    assert answer.json()["data"] == {
        "content": "/déploie is on its way.",
        "flags": 64,
        "allowed_mentions": {"parse": []},
    }
    await there.interact(endpoint, use)
    [run] = [row["id"] for row in await story.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)]
    await story.execute(run)
    assert there.texts(NEWS) == ["Grace Hopper: 1.4 ✨"]
    event = await story.pool.fetchval("SELECT payload FROM events WHERE hook_id = $1", area.hook_id)
    assert "token-of-this-use" not in str(event)

    await delete_area(story.platform, story.user, area.id)
    await polling.tick(story.platform)
    assert there.servers[HOME].commands == {}
    contract("discord").audit(there)


async def test_two_users_commands_of_one_name_in_one_server(story: Story, there: Discord, endpoint: str) -> None:
    other = new_id()
    await story.pool.execute(
        "INSERT INTO users (id, email, display_name) VALUES ($1, $2, 'Grace')", other, f"{other.hex}@example.com"
    )
    there.servers[HOME].members[GRACE] = set()
    mine = await story.connect()
    there.users[1].facts["guild"] = HOME
    theirs = await story.connect(GRACE, other)
    friend = Story(story.platform, other, there)
    first = await story.area(log(), action=COMMAND, account_id=mine, config={"command": "go", "description": "a"})
    second = await friend.area(log(), action=COMMAND, account_id=theirs, config={"command": "go", "description": "b"})
    await story.tend(first)
    await friend.tend(second)
    await there.use_command(endpoint, "go")
    assert await story.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = ANY($1)", [first.id, second.id]) == 2
    await delete_area(story.platform, other, second.id)
    await polling.tick(story.platform)
    await there.use_command(endpoint, "go")
    assert await story.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", first.id) == 2
    await delete_area(story.platform, story.user, first.id)
    await polling.tick(story.platform)
    assert there.servers[HOME].commands == {}


async def test_a_command_that_discord_lost_is_made_again(story: Story, there: Discord) -> None:
    account = await story.connect()
    area = await story.area(log(), action=COMMAND, account_id=account, config={"command": "go"})
    await story.tend(area)
    there.servers[HOME].commands.clear()
    await story.tend(area)
    assert list(there.servers[HOME].commands) == ["go"]


async def test_a_stranger_cannot_listen_to_a_servers_commands(story: Story, there: Discord, endpoint: str) -> None:
    account = await story.connect()
    victim = await story.area(log(), action=COMMAND, account_id=account, config={"command": "go"})
    await story.tend(victim)
    bot = await story.connect_bot()
    spying = await story.area(log(), action=COMMAND, account_id=bot, config={"command": "go", "server": HOME})
    hook = await story.tend(spying)
    assert "do not arrive here" in hook["last_error"]
    await there.use_command(endpoint, "go")
    assert await story.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", spying.id) == 0
    assert await story.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", victim.id) == 1


async def test_discords_probes_get_what_it_expects(there: Discord, endpoint: str) -> None:
    ping = {"type": 1, "id": "1", "application_id": there.bot.id, "token": "t", "version": 1}
    answer = await there.interact(endpoint, ping)
    assert (answer.json(), answer.headers["content-type"]) == ({"type": 1}, "application/json")
    events = {"version": 1, "application_id": there.bot.id, "type": 0}
    assert (await there.interact(endpoint, events, expects=204)).content == b""
    gone = {
        **events,
        "type": 1,
        "event": {"type": "APPLICATION_DEAUTHORIZED", "timestamp": "2026-11-23T14:42:53", "data": {}},
    }
    assert (await there.interact(endpoint, gone, expects=204)).content == b""


async def test_forged_late_and_strange_deliveries_are_refused(story: Story, there: Discord, endpoint: str) -> None:
    account = await story.connect()
    area = await story.area(log(), action=COMMAND, account_id=account, config={"command": "go"})
    await story.tend(area)
    use = there.interaction(there.servers[HOME].commands["go"], {})

    def forged(raw: bytes, headers: Any) -> dict[str, str]:
        return {**signed(there.key)(raw, headers), "X-Signature-Ed25519": "00" * 64}

    long_ago = signed(there.key, at=int(datetime.now(UTC).timestamp()) - 3600)
    await there.interact(endpoint, use, sign=forged, expects=401)
    await there.interact(endpoint, use, sign=None, expects=401)
    await there.interact(endpoint, use, sign=long_ago, expects=401)
    await there.interact(endpoint, {"type": 1}, sign=forged, expects=401)
    await there.interact(endpoint, b'{"type": 2, "da', expects=400)
    await there.interact(endpoint, [1, 2], expects=400)
    async with httpx.AsyncClient() as client:
        assert (await client.get(endpoint)).status_code == 400
    assert await story.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", area.id) == 0


def log() -> ReactionDraft:
    return ReactionDraft("flow.log", {"message": "used"}, key="log")
