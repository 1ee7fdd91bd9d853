"""Whether a stand-in's answer is as the provider's own specification says."""

import json
from functools import cache
from typing import Any

import httpx

from tests.contract import graphql, lexicons
from tests.contract.documents import ContractBroken, Document, Operation, Schema, discovery, openapi, read, telegram
from tests.contract.requests import path_of
from tests.contract.schemas import errors, explain, modern

OPENAPI = {
    "discord": "discord/openapi.json",
    "github": "github/openapi.trimmed.json",
    "mastodon": "mastodon/openapi.trimmed.json",
    "notion": "notion/openapi.json",
    "slack": "slack/web_api.swagger2.trimmed.json",
    "spotify": "spotify/openapi.trimmed.json",
    "twitch": "twitch/openapi.trimmed.json",
}
DISCOVERY = {"gmail": "v1", "calendar": "v3", "drive": "v3", "sheets": "v4", "youtube": "v3"}
OPEN = {"slack"}
"""Whose specification is so old that its own examples have fields more and fewer: what it requires is what they have too."""
REFUSED: Schema = {
    "type": "object",
    "properties": {"ok": {"const": False}, "error": {"type": "string"}},
    "required": ["ok", "error"],
}
ERROR_IN_200 = {"slack": REFUSED}


@cache
def official(name: str) -> Document | None:
    """The provider's own specification; None where there is none."""
    if name in OPENAPI:
        return openapi(name, read(OPENAPI[name]))
    if name in DISCOVERY:
        return discovery(name, read(f"google/{name}.{DISCOVERY[name]}.json.gz"))
    return telegram(read("telegram/bot_api.min.json.gz")) if name == "telegram" else None


@cache
def root_of(document: Document) -> Any:
    """Everything that schemas refer to, in 2020-12."""
    return modern(document.root, document.root, closed=document.name not in OPEN)


@cache
def schema_of(document: Document, operation: Operation, status: str) -> Any:
    """What an answer of this status must be, in JSON Schema 2020-12; it may refer into the document."""
    given, open_ = operation.answers[status] or {}, document.name in OPEN
    schema = modern(given, document.root, closed=not open_)
    if open_ and "required" in given:
        schema["required"] = [one for one in given["required"] if one in operation.example]
    return schema


def check_answer(name: str, response: httpx.Response) -> None:
    """Raise ContractBroken unless the provider could have given this answer; failures it does not describe are let through."""
    if name == "linear":
        return graphql.check_answer(name, response)
    if name == "bluesky":
        return lexicons.check_answer(response)
    document = official(name)
    if document is None:
        return None
    request, status = response.request, str(response.status_code)
    operation = document.operation(request.method, path_of(request))
    about = f"{name}: the answer to {request.method} {operation.path}"
    known = next((one for one in (status, f"{status[0]}XX", "default") if one in operation.answers), None)
    if known is None:
        if response.is_success:
            raise ContractBroken(f"{about} has status {status}; the specification has {', '.join(operation.answers)}")
        return None
    if operation.answers[known] is None:
        return None
    value = json_of(about, response)
    schema = schema_of(document, operation, known)
    if name in ERROR_IN_200 and isinstance(value, dict) and value.get("ok") is False:
        schema = ERROR_IN_200[name]
    found = list(explain(errors(root_of(document), schema, value)))
    if found:
        raise ContractBroken(f"{about} ({status}): {'; '.join(found[:8])}")
    return None


def json_of(about: str, response: httpx.Response) -> Any:
    """The body. Raises: ContractBroken when it is no JSON, or does not say that it is."""
    kind = response.headers.get("content-type", "")
    if "json" not in kind:
        raise ContractBroken(f"{about} has content-type {kind!r}, not JSON")
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise ContractBroken(f"{about} is no JSON: {error}") from None
