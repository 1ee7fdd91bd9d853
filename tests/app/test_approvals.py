"""The page behind an approval's link."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from area.app.server import make_app
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.control import run_area
from area.engine.platform import Platform

DECISIONS = "SELECT count(*) FROM approvals WHERE run_id = $1"


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(platform), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as opened:
        yield opened


@pytest.fixture
async def run(platform: Platform, user: UUID) -> UUID:
    """A run that waits for a decision."""
    asks = ReactionDraft("flow.approval", {"message": "Publish <b>{{ trigger.body.title }}</b>?"}, key="ask")
    area = await create_area(platform, user, AreaDraft('A & "B"', "webhook.received", {}, [asks]))
    run_id = await run_area(platform, user, area.id, {"body": {"title": "<script>alert(1)</script>"}})
    await platform.executor().execute([run_id])
    return run_id


def path_of(platform: Platform, run: UUID) -> str:
    return platform.links.url(run, "ask").removeprefix(platform.settings.public_url)


async def test_looking_decides_nothing_and_shows_text_as_text(
    client: httpx.AsyncClient, platform: Platform, run: UUID
) -> None:
    for _ in range(2):
        answer = await client.get(path_of(platform, run))
        assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "Publish &lt;b&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;/b&gt;?" in answer.text
    assert "A &amp; &quot;B&quot;" in answer.text
    assert "<script" not in answer.text
    assert await platform.db.pool.fetchval(DECISIONS, run) == 0


@pytest.mark.parametrize(("decision", "approved"), [("approve", True), ("reject", False)])
async def test_a_button_decides_once(
    client: httpx.AsyncClient, platform: Platform, run: UUID, decision: str, approved: bool
) -> None:
    path = path_of(platform, run)
    answer = await client.post(path, data={"decision": decision, "comment": "as agreed"})
    assert answer.status_code == 200
    assert ("Approved" if approved else "Rejected") in answer.text
    again = await client.post(path, data={"decision": "reject"})
    assert again.status_code == 409
    assert "already, by link" in again.text
    row = await platform.db.pool.fetchrow("SELECT * FROM approvals WHERE run_id = $1", run)
    assert (row["approved"], row["comment"], row["decided_by"]) == (approved, "as agreed", "link")
    await platform.executor().execute([run])
    assert await platform.db.pool.fetchval("SELECT status FROM runs WHERE id = $1", run) == "succeeded"
    later = await client.get(path)
    assert later.status_code == 200
    assert "already" in later.text


@pytest.mark.parametrize(
    ("data", "status"), [({}, 400), ({"decision": "maybe"}, 400), ({"decision": "approve", "comment": "x" * 2001}, 400)]
)
async def test_what_is_no_decision_is_refused(
    client: httpx.AsyncClient, platform: Platform, run: UUID, data: dict[str, str], status: int
) -> None:
    answer = await client.post(path_of(platform, run), data=data)
    assert answer.status_code == status
    assert await platform.db.pool.fetchval(DECISIONS, run) == 0


async def test_a_form_too_large_is_refused(client: httpx.AsyncClient, platform: Platform, run: UUID) -> None:
    answer = await client.post(path_of(platform, run), content=b"x" * 40_000)
    assert answer.status_code == 413
    assert await platform.db.pool.fetchval(DECISIONS, run) == 0


async def test_a_link_that_is_changed_or_made_up_is_none(
    client: httpx.AsyncClient, platform: Platform, run: UUID
) -> None:
    path = path_of(platform, run)
    for other in (path[:-1], path.replace(".ask.", ".other."), "/approvals/x", f"/approvals/{run.hex}.ask."):
        for answer in (await client.get(other), await client.post(other, data={"decision": "approve"})):
            assert answer.status_code == 404
    assert (await client.put(path)).status_code == 405
    assert await platform.db.pool.fetchval(DECISIONS, run) == 0


async def test_a_link_expires(client: httpx.AsyncClient, platform: Platform, run: UUID) -> None:
    await platform.db.pool.execute("UPDATE run_steps SET due_at = now() WHERE run_id = $1", run)
    shown, pressed = (
        await client.get(path_of(platform, run)),
        await client.post(path_of(platform, run), data={"decision": "approve"}),
    )
    assert (shown.status_code, pressed.status_code) == (410, 409)
    assert "time to decide is over" in shown.text
    assert "<button" not in shown.text
