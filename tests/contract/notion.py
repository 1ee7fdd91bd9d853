"""What Notion's stand-in was asked, as Notion's description of its API can say it."""

import json

from tests.contract.plugin import Contract
from tests.providers.calls import Call
from tests.providers.notion import HOME, SOURCE, Notion


def _described(call: Call) -> list[Call]:
    """The call as the description can say it. It is behind the API in three places, each of which is held to here by itself:

    a time to sort by has a name of its own (https://developers.notion.com/reference/sort-data-source-entries), a parent is a data
    source, and children are blocks as those that are appended (https://developers.notion.com/reference/post-page).
    """
    body, more = call.json, list[Call]()
    if call.path.endswith("/query"):
        (sort,) = body["sorts"]
        assert sort == {"timestamp": body["filter"]["timestamp"], "direction": "ascending"}
        body["sorts"] = [{"property": sort["timestamp"], "direction": sort["direction"]}]
    elif call.path == "/v1/pages":
        if body["parent"]["type"] == "data_source_id":
            assert body["parent"] == {"type": "data_source_id", "data_source_id": SOURCE}
            body["parent"] = {"type": "database_id", "database_id": SOURCE}
        if children := body.pop("children", None):
            appended = json.dumps({"children": children}).encode()
            more = [Call("PATCH", f"/v1/blocks/{HOME}/children", {}, call.headers, appended, call.request)]
            more[0].raw_path = more[0].path
    else:
        return [call]
    told = Call(call.method, call.path, call.query, call.headers, json.dumps(body).encode(), call.request)
    told.raw_path, told.answer, told.fault = call.raw_path, call.answer, call.fault
    return [told, *more]


def audited(contract: Contract, there: Notion) -> None:
    """Hold all calls so far to the description."""
    there.calls = [
        one for call in there.calls for one in (_described(call) if call.path not in there.own_paths else [])
    ]
    contract.audit(there)
