"""Everything that Notion's nodes send, and all that their stand-in answers, is as Notion's description of the API says."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from area.nodes import sdk
from area.nodes.notion import provider, reactions, watching
from tests.contract.documents import SPECS, ContractBroken
from tests.contract.notion import audited
from tests.contract.plugin import Contracts
from tests.nodes.notion_wire import look, wired
from tests.providers.notion import DATABASE, HOME, SOURCE, TWO, Notion


async def test_every_call_is_as_described(contract: Contracts) -> None:
    notion, there = contract("notion"), Notion()
    ctx = wired(there, moment=datetime.now(UTC), tried_since=datetime.now(UTC))
    await provider.identify(ctx)
    assert len(await provider.parent_choices(ctx, {})) == 2
    where = watching.Changes(database=DATABASE)
    await look(ctx, watching.page_added, where)
    given = reactions.NewPage(
        parent=DATABASE, title="Zoë 🎉", text="One\n- two", properties={"Due": "2026-03-01", "Done": "1"}
    )
    page = await reactions.create_page.fn(ctx, given)
    there.pages[page.id]["created_time"] = f"{datetime.now(UTC) - timedelta(minutes=3):%Y-%m-%dT%H:%M}:00.000Z"
    assert [one.id for one in await look(ctx, watching.page_added, where)] == [page.id]
    await look(ctx, watching.page_updated, where)
    for parent in (SOURCE, HOME):
        again = reactions.NewPage(parent=parent, title="Again")
        made = await reactions.create_page.fn(ctx, again)
        assert reactions.create_page.reconciler
        assert await reactions.create_page.reconciler(ctx, again) == made
    more = reactions.MoreText(page=page.id, text="x" * 4001)
    await reactions.append_blocks.fn(ctx, more)
    assert reactions.append_blocks.reconciler
    assert await reactions.append_blocks.reconciler(ctx, more)
    assert len(await reactions.property_choices(ctx, {"page": page.id})) == 13
    await reactions.update_property.fn(ctx, reactions.Setting(page=page.id, property="Status", value="Done"))
    with pytest.raises(sdk.Rejected):
        await look(wired(there), watching.page_added, watching.Where(database=TWO))
    audited(notion, there)
    assert notion.checked > 25


async def test_a_call_without_a_version_would_be_told(contract: Contracts) -> None:
    notion, there = contract("notion"), Notion()
    request = wired(there).http.build_request("GET", "/v1/users/me")
    notion.request(request)
    del request.headers["notion-version"]
    with pytest.raises(ContractBroken, match="Notion-Version"):
        notion.request(request)


def test_real_tokens_are_read() -> None:
    if not SPECS.is_dir():
        pytest.skip(f"the providers' samples are not there: {SPECS} is missing")
    sample = json.loads((SPECS / "samples/oauth_token_responses.json").read_text())["notion"]
    assert provider.service.auth
    grant = provider.service.auth.read_grant(sample)
    assert (grant.access_token, grant.refresh_token, grant.expires_in, grant.scopes) == ("ntn_x", None, None, None)
    assert grant.extra["workspace_name"] == "W"
