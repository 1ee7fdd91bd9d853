"""Subscriptions at a provider: made once, renewed, reconciled and ended; deliveries to one address for all; enriched events."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
import orjson
import pytest
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from area.core.ids import new_id
from area.db.models import Area
from area.engine import polling
from area.engine.areas import delete_area, set_area_enabled
from area.engine.endpoints import Endpoints, NotYet
from area.engine.intake import Accepted, BadDelivery, Incoming, UnknownHook
from area.engine.platform import Platform
from area.nodes import sdk
from area.nodes.registry import UnknownComponent
from tests.engine.conftest import World, log, serving

service = sdk.Service(key="bellsvc", name="Bell", description="A provider of this test.", base_url="http://unset.test")
SIGNED = sdk.HmacSha256("x-bell-signature")


class Where(sdk.Inputs):
    """Which bell."""

    bell: str = Field(title="Bell", description="Its name.", examples=["front"])
    note: str = Field("", title="Note", description="Makes another source of the same bell.", examples=["mine"])


class Rang(sdk.Outputs):
    """A bell rang."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="The ring's id.", examples=["1"])
    who: str | None = Field(None, title="Who", description="Who rang it.", examples=["Ada"])


def _rang(delivery: sdk.WebhookDelivery) -> Rang | None:
    if delivery.body.get("kind") == "over":
        raise sdk.SubscriptionEnded("the bell was taken down")
    return Rang(id=delivery.body["id"]) if delivery.body.get("kind") == "ring" else None


def _probed(where: Where, delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
    asked = delivery.query.get("challenge")
    return sdk.Answer(asked, lease=3600) if asked and delivery.query.get("bell") == where.bell else None


@service.webhook("A bell rings", verify=SIGNED, handshake=_probed)
def ring(where: Where, delivery: sdk.WebhookDelivery) -> Rang | None:
    """Fires when it rings."""
    return _rang(delivery)


@ring.subscribe
async def _subscribe(ctx: sdk.Context, where: Where, hook: sdk.Hook) -> sdk.Subscription:
    asked = {"bell": where.bell, "url": hook.url, "secret": hook.secret, "known": hook.remote_id}
    answer = (await ctx.http.post("/subscriptions", json=asked)).json()
    return sdk.Subscription(answer["id"], datetime.fromisoformat(answer["until"]))


@ring.unsubscribe
async def _unsubscribe(ctx: sdk.Context, where: Where, remote_id: str) -> None:
    await ctx.http.delete(f"/subscriptions/{remote_id}")


@ring.is_subscribed
async def _is_subscribed(ctx: sdk.Context, where: Where, remote_id: str) -> bool:
    return bool((await ctx.http.get(f"/subscriptions/{remote_id}")).json()["there"])


@ring.enrich
async def _who(ctx: sdk.Context, event: Rang) -> Rang:
    answer = (await ctx.http.get(f"/rings/{event.id}")).json()
    return event.model_copy(update={"who": answer["who"]})


@service.endpoint(verify=SIGNED, handshake=lambda d: sdk.Answer({"pong": 1}) if d.body == {"kind": "ping"} else None)
def _route(delivery: sdk.WebhookDelivery) -> list[sdk.Routed]:
    if delivery.body.get("kind") == "over":
        return [sdk.SubscriptionGone(f"tower:{delivery.body['tower']}", "torn down")]
    return [f"tower:{delivery.body['tower']}"]


@service.webhook("A tower's bell rings", app_level=True)
def tower(where: Where, delivery: sdk.WebhookDelivery) -> Rang | list[Rang] | None:
    """Fires when a tower's bell rings."""
    if where.note == "twice" and (rang := _rang(delivery)):
        return [rang, rang.model_copy(update={"id": f"{rang.id} again"})]
    if where.note == "refuses":
        raise sdk.Rejected("this tower is not for me")
    if where.note == "breaks":
        raise ZeroDivisionError
    return _rang(delivery)


@tower.topic
def _topic(where: Where, account: sdk.Account | None) -> str:
    return f"tower:{where.bell}"


tower.subscribe(_subscribe)
tower.unsubscribe(_unsubscribe)
tower.is_subscribed(_is_subscribed)


@service.webhook("A tower's light is lit", app_level=True)
def light(where: Where, delivery: sdk.WebhookDelivery) -> Rang | None:
    """Fires when a tower's light is lit."""
    return None


@light.topic
def _lit(where: Where, account: sdk.Account | None) -> str:
    return f"light:{where.bell}"


light.subscribe(_subscribe)
light.unsubscribe(_unsubscribe)
light.is_subscribed(_is_subscribed)


@dataclass
class Provider:
    """A real provider of bells on loopback."""

    there: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    refuses: int | None = None
    questions: int = 0
    lasts: timedelta = timedelta(days=10)
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What happens while a subscription is being removed."""

    async def subscriptions(self, request: Request) -> Response:
        given = orjson.loads(await request.body())
        self.asked.append(given)
        if self.refuses:
            return JSONResponse({"error": "no such bell"}, self.refuses)
        key = next((key for key, known in self.there.items() if known["url"] == given["url"]), f"s{len(self.asked)}")
        self.there[key] = given
        return JSONResponse({"id": key, "until": (datetime.now(UTC) + self.lasts).isoformat()})

    async def one(self, request: Request) -> Response:
        key = request.path_params["key"]
        if request.method == "DELETE":
            happens, self.meanwhile = self.meanwhile, None
            if happens:
                await happens()
            self.deleted.append(key)
            if self.there.pop(key, None) is None:
                return JSONResponse({"error": "gone"}, 404)
        return JSONResponse({"there": key in self.there})

    async def rings(self, request: Request) -> Response:
        self.questions += 1
        key = request.path_params["key"]
        return JSONResponse(["no object"] if key == "odd" else {"who": "Ada"}, 503 if key == "mute" else 200)


@pytest.fixture
async def provider(platform: Platform) -> AsyncIterator[Provider]:
    made = Provider()
    routes = [
        Route("/subscriptions", made.subscriptions, methods=["POST"]),
        Route("/subscriptions/{key}", made.one, methods=["GET", "DELETE"]),
        Route("/rings/{key}", made.rings),
    ]
    async with serving(Starlette(routes=routes)) as url:
        platform.clients.of(service).base_url = httpx.URL(url)
        yield made


@pytest.fixture(autouse=True)
def _registered(platform: Platform) -> Iterator[None]:
    known = platform.registry
    known.services[service.key] = service
    known.actions |= service.actions
    yield
    del known.services[service.key]
    for key in service.actions:
        del known.actions[key]


async def tend(world: World, hook_id: Any) -> Any:
    """Let the hook's time come, and give its row."""
    await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", hook_id)
    await polling.tick(world.platform)
    return await world.pool.fetchrow("SELECT * FROM hooks WHERE id = $1", hook_id)


def signed(secret: str, **body: Any) -> sdk.WebhookDelivery:
    raw = orjson.dumps(body)
    mac = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return sdk.WebhookDelivery("POST", {"x-bell-signature": f"sha256={mac}"}, {}, raw, body, "application/json")


async def test_two_areas_share_one_subscription_that_ends_with_the_last(world: World, provider: Provider) -> None:
    first = await world.area(log("x"), action="bellsvc.ring", config={"bell": "shared"})
    second = await world.area(log("x"), action="bellsvc.ring", config={"bell": "shared"})
    assert first.hook_id == second.hook_id
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", first.hook_id) == "pending"
    hook = await tend(world, first.hook_id)
    assert (hook["status"], hook["remote_id"], len(provider.asked)) == ("active", "s1", 1)
    asked = provider.asked[0]
    assert asked["url"] == f"{world.platform.settings.public_url}/hooks/{hook['token']}"
    assert asked["secret"] not in hook["secret"], "it is stored sealed"

    result = await world.platform.intake.deliver(hook["token"], signed(asked["secret"], kind="ring", id="r1"))
    again = await world.platform.intake.deliver(hook["token"], signed(asked["secret"], kind="ring", id="r1"))
    assert (result.runs, again.runs, again.duplicate) == (2, 0, True)
    with pytest.raises(sdk.BadSignature):
        await world.platform.intake.deliver(hook["token"], signed("guessed", kind="ring", id="r2"))

    await delete_area(world.platform, world.user, first.id)
    await polling.tick(world.platform)
    assert provider.deleted == [], "another AREA still needs it"
    await delete_area(world.platform, world.user, second.id)
    await polling.tick(world.platform)
    gone = await world.pool.fetchrow("SELECT status, remote_id, next_due_at FROM hooks WHERE id = $1", first.hook_id)
    assert (provider.deleted, tuple(gone)) == (["s1"], ("unused", None, None))


async def test_switched_off_ends_it_and_switched_on_makes_it_again(world: World, provider: Provider) -> None:
    area = await world.area(log("x"), action="bellsvc.ring", config={"bell": "switch"})
    await tend(world, area.hook_id)
    await set_area_enabled(world.platform, world.user, area.id, enabled=False)
    provider.there.clear()  # the provider answers 404: what is gone already counts as ended
    await polling.tick(world.platform)
    assert provider.deleted == ["s1"]
    await set_area_enabled(world.platform, world.user, area.id, enabled=True)
    hook = await tend(world, area.hook_id)
    assert (hook["status"], len(provider.there)) == ("active", 1)


async def test_it_is_renewed_in_time_and_made_again_when_the_provider_lost_it(world: World, provider: Provider) -> None:
    area = await world.area(log("x"), action="bellsvc.ring", config={"bell": "renew"})
    hook = await tend(world, area.hook_id)
    assert hook["next_due_at"] < datetime.now(UTC) + timedelta(hours=8), "it is looked at before it ends"
    await tend(world, area.hook_id)
    assert len(provider.asked) == 1, "it is there and has long to go"
    await world.pool.execute(
        "UPDATE hooks SET subscribed_at = now() - interval '9 days', expires_at = now() + interval '1 day' WHERE id = $1",
        area.hook_id,
    )
    await tend(world, area.hook_id)
    assert (len(provider.asked), provider.asked[1]["known"]) == (2, "s1")
    provider.there.clear()
    await tend(world, area.hook_id)
    assert (len(provider.asked), len(provider.there)) == (3, 1)


async def test_what_the_provider_refuses_is_told_at_once_and_heals_when_saved_again(
    world: World, provider: Provider
) -> None:
    provider.refuses = 422
    area = await world.area(log("x"), action="bellsvc.ring", config={"bell": "refused"})
    hook = await tend(world, area.hook_id)
    assert (hook["status"], hook["failures_in_row"]) == ("broken", 1)
    assert "no such bell" in hook["last_error"]
    provider.refuses = None
    await set_area_enabled(world.platform, world.user, area.id, enabled=True)
    await polling.tick(world.platform)
    healed = await world.pool.fetchrow("SELECT status, last_error FROM hooks WHERE id = $1", area.hook_id)
    assert tuple(healed) == ("active", None)


async def test_the_provider_ends_it_and_probes_it(world: World, provider: Provider) -> None:
    area = await world.area(log("x"), action="bellsvc.ring", config={"bell": "probe"})
    hook = await tend(world, area.hook_id)
    intake, secret = world.platform.intake, provider.asked[0]["secret"]
    probe = sdk.WebhookDelivery("GET", {}, {"challenge": "abc", "bell": "probe"})
    answer = await intake.probe(hook["token"], probe)
    assert answer is not None
    assert answer.body == "abc"
    assert await intake.probe(hook["token"], sdk.WebhookDelivery("GET", {}, {"challenge": "abc", "bell": "x"})) is None
    leased = await world.pool.fetchval("SELECT expires_at - now() FROM hooks WHERE id = $1", area.hook_id)
    assert timedelta(minutes=59) < leased <= timedelta(hours=1)

    over = await intake.deliver(hook["token"], signed(secret, kind="over"))
    assert over.answer is not None
    told = await world.pool.fetchrow("SELECT status, last_error, remote_id FROM hooks WHERE id = $1", area.hook_id)
    assert tuple(told) == ("broken", "the bell was taken down", None)
    healed = await tend(world, area.hook_id)
    assert (healed["status"], len(provider.asked)) == ("active", 2)


async def test_one_address_for_all_finds_the_hooks_by_topic(world: World, provider: Provider) -> None:
    endpoints = Endpoints(world.platform)
    secret = await world.platform.endpoint_secrets.of(service.key, service.name)

    async def deliver(secret: str, **body: Any) -> Any:
        delivery = signed(secret, **body)

        async def parse() -> Any:
            return body

        return await endpoints.deliver("bellsvc", delivery, parse)

    area = await world.area(log("x"), action="bellsvc.tower", config={"bell": "north"})
    assert (await deliver(secret, kind="ring", id="early", tower="north")).runs == 1, (
        "it is known before it is confirmed"
    )
    with pytest.raises(NotYet):
        await deliver(secret, kind="ring", id="x", tower="south")
    await tend(world, area.hook_id)
    assert provider.asked[0]["url"].endswith("/webhooks/bellsvc")
    assert provider.asked[0]["secret"] == secret

    taken = await deliver(secret, kind="ring", id="t1", tower="north")
    repeated = await deliver(secret, kind="ring", id="t1", tower="north")
    assert (taken.runs, repeated.runs, taken.answer.status) == (1, 0, 200)
    assert (await deliver(secret, kind="ping")).answer.body == {"pong": 1}
    assert (await deliver(secret, kind="ring", id="t2", tower="south")).events == 0
    with pytest.raises(sdk.BadSignature):
        await deliver("guessed", kind="ring", id="t3", tower="north")
    with pytest.raises(UnknownHook):
        await endpoints.deliver("flow", signed(secret), lambda: None)  # type: ignore[arg-type, return-value]

    await deliver(secret, kind="over", tower="north")
    told = await world.pool.fetchrow("SELECT status, last_error FROM hooks WHERE id = $1", area.hook_id)
    assert tuple(told) == ("broken", "torn down")


async def to_all(world: World, **body: Any) -> Any:
    secret = await world.platform.endpoint_secrets.of(service.key, service.name)
    body["kind"] = "ring"

    async def parse() -> Any:
        return body

    return await Endpoints(world.platform).deliver("bellsvc", signed(secret, **body), parse)


async def subscribed(world: World, bell: str, note: str = "") -> Area:
    """An AREA on a tower that nobody has to subscribe any more."""
    area = await world.area(log("x"), action="bellsvc.tower", config={"bell": bell, "note": note})
    await world.pool.execute("UPDATE hooks SET status = 'active', next_due_at = NULL WHERE id = $1", area.hook_id)
    return area


async def rejected(world: World, area: Area) -> list[str]:
    await world.platform.intake.ledger.flush()
    found = "SELECT reason FROM deliveries WHERE area_id = $1 AND outcome = 'rejected'"
    return [row["reason"] for row in await world.pool.fetch(found, area.id)]


TROUBLE = {
    "refuses": (BadDelivery, "this tower is not for me"),
    "breaks": (ZeroDivisionError, "bellsvc.tower broke on it"),
    "uninstalled": (UnknownComponent, "There is no action 'bellsvc.steeple'. Did you mean 'bellsvc.tower'?"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_what_one_hook_makes_of_a_delivery_is_not_the_trouble_of_others(
    world: World, provider: Provider, trouble: str
) -> None:
    raised, told = TROUBLE[trouble]
    odd = await subscribed(world, trouble, trouble)
    if trouble == "uninstalled":
        await world.pool.execute("UPDATE hooks SET action = 'bellsvc.steeple' WHERE id = $1", odd.hook_id)
    with pytest.raises(raised):
        await to_all(world, id="1", tower=trouble)
    assert await rejected(world, odd) == [told], "of its only hook: nobody has it"

    other = World(world.platform, new_id())
    email = f"{other.user.hex}@example.com"
    await world.pool.execute("INSERT INTO users (id, email) VALUES ($1, $2)", other.user, email)
    fires = await subscribed(other, trouble)
    taken = await to_all(world, id="2", tower=trouble)
    assert (taken.answer.status, taken.events, taken.runs) == (200, 1, 1)
    assert await world.run_of(odd) is None
    assert await rejected(world, fires) == []
    await other.execute(run := await other.run_of(fires))
    assert await other.status(run) == "succeeded"


async def test_what_fails_everywhere_is_sent_again_if_it_may_be_taken_then(world: World, provider: Provider) -> None:
    for note in ("refuses", "breaks"):
        await subscribed(world, "both_fail", note)
    with pytest.raises(ZeroDivisionError):
        await to_all(world, id="1", tower="both_fail")


async def test_an_event_that_postgres_refuses_is_not_the_trouble_of_others(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = await subscribed(world, "unfit", "odd")
    fires = await subscribed(world, "unfit")
    accepting = world.platform.intake.submit

    async def submit(incoming: Incoming) -> Accepted:
        if incoming.hook_id == odd.hook_id:
            object.__setattr__(incoming, "text", '{"id": "\\u0000"}')  # as if the mending had missed something
        return await accepting(incoming)

    monkeypatch.setattr(world.platform.intake, "submit", submit)
    taken = await to_all(world, id="1", tower="unfit")
    assert (taken.events, taken.runs) == (1, 1)
    assert await world.run_of(fires)
    [reason] = await rejected(world, odd)
    assert reason.startswith("The delivery cannot be stored: ")


async def test_one_event_of_several_that_postgres_refuses_does_not_bring_the_others_again(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = await subscribed(world, "partly", "twice")
    accepting = world.platform.intake.submit

    async def submit(incoming: Incoming) -> Accepted:
        if "again" in incoming.dedupe_key:
            object.__setattr__(incoming, "text", '{"id": "\\u0000"}')
        return await accepting(incoming)

    monkeypatch.setattr(world.platform.intake, "submit", submit)
    assert (await to_all(world, id="1", tower="partly")).runs == 1
    [reason] = await rejected(world, area)
    assert reason.startswith("The delivery cannot be stored: ")


async def test_a_postgres_that_goes_away_in_the_middle_is_no_success(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for note in ("a", "b"):
        await subscribed(world, "away", note)
    accepting, asked = world.platform.intake.submit, 0

    async def submit(incoming: Incoming) -> Accepted:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ConnectionRefusedError
        return await accepting(incoming)

    monkeypatch.setattr(world.platform.intake, "submit", submit)
    with pytest.raises(ConnectionRefusedError):
        await to_all(world, id="1", tower="away")
    assert (await to_all(world, id="1", tower="away")).runs == 1, "the other has it"


MANY = """
INSERT INTO hooks (id, source_key, kind, action, config, status, topic)
SELECT area_uuid7(), 'many:' || n, 'webhook', 'bellsvc.tower', jsonb_build_object('bell', 'many', 'note', 'n' || n), 'active',
  'bellsvc:tower:many' FROM generate_series(1, 2000) AS n
"""
THEIRS = """
SELECT count(*) AS events, count(DISTINCT hook_id) AS hooks, count(DISTINCT events.xmin::text) AS commits
FROM events JOIN hooks ON hooks.id = hook_id WHERE topic = 'bellsvc:tower:many'
"""


async def test_thousands_of_hooks_on_one_topic_take_one_delivery(world: World, provider: Provider) -> None:
    await world.pool.execute(MANY)
    assert (await to_all(world, id="1", tower="many")).events == 2000
    found = await world.pool.fetchrow(THEIRS)
    assert (found["events"], found["hooks"]) == (2000, 2000)
    assert found["commits"] < 20, "many to a commit"
    await world.pool.execute("DELETE FROM events USING hooks WHERE hooks.id = hook_id AND topic = 'bellsvc:tower:many'")
    await world.pool.execute("DELETE FROM hooks WHERE topic = 'bellsvc:tower:many'")


async def test_one_subscription_for_two_hooks_ends_with_the_last_of_them(world: World, provider: Provider) -> None:
    first = await world.area(log("x"), action="bellsvc.tower", config={"bell": "both"})
    second = await world.area(log("x"), action="bellsvc.tower", config={"bell": "both", "note": "mine"})
    assert first.hook_id != second.hook_id
    hooks_now = [await tend(world, area.hook_id) for area in (first, second)]
    assert [hook["remote_id"] for hook in hooks_now] == ["s1", "s1"], "the provider has one for both"
    await delete_area(world.platform, world.user, first.id)
    await polling.tick(world.platform)
    assert provider.deleted == [], "another hook lives by it"
    assert await world.pool.fetchval("SELECT remote_id FROM hooks WHERE id = $1", first.hook_id) is None
    await delete_area(world.platform, world.user, second.id)
    await polling.tick(world.platform)
    assert provider.deleted == ["s1"]


async def test_a_hook_that_took_a_subscription_over_while_it_was_removed_gets_another(
    world: World, provider: Provider
) -> None:
    first = await world.area(log("x"), action="bellsvc.tower", config={"bell": "race"})
    await tend(world, first.hook_id)
    taken: list[Any] = []

    async def take_over() -> None:
        second = await world.area(log("x"), action="bellsvc.tower", config={"bell": "race", "note": "mine"})
        taken.append(await tend(world, second.hook_id))

    provider.meanwhile = take_over
    await delete_area(world.platform, world.user, first.id)
    await polling.tick(world.platform)
    assert (taken[0]["remote_id"], provider.deleted, provider.there) == ("s1", ["s1"], {})
    await polling.tick(world.platform)
    hook = await world.pool.fetchrow("SELECT * FROM hooks WHERE id = $1", taken[0]["id"])
    assert (hook["status"], list(provider.there)) == ("active", [hook["remote_id"]])


async def test_an_event_is_asked_about_once_and_keeps_what_was_learnt(world: World, provider: Provider) -> None:
    drafts = [log("x", "{{ trigger.who }}"), log("y", "{{ trigger.who }}")]
    areas = [await world.area(*drafts, action="bellsvc.ring", config={"bell": "who"}) for _ in range(3)]
    hook = await tend(world, areas[0].hook_id)
    await world.platform.intake.deliver(hook["token"], signed(provider.asked[0]["secret"], kind="ring", id="r1"))
    runs = [await world.run_of(area) for area in areas]
    await world.execute(*runs)
    for run in runs:
        assert (await world.steps(run))["y"]["output"]["message"] == "Ada"
    assert provider.questions == 1
    stored = await world.pool.fetchval("SELECT payload FROM events WHERE hook_id = $1", areas[0].hook_id)
    assert stored == {"id": "r1", "who": "Ada"}


@pytest.mark.parametrize(("ring_id", "told"), [("mute", "could not be asked"), ("odd", "bellsvc.ring broke")])
async def test_an_event_that_cannot_be_asked_about_runs_as_it_is(
    world: World, provider: Provider, ring_id: str, told: str
) -> None:
    drafts = [log("x", "by {{ trigger.who }}")]
    area = await world.area(*drafts, action="bellsvc.ring", config={"bell": ring_id})
    hook = await tend(world, area.hook_id)
    await world.platform.intake.deliver(hook["token"], signed(provider.asked[0]["secret"], kind="ring", id=ring_id))
    run = await world.run_of(area)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["x"]["output"]["message"] == "by "
    warned = await world.pool.fetchval("SELECT message FROM run_events WHERE run_id = $1 AND level = 'warning'", run)
    assert told in warned


async def test_actions_that_live_by_one_subscription_end_it_with_the_last_of_them(
    world: World, provider: Provider
) -> None:
    bell = await world.area(log("x"), action="bellsvc.tower", config={"bell": "house"})
    light = await world.area(log("x"), action="bellsvc.light", config={"bell": "house"})
    own = await world.area(log("x"), action="bellsvc.ring", config={"bell": "house"})
    one, same, other = [(await tend(world, area.hook_id))["remote_id"] for area in (bell, light, own)]
    assert one == same != other, "the provider has one for its address for all"
    # An address of its own is another's subscription, whatever the provider calls it.
    await world.pool.execute("UPDATE hooks SET remote_id = $2 WHERE id = $1", own.hook_id, one)
    await delete_area(world.platform, world.user, bell.id)
    await polling.tick(world.platform)
    assert provider.deleted == [], "another action lives by it"
    await delete_area(world.platform, world.user, light.id)
    await polling.tick(world.platform)
    assert provider.deleted == [one]


async def test_an_action_whose_subscription_went_with_another_ones_gets_its_own(
    world: World, provider: Provider
) -> None:
    bell = await world.area(log("x"), action="bellsvc.tower", config={"bell": "gate"})
    await tend(world, bell.hook_id)
    taken: list[Any] = []

    async def take_over() -> None:
        light = await world.area(log("x"), action="bellsvc.light", config={"bell": "gate"})
        taken.append(await tend(world, light.hook_id))

    provider.meanwhile = take_over
    await delete_area(world.platform, world.user, bell.id)
    await polling.tick(world.platform)
    assert (taken[0]["remote_id"], provider.there) == ("s1", {})
    await polling.tick(world.platform)
    hook = await world.pool.fetchrow("SELECT * FROM hooks WHERE id = $1", taken[0]["id"])
    assert (hook["status"], list(provider.there)) == ("active", [hook["remote_id"]])
