"""Failures that a person can mend: each says where, and by what, at the source, in the run, and before anything is saved."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from area.core.ids import uuid_of
from area.engine import polling
from area.engine.platform import Platform, open_platform
from tests.engine.conftest import serving
from tests.graphql.conftest import Client
from tests.providers import base as providers
from tests.providers.email import Email

TRY = """mutation($action: AreaActionInput!) { testAction(input: {action: $action}) { events isSample nextDueAt
  errors { code message path ... on InvalidInputError { suggestion } } } }"""
HOOK = """query($id: ID!) { node(id: $id) { ... on Area { hook {
  status lastError failure { code message path suggestion } } } } }"""
RUN = "mutation($id: ID!) { runArea(input: {id: $id}) { run { id } errors { message } } }"
FAILED = """query($id: ID!) { node(id: $id) { ... on Run { status failure { code message step path suggestion }
  steps { failure { code step path suggestion } } } } }"""
ATOM = """<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>
<item><title>New</title><guid>2</guid></item><item><title>Old</title><guid>1</guid></item></channel></rss>"""


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A site with a feed, and a page that is none and names it."""

    async def page(_: Request) -> Response:
        return HTMLResponse('<html><head><link rel="alternate" type="application/rss+xml" href="/feed"></head></html>')

    async def feed(_: Request) -> Response:
        return Response(ATOM, media_type="application/rss+xml")

    async with serving(Starlette(routes=[Route("/", page), Route("/feed", feed)])) as url:
        yield url


def rss(url: str) -> dict[str, Any]:
    return {"action": "rss.new_item", "config": {"url": url}}


async def test_a_source_is_tried_before_anything_is_saved(ada: Client, site: str, platform: Platform) -> None:
    hooks = await platform.db.pool.fetchval("SELECT count(*) FROM hooks")
    tried = (await ada.data(TRY, action=rss(f"{site}/feed")))["testAction"]
    assert [event["title"] for event in tried["events"]] == ["Old", "New"]
    assert (tried["isSample"], tried["errors"]) == (False, [])
    bad = (await ada.data(TRY, action=rss(f"{site}/")))["testAction"]
    assert bad["events"] == []
    assert [(error["code"], error["path"], error["suggestion"]) for error in bad["errors"]] == [
        ("NOT_A_FEED", ["action", "config", "url"], f"{site}/feed")
    ]
    assert f"{site}/ is not a feed" in bad["errors"][0]["message"]
    assert await platform.db.pool.fetchval("SELECT count(*) FROM hooks") == hooks


async def test_a_source_that_cannot_be_tried_shows_a_sample(ada: Client) -> None:
    webhook = (await ada.data(TRY, action={"action": "webhook.received"}))["testAction"]
    assert (webhook["isSample"], len(webhook["events"]), webhook["errors"]) == (True, 1, [])
    every = (await ada.data(TRY, action={"action": "schedule.every", "config": {"seconds": 60}}))["testAction"]
    assert every["nextDueAt"] == every["events"][0]["scheduled_at"].replace("Z", "+00:00")


@pytest.mark.parametrize(
    ("action", "code", "path"),
    [
        ({"action": "rss.new"}, "UNKNOWN_ACTION", ["action", "action"]),
        ({"action": "rss.new_item", "config": {}}, "REQUIRED_FIELD", ["action", "config", "url"]),
        ({"action": "rss.new_item", "config": 1}, "INVALID_INPUT", ["action", "config"]),
        ({"action": "webhook.received", "accountId": "x"}, "NOT_FOUND", ["action", "accountId"]),
        ({"action": "rss.new_item", "config": {"url": "http://127.0.0.1:1/"}}, "UNREACHABLE", ["action", "config"]),
        ({"action": "rss.new_item", "config": {"url": "http://10.0.0.1/"}}, "EGRESS_REFUSED", ["action", "config"]),
    ],
)
async def test_what_cannot_be_tried_says_why(ada: Client, action: Any, code: str, path: list[str]) -> None:
    errors = (await ada.data(TRY, action=action))["testAction"]["errors"]
    assert [(error["code"], error["path"]) for error in errors] == [(code, path)]


async def test_nobody_tries_anything(anonymous: Client) -> None:
    answer = await anonymous.post(TRY, action={"action": "webhook.received"})
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_hook_says_where_it_is_mended(ada: Client, site: str, platform: Platform) -> None:
    area_id = await ada.create_area(action=rss(f"{site}/"))
    hook_id = await platform.db.pool.fetchval("SELECT hook_id FROM areas WHERE id = $1", uuid_of(area_id, "Area"))
    assert (await ada.data(HOOK, id=area_id))["node"]["hook"]["failure"] is None
    await polling.tick(platform)
    hook = (await ada.data(HOOK, id=area_id))["node"]["hook"]
    failure = hook["failure"]
    assert (failure["code"], failure["path"], failure["suggestion"]) == (
        "NOT_A_FEED", ["action", "config", "url"], f"{site}/feed",
    )  # fmt: skip
    assert (hook["status"], hook["lastError"]) == ("BROKEN", failure["message"])
    await platform.db.pool.execute(
        "UPDATE hooks SET config = $2, next_due_at = now() WHERE id = $1", hook_id, {"url": f"{site}/feed"}
    )
    await polling.tick(platform)
    hook = (await ada.data(HOOK, id=area_id))["node"]["hook"]
    assert hook == {"status": "ACTIVE", "lastError": None, "failure": None}


async def test_a_step_says_where_it_is_mended(ada: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    reactions = [
        {"reaction": "flow.log", "config": {"message": "first"}},
        {"reaction": "email.send", "config": {"to": "nobody@example.com", "subject": "x"}},
    ]
    area_id = await ada.create_area(reactions=reactions)
    run = (await ada.data(RUN, id=area_id))["runArea"]["run"]["id"]
    key = uuid_of(run, "Run")
    assert key is not None
    async with providers.serving(mail := Email()):
        for name, value in mail.environment().items():
            monkeypatch.setenv(name, value)
        # A process reads what the environment sets for a service once.
        worker = await open_platform(platform.settings)
        await worker.executor().execute([key])
        await worker.close()
        assert mail.sent == []
    failed = (await ada.data(FAILED, id=run))["node"]
    failure = failed["failure"]
    assert failed["status"] == "FAILED"
    assert (failure["code"], failure["step"], failure["path"]) == (
        "SMTP_REFUSED", "send", ["reactions", "1", "config", "to"],
    )  # fmt: skip
    assert "550" in failure["message"]
    assert failure["suggestion"] == "ada@example.com, grace@example.com"
    del failure["message"]
    assert [step["failure"] for step in failed["steps"]] == [None, failure]
