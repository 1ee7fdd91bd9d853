"""Webhook, HTTP and AREA through the engine: a signed request, a value that changes, and runs that follow on runs."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.engine.conftest import Sink, log, serving
from tests.engine.living import Living, living


@pytest.fixture
async def world(settings: Settings, user: UUID) -> AsyncIterator[Living]:
    async with living(settings, user) as made:
        yield made


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    made = Sink()
    async with serving(Starlette(routes=[Route("/{path:path}", made.handle, methods=["GET", "POST"])])) as url:
        made.url = url
        yield made


def post(url: str, body: Any) -> ReactionDraft:
    return ReactionDraft("http.request", {"url": url, "method": "POST", "body": body}, key="post")


async def runs(world: Living, area: Area) -> list[UUID]:
    rows = await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)
    return [row["id"] for row in rows]


async def payload(world: Living, area: Area) -> Any:
    return await world.pool.fetchval("SELECT payload FROM events WHERE hook_id = $1 ORDER BY id DESC", area.hook_id)


async def test_a_signed_request_is_taken_once_and_others_are_refused(world: Living, sink: Sink) -> None:
    config = {"secret": "a long random string", "signature_header": "X-Hub-Signature-256"}
    area = await world.area(post(sink.url, {"bought": "{{ trigger.body.what }}"}), config=config)
    token = await world.pool.fetchval("SELECT token FROM hooks WHERE id = $1", area.hook_id)
    raw = '{"what": "Kräutertee 🎉"}'.encode()
    good = "sha256=" + hmac.new(b"a long random string", raw, hashlib.sha256).hexdigest()
    sent = {"content-type": "application/json", "authorization": "Bearer of-the-shop", "x-delivery-id": "7"}
    async with httpx.AsyncClient(base_url=world.platform.settings.public_url) as http:
        for headers, status in (
            (sent, 401),
            ({**sent, "x-hub-signature-256": good[:-2] + "zz"}, 401),
            ({**sent, "x-signature-256": good}, 401),
            ({**sent, "x-hub-signature-256": good}, 202),
            ({**sent, "x-hub-signature-256": good}, 202),
        ):
            answer = await http.post(f"/hooks/{token}", content=raw, headers=headers)
            assert answer.status_code == status, answer.text
        assert answer.json()["duplicate"] is True
    (run,) = await runs(world, area)
    await world.execute(run)
    assert [body for _, _, body in sink.calls] == ['{"bought":"Kräutertee 🎉"}']
    assert "of-the-shop" not in str(await payload(world, area))


async def test_a_value_that_changes_is_told_once(world: Living, sink: Sink) -> None:
    sink.text = "up"
    tell = post(f"{sink.url}/told", "{{ trigger.previous }} → {{ trigger.value }}")
    area = await world.area(tell, action="http.changed", config={"url": f"{sink.url}/status"})
    for state in ("up", "up", "down ✗", "down ✗"):
        sink.text = state
        await world.look(area)
    (run,) = await runs(world, area)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert [body for path, _, body in sink.calls if path == "/told"] == ["up → down ✗"]


async def test_a_status_page_that_is_away_is_no_change(world: Living, sink: Sink) -> None:
    sink.text = "up"
    area = await world.area(log("x"), action="http.changed", config={"url": sink.url})
    await world.look(area)
    sink.answers = [(503, {})]
    with pytest.raises(AssertionError, match="answered 503"):
        await world.look(area)
    await world.look(area)
    assert await runs(world, area) == []


async def test_runs_follow_on_runs_and_end(world: Living) -> None:
    first = await world.area(log("x"), config={})
    told = "{{ trigger.area_name }} {{ trigger.status }}"
    this = await world.area(log("y", told), action="area.run_succeeded", config={"area_id": str(first.id)})
    every = await world.area(log("z", told), action="area.run_succeeded")
    for watcher in (this, every):
        await world.look(watcher)
    await world.happen(first, {})
    for _ in range(3):
        for watcher in (this, every):
            await world.look(watcher)
            await world.execute(*await runs(world, watcher))
    assert len(await runs(world, this)) == 1
    assert len(await runs(world, every)) == 1, "what watchers do is not watched, or it would never end"
    lines = "SELECT message FROM run_events WHERE run_id = $1 AND kind = 'log'"
    assert await world.pool.fetchval(lines, (await runs(world, this))[0]) == "Test succeeded"
