"""*When I start a Twitch stream, post a message to Discord and send an e-mail to my admins.*

Told from the outside: the person speaks GraphQL and clicks in a browser, Twitch sends its signed webhook, and nothing else is
touched. What has to be true afterwards is in `proof`.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.mission.stage import Stage
from tests.e2e.world import until
from tests.providers.discord import NEWS
from tests.providers.email import Mail

ADMINS = "Grace Hopper <grace@admins.example>, Zoë Núñez <zoe@admins.example>, 李雷 <lei@admins.example>"
ADDRESSES = ["grace@admins.example", "zoe@admins.example", "lei@admins.example"]
MESSAGE = "🔴 **{{ trigger.broadcaster_name }}** is live: {{ trigger.title }} ({{ trigger.game }})\n<{{ trigger.url }}>"
SUBJECT = "{{ trigger.broadcaster_name }} est en direct: {{ trigger.title }}"
TEXT = "{{ trigger.title }} ({{ trigger.game }}), since {{ trigger.started_at }}.\nDiscord: {{ steps.tell.url }}"

START = """mutation ($i: StartConnectionInput!) { startConnection(input: $i) { url errors { message } } }"""
BY_KEY = """mutation ($i: ConnectWithKeyInput!) { connectWithKey(input: $i) {
  account { id label status } errors { message path } } }"""
ACCOUNTS = "{ viewer { connectedAccounts { nodes { id label status method service { key } } } } }"
CHANNELS = """query ($account: ID!) { service(key: "discord") { reactions { key fields {
  key ... on ChoiceField { options(accountId: $account) { value label } } } } } }"""
CREATE = """mutation ($i: CreateAreaInput!) { createArea(input: $i) { area { id name } errors { message path } } }"""
HOOK = """query ($id: ID!) { node(id: $id) { ... on Area { hook { status lastError } } } }"""
RUNS = """{ viewer { runs(first: 10) { nodes { id status event { payload } steps { key status } } } } }"""

PATIENCE = 60
"""Seconds to wait for what has to come."""
Event = dict[str, Any]


@dataclass
class Stream:
    """One stream, and what came of it."""

    title: str
    game: str
    feed: list[Event] = field(default_factory=list)


@dataclass
class Told:
    """The facts, as the services and the API had them at the end."""

    streams: list[Stream]
    messages: list[dict[str, Any]]
    posts: int
    """Calls to Discord, however many of them posted something."""
    mails: list[Mail]
    runs: list[dict[str, Any]]
    """Oldest first."""
    exit_code: int


async def tell(stage: Stage) -> Told:
    """The whole story."""
    say, twitch = stage.say, stage.twitch
    await stage.client.sign_up("ada@example.com")
    say("ada", "signed up")
    await create(stage, await connect(stage))
    streams = [Stream("Día 3: ロボット löten", "509670"), Stream("Nachtschicht: «bis zum Morgen»", "33214")]
    async with stage.client.feed() as events:
        await go_live(stage, streams[0])
        await follow(stage, events, streams[0], "RUN_SUCCEEDED")
        await twitch.go_offline(twitch.users[0])
        say("twitch", "the stream is over")

        stage.discord.is_slow = True
        await go_live(stage, streams[1])
        await follow(stage, events, streams[1], "STEP_STARTED")
        await asyncio.wait_for(stage.discord.owes.wait(), PATIENCE)
        exit_code = await kill(stage)
        stage.discord.is_slow = False
        await follow(stage, events, streams[1], "RUN_SUCCEEDED")
    runs = (await stage.client.ask(RUNS))["viewer"]["runs"]["nodes"]
    posts = len(stage.discord.asked("POST", f"/api/v10/channels/{NEWS}/messages"))
    return Told(streams, stage.discord.messages[NEWS], posts, stage.mail.sent, runs[::-1], exit_code)


async def connect(stage: Stage) -> dict[str, str]:
    """Three accounts: two by their consent pages, one by its password. Their ids, by service."""
    for service, nodes in (("twitch", ["twitch.stream_online"]), ("discord", ["discord.post_message"])):
        started = (await stage.client.ask(START, i={"service": service, "nodes": nodes}))["startConnection"]
        assert started["errors"] == [], started
        shown = await stage.browser.click(started["url"], "Allow")
        assert "<h1>Connected</h1>" in shown, shown
        stage.say("ada", f"allowed it on the consent page of {service}")
    fields = stage.mail.fields()
    kept = (await stage.client.ask(BY_KEY, i={"service": "email", "fields": fields}))["connectWithKey"]
    assert kept["errors"] == [], kept
    found = (await stage.client.ask(ACCOUNTS))["viewer"]["connectedAccounts"]["nodes"]
    for account in found:
        stage.say("ada", f"connected {account['service']['key']}: {account['label']}")
    assert {account["status"] for account in found} == {"ACTIVE"}, found
    return {account["service"]["key"]: account["id"] for account in found}


async def create(stage: Stage, accounts: dict[str, str]) -> None:
    """The AREA, its channel chosen from those that Discord lists; waits until Twitch knows where to deliver."""
    reactions = (await stage.client.ask(CHANNELS, account=accounts["discord"]))["service"]["reactions"]
    fields = next(one["fields"] for one in reactions if one["key"] == "discord.post_message")
    options = next(one["options"] for one in fields if one["key"] == "channel")
    channel = next(one["value"] for one in options if one["label"].startswith("#news"))
    given = {
        "name": "Tell everybody that I am live",
        "action": {"action": "twitch.stream_online", "accountId": accounts["twitch"], "config": {}},
        "reactions": [
            {
                "key": "tell",
                "reaction": "discord.post_message",
                "accountId": accounts["discord"],
                "config": {"channel": channel, "content": MESSAGE},
            },
            {
                "key": "mail",
                "reaction": "email.send",
                "accountId": accounts["email"],
                "config": {"to": ADMINS, "subject": SUBJECT, "text": TEXT},
            },
        ],
    }
    made = (await stage.client.ask(CREATE, i=given))["createArea"]
    assert made["errors"] == [], made
    stage.say("ada", f"made the AREA “{made['area']['name']}”: Twitch → Discord, e-mail")

    async def is_heard() -> bool:
        hook = (await stage.client.ask(HOOK, id=made["area"]["id"]))["node"]["hook"]
        assert hook["lastError"] is None, hook
        enabled = [one["status"] for one in stage.twitch.of("stream.online")] == ["enabled"]
        return bool(hook["status"] == "ACTIVE" and enabled)

    await until(is_heard, PATIENCE, "Twitch had verified the address and enabled the subscription")
    stage.say("twitch", "verified the address and will tell of streams")


async def go_live(stage: Stage, stream: Stream) -> None:
    """Start a stream at Twitch, which tells the platform so: twice, as it does when it is not sure of the answer."""
    ada = stage.twitch.users[0]
    [answer] = await stage.twitch.go_live(ada, stream.title, stream.game)
    assert answer.status_code == 200, answer.text
    stage.say("twitch", f"{ada.name} goes live: {stream.title}; signed webhook delivered, {answer.status_code}")
    number, event = answer.request.headers["Twitch-Eventsub-Message-Id"], json.loads(answer.request.content)["event"]
    [subscription] = stage.twitch.of("stream.online")
    again = await stage.twitch.send(subscription, "notification", {"event": event}, message_id=number, expects=200)
    stage.say("twitch", f"the same message delivered once more, {again.status_code}: it starts nothing")


async def kill(stage: Stage) -> int:
    """End the worker by SIGKILL, as another begins; gives the code that it ended with."""
    worker = stage.worker
    stage.say("platform", f"Discord has posted it, and worker {worker.pid} has not heard so yet: kill -9")
    worker.kill()
    exit_code = await asyncio.to_thread(worker.wait)
    stage.worker = stage.processes.start("worker")
    stage.say("platform", f"worker {worker.pid} is dead ({exit_code}); worker {stage.worker.pid} is started")
    return exit_code


async def follow(stage: Stage, events: "asyncio.Queue[Event]", stream: Stream, last: str) -> None:
    """Read the live feed up to an event of the kind ``last``."""
    while not stream.feed or stream.feed[-1]["kind"] != last:
        event = await asyncio.wait_for(events.get(), PATIENCE)
        stream.feed.append(event)
        by = f": it is worker {stage.worker.pid} now" if event["kind"] == "RUN_RESUMED" else ""
        step = f"[{event['stepKey']}] " if event["stepKey"] else ""
        stage.say("feed", f"{event['seq']:>2} {event['kind']:<14} {step}{event['message']}{by}")
        assert event["kind"] not in ("RUN_FAILED", "RUN_HELD", "STEP_UNKNOWN"), event
