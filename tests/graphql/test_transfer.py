"""AREAs as documents: out and in again, with accounts and secrets by reference, and every mistake at its place."""

from typing import Any

import orjson
import pytest

from area.core import yamls
from area.core.ids import new_id, to_global
from area.engine.platform import Platform
from tests.graphql.conftest import Client

EXPORT = "query($id: ID!, $f: DocumentFormat! = YAML) { node(id: $id) { ... on Area { export(format: $f) } } }"
IMPORT = """mutation($input: ImportAreaInput!) { importArea(input: $input) { area { id name isEnabled mode overlap
  maxConcurrentRuns pauseAfterFailures description action { key config account { id } } reactions { key reaction config when after
  onFailure retry { attempts } timeoutSeconds account { id } } }
  errors { code message path ... on InvalidInputError { suggestion } ... on AccountRequiredError { service } } } }"""
SHAPE = IMPORT[IMPORT.index("name isEnabled") : IMPORT.index("errors")].rstrip(" }\n") + " } }"
WHOLE = "query($id: ID!) { node(id: $id) { ... on Area { " + SHAPE + " } } }"
RICH = {
    "name": "Orders",
    "description": "Each order:\n  logged, then told.",
    "isEnabled": False,
    "mode": "PARALLEL",
    "maxConcurrentRuns": 2,
    "overlap": "DROP",
    "pauseAfterFailures": 7,
    "action": {"action": "webhook.received", "config": {"secret": "very secret"}},
    "reactions": [
        {"reaction": "flow.log", "key": "one", "config": {"message": "no", "level": "info"}},
        {
            "reaction": "flow.log", "key": "two", "config": {"message": "{{ steps.one.message }}"}, "after": ["one"],
            "when": "trigger.method == 'POST'", "onFailure": "CONTINUE", "retry": {"attempts": 2}, "timeoutSeconds": 9,
        },
    ],
}  # fmt: skip


async def exported(client: Client, area_id: str, form: str = "YAML") -> str:
    found: str = (await client.data(EXPORT, id=area_id, f=form))["node"]["export"]
    return found


async def imported(client: Client, document: Any, **given: Any) -> dict[str, Any]:
    text = document if isinstance(document, str) else yamls.dump(document)
    found: dict[str, Any] = (await client.data(IMPORT, input={"document": text} | given))["importArea"]
    return found


def places(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    assert answer["area"] is None
    return [(error["code"], error["path"]) for error in answer["errors"]]


@pytest.mark.parametrize("form", ["YAML", "JSON"])
async def test_an_area_goes_out_and_comes_back(ada: Client, eve: Client, form: str) -> None:
    area_id = await ada.create_area(**RICH)
    text = await exported(ada, area_id, form)
    assert "very secret" not in text
    assert (orjson.loads(text) if form == "JSON" else yamls.load(text))["action"]["config"] == {
        "secret": {"$secret": "action.secret"}
    }
    secrets = [{"name": "action.secret", "value": "very secret"}]
    answer = await imported(eve, text, secrets=secrets)
    assert answer["errors"] == []
    copy = answer["area"]
    assert copy.pop("id") != area_id
    assert copy == (await ada.data(WHOLE, id=area_id))["node"]
    again = await imported(eve, text, secrets=secrets, name="Other", isEnabled=True, idempotencyKey=f"k{area_id}")
    assert (again["area"]["name"], again["area"]["isEnabled"]) == ("Other", True)
    twice = await imported(eve, text, secrets=secrets, idempotencyKey=f"k{area_id}")
    assert twice["area"]["id"] == again["area"]["id"]


async def test_the_document_reads_well(ada: Client) -> None:
    text = await exported(ada, await ada.create_area(**RICH))
    assert text.startswith("area: 1\nname: Orders\ndescription: |-\n  Each order:\n    logged, then told.\n")
    assert "message: 'no'" in text
    assert "accountId" not in text


async def test_a_secret_has_to_be_given(ada: Client) -> None:
    text = await exported(ada, await ada.create_area(**RICH))
    assert places(await imported(ada, text)) == [("SECRET_REQUIRED", ["document", "action", "config", "secret"])]
    assert len((await ada.data("{ viewer { areas { nodes { id } } } }"))["viewer"]["areas"]["nodes"]) == 1


async def test_accounts_are_found_by_their_label_or_given(ada: Client, eve: Client, platform: Platform) -> None:
    mine, hers = new_id(), new_id()
    for account, owner, label in ((mine, ada, "ada"), (hers, eve, "eve")):
        await platform.db.pool.execute(
            "INSERT INTO connected_accounts (id, user_id, service, label, external_id) VALUES ($1, $2, 'email', $3, $3)",
            account, owner.user_id, label,
        )  # fmt: skip
    action = {"action": "email.received", "config": {}, "accountId": to_global("ConnectedAccount", mine)}
    text = await exported(ada, await ada.create_area(action=action, isEnabled=False))
    assert yamls.load(text)["action"]["account"] == {"service": "email", "label": "ada"}
    assert (await imported(ada, text))["area"]["action"]["account"]["id"] == to_global("ConnectedAccount", mine)
    missing = await imported(eve, text)
    assert places(missing) == [("ACCOUNT_REQUIRED", ["document", "action", "account"])]
    assert missing["errors"][0]["service"] == "email"
    given = {"service": "email", "label": "ada", "accountId": to_global("ConnectedAccount", hers)}
    assert (await imported(eve, text, accounts=[given]))["area"]["action"]["account"]["id"] == given["accountId"]
    stolen = given | {"accountId": to_global("ConnectedAccount", mine)}
    assert places(await imported(eve, text, accounts=[stolen])) == [("NOT_FOUND", ["document", "action", "account"])]
    nonsense = given | {"accountId": "x"}
    assert places(await imported(eve, text, accounts=[nonsense])) == [("NOT_FOUND", ["accounts", "0", "accountId"])]


MINIMAL: dict[str, Any] = {
    "area": 1, "name": "x", "action": {"action": "webhook.received"},
    "reactions": [{"reaction": "flow.log", "config": {"message": "x"}}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"area": 2}, "INVALID_INPUT", ["area"]),
        ({"area": None}, "INVALID_INPUT", ["area"]),
        ({"nmae": "x"}, "UNKNOWN_FIELD", ["nmae"]),
        ({"mode": "parallel"}, "INVALID_INPUT", ["mode"]),
        ({"name": " "}, "INVALID_INPUT", ["name"]),
        ({"reactions": []}, "INVALID_INPUT", ["reactions"]),
        ({"reactions": [{"reaction": "flow.lgo"}]}, "UNKNOWN_REACTION", ["reactions", "0", "reaction"]),
        ({"reactions": [{"reaction": "flow.log", "timeout": 1}]}, "UNKNOWN_FIELD", ["reactions", "0", "timeout"]),
        ({"reactions": [{"reaction": "flow.log"}]}, "REQUIRED_FIELD", ["reactions", "0", "config", "message"]),
        ({"action": {"action": "rss.new_item", "config": {"url": "x"}}}, "INVALID_INPUT", ["action", "config", "url"]),
        ({"action": {"action": "rss.new_item", "config": {"ulr": "http://x"}}}, "UNKNOWN_FIELD", ["action", "config", "ulr"]),
    ],
)  # fmt: skip
async def test_mistakes_are_told_at_their_place(ada: Client, change: Any, code: str, path: list[str]) -> None:
    assert (code, ["document", *path]) in places(await imported(ada, MINIMAL | change))


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "a: &x 1\nb: *x", "{", "x" * 300_000])
async def test_what_is_no_document_is_told(ada: Client, text: str) -> None:
    assert {path[0] for _, path in places(await imported(ada, text))} == {"document"}


async def test_what_is_not_yours_is_not_exported(ada: Client, eve: Client) -> None:
    area_id = await ada.create_area()
    assert await eve.data(EXPORT, id=area_id) == {"node": None}
