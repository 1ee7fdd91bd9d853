"""Bluesky: requests and answers against its lexicons, converted to JSON Schema."""

import json
from functools import cache
from typing import Any

import httpx

from tests.contract.documents import SPECS, ContractBroken
from tests.contract.schemas import errors, explain

Schema = dict[str, Any]
PLAIN = {"string": "string", "integer": "integer", "boolean": "boolean"}


@cache
def lexicons() -> dict[str, Any]:
    """Every lexicon that is there, by its id."""
    found = (json.loads(path.read_text()) for path in (SPECS / "bluesky/lexicons").rglob("*.json"))
    return {one["id"]: one for one in found}


@cache
def definitions() -> Schema:
    """``{"$defs": {"app.bsky.feed.post#main": schema, ...}}``."""
    made = {}
    for name, lexicon in lexicons().items():
        for key, one in lexicon["defs"].items():
            if one["type"] not in ("query", "procedure", "subscription"):
                made[f"{name}#{key}"] = convert(one.get("record", one), name)
    return {"$defs": made}


def convert(given: Schema, home: str) -> Schema:
    """One lexicon type as JSON Schema; ``home`` is the lexicon that ``#name`` refers to. What we lack accepts anything."""
    kind = given["type"]
    if kind == "object":
        # Lexicon objects are open, so that they can grow.
        properties = {name: convert(one, home) for name, one in given.get("properties", {}).items()}
        for name in given.get("nullable", ()):
            properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
        return {"type": "object", "properties": properties, "required": given.get("required", [])}
    if kind == "array":
        return {"type": "array", "items": convert(given["items"], home), **_bounds(given, "Items")}
    if kind == "string":
        # Lengths are in bytes of UTF-8 and in graphemes; JSON Schema counts code points, of which there are no more than bytes.
        formats = {"format": "date-time"} if given.get("format") == "datetime" else {}
        most = given.get("maxGraphemes") if "maxLength" not in given else given["maxLength"]
        known = {"enum": given["enum"]} if "enum" in given else {}
        return {"type": "string", **formats, **known, **({"maxLength": most} if most else {})}
    if kind in ("integer", "boolean"):
        return {
            "type": PLAIN[kind],
            **{key: given[key] for key in ("minimum", "maximum", "enum", "const") if key in given},
        }
    if kind == "ref":
        return _reference(given["ref"], home)
    if kind == "union":
        return _union(given["refs"], home)
    if kind == "blob":
        properties = {"$type": {"const": "blob"}, "mimeType": {"type": "string"}, "size": {"type": "integer"}}
        return {"type": "object", "properties": properties, "required": ["$type", "ref", "mimeType", "size"]}
    return {}


def check_request(request: httpx.Request) -> None:
    """Raise ContractBroken unless method, query and body are as the lexicon says, and so is a record that is written."""
    name, lexicon = _called(request)
    wanted = "GET" if lexicon["type"] == "query" else "POST"
    if request.method != wanted:
        raise ContractBroken(f"bluesky: {name} is called by {wanted}, not {request.method}")
    described = lexicon.get("parameters", {"properties": {}})
    given = dict(request.url.params)
    wrong = [f"no parameter {one}" for one in given if one not in described["properties"]]
    wrong += [f"{one} is missing" for one in described.get("required", []) if one not in given]
    body = None
    if "json" in lexicon.get("input", {}).get("encoding", ""):
        body = json.loads(request.content or b"null")
        wrong += _mismatch(convert(lexicon["input"]["schema"], name), body)
        wrong += [f"no property {one}" for one in body if one not in lexicon["input"]["schema"].get("properties", {})]
    if isinstance(body, dict) and "record" in body:
        wrong += _wrong_record(body)
    if wrong:
        raise ContractBroken(f"bluesky: {name}: {'; '.join(wrong)}")


def check_answer(response: httpx.Response) -> None:
    """Raise ContractBroken unless the output is as the lexicon says; failures are ``{error, message}``."""
    name, lexicon = _called(response.request)
    if response.is_error:
        schema: Schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    elif "output" not in lexicon:
        return
    else:
        schema = convert(lexicon["output"]["schema"], name)
    wrong = _mismatch(schema, json.loads(response.content))
    if wrong:
        raise ContractBroken(f"bluesky: the answer to {name}: {'; '.join(wrong)}")


def _wrong_record(body: Schema) -> list[str]:
    record, collection = body["record"], body.get("collection", "")
    if record.get("$type") != collection:
        return [f"record/$type is {record.get('$type')!r}, not the collection {collection!r}"]
    described = f"{collection}#main" in definitions()["$defs"]
    wrong = _mismatch(_reference(collection, ""), record) if described else []
    if len(str(record.get("text", "")).encode()) > 3000:
        wrong.append("record/text is longer than 3000 bytes")
    return [f"record/{one}" for one in wrong]


def _called(request: httpx.Request) -> tuple[str, Schema]:
    name = request.url.path.rpartition("/xrpc/")[2]
    if name not in lexicons():
        raise ContractBroken(f"bluesky: there is no lexicon {name!r} for {request.url.path}")
    return name, lexicons()[name]["defs"]["main"]


def _mismatch(schema: Schema, value: Any) -> list[str]:
    return list(explain(errors(definitions(), schema, value)))


def _reference(name: str, home: str) -> Schema:
    full = f"{home}{name}" if name.startswith("#") else name
    full = full if "#" in full else f"{full}#main"
    known = full.partition("#")[0] in lexicons()
    return {"$ref": "#/$defs/" + full.replace("~", "~0").replace("/", "~1").replace("#", "%23")} if known else {}


def _union(names: list[str], home: str) -> Schema:
    """Members are told apart by ``$type``; one that we lack accepts what names it."""
    known = {"type": "object", "required": ["$type"]}
    return {
        "anyOf": [
            {"allOf": [known, {"properties": {"$type": {"const": _named(one, home)}}}, _reference(one, home)]}
            for one in names
        ]
    }


def _named(name: str, home: str) -> str:
    return f"{home}{name}" if name.startswith("#") else name


def _bounds(given: Schema, what: str) -> Schema:
    return {f"{end}{what}": given[f"{end}Length"] for end in ("min", "max") if f"{end}Length" in given}
