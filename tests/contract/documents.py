"""A provider's own description of its API, as operations and JSON Schemas of their answers (2020-12)."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SHARED = Path(__file__).parents[3] / "shared"
SPECS = SHARED / "specs"

Schema = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")


class ContractBroken(AssertionError):
    """A request or an answer is not as the provider's specification says."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of an API. ``answers`` maps a status (``200``, ``4XX``, ``default``) to a schema; None: no body is described."""

    method: str
    path: str
    answers: Mapping[str, Schema | None]
    query: frozenset[str] = frozenset()
    example: Mapping[str, Any] = field(default_factory=dict)
    """An example of a good answer, where the specification has one beside its schema (Swagger 2)."""
    matches: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = re.split(r"(\{[^}]+\})", self.path)
        # {path} is the one that may go over several folders: GitHub's files
        pattern = "".join(
            ".+" if part == "{path}" else "[^/]+" if part[:1] == "{" else re.escape(part) for part in parts
        )
        object.__setattr__(self, "matches", re.compile(pattern))


@dataclass(frozen=True, eq=False)
class Document:
    """An API: ``root`` holds what the schemas refer to."""

    name: str
    root: Schema
    operations: list[Operation]

    def operation(self, method: str, path: str) -> Operation:
        """The operation of a request, a literal path before one with parameters. Raises: ContractBroken for one that is unknown."""
        found = [one for one in self.operations if one.method == method.upper() and one.matches.fullmatch(path)]
        if not found:
            others = sorted({one.method for one in self.operations if one.matches.fullmatch(path)})
            hint = f"; the path takes {', '.join(others)}" if others else ""
            raise ContractBroken(f"{self.name}: the specification has no {method.upper()} {path}{hint}")
        return min(found, key=lambda one: one.path.count("{"))


def read(path: str) -> Any:
    """A file of the specifications, unzipped where it is zipped."""
    raw = (SPECS / path).read_bytes()
    return json.loads(gzip.decompress(raw) if path.endswith(".gz") else raw)


@cache
def strict(name: str) -> Document:
    """What we may send, as the derived specifications say: only methods, paths and query parameters are of interest."""
    return openapi(name, read(f"derived/{name}.strict.openapi.json"), with_answers=False)


def openapi(name: str, document: Schema, *, with_answers: bool = True) -> Document:
    """OpenAPI 3.0 and 3.1, and Swagger 2."""
    swagger = "swagger" in document
    base = document.get("basePath", "") if swagger else urlsplit(document["servers"][0]["url"]).path
    operations = []
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            called = item[method]
            parameters = [
                _resolved(document, one) for one in [*item.get("parameters", []), *called.get("parameters", [])]
            ]
            query = frozenset(one["name"] for one in parameters if one["in"] == "query")
            answers = dict(_answers(document, called)) if with_answers else {}
            example = called["responses"].get("200", {}).get("examples", {}).get("application/json", {})
            operations.append(Operation(method.upper(), base.rstrip("/") + path, answers, query, example))
    return Document(name, document, operations)


def _answers(document: Schema, called: Schema) -> Iterator[tuple[str, Schema | None]]:
    for status, given in called["responses"].items():
        answer = _resolved(document, given)
        if "swagger" in document:
            yield status, answer.get("schema")
        else:
            kinds = answer.get("content", {})
            yield status, next((kind.get("schema") for name, kind in kinds.items() if "json" in name), None)


def discovery(name: str, document: Schema) -> Document:
    """Google's discovery format."""
    base = f"/{document['servicePath']}"
    operations = []

    def walk(resource: Schema) -> None:
        for method in resource.get("methods", {}).values():
            schema = method.get("response")
            query = {name for name, one in method.get("parameters", {}).items() if one["location"] == "query"}
            # {+name} and {name} alike; a path parameter may hold a colon, and ":append" is a method of its own
            path = base + method.get("flatPath", method["path"]).replace("{+", "{")
            answers = {"200": schema} if schema else {"200": None, "204": None}
            operations.append(Operation(method["httpMethod"], path, answers, frozenset(query)))
        for inner in resource.get("resources", {}).values():
            walk(inner)

    walk(document)
    return Document(name, document, operations)


def telegram(document: Schema) -> Document:
    """The Bot API as JSON: its types become schemas, and every method answers ``{ok, result}``."""
    plain = {"Integer": "integer", "Float": "number", "String": "string", "Boolean": "boolean", "True": "boolean"}

    def kind(name: str) -> Schema:
        if name.startswith("Array of "):
            return {"type": "array", "items": kind(name.removeprefix("Array of "))}
        return {"type": plain[name]} if name in plain else {"$ref": f"#/types/{name}"}

    def any_of(names: list[str]) -> Schema:
        return kind(names[0]) if len(names) == 1 else {"anyOf": [kind(name) for name in names]}

    types: Schema = {}
    for name, one in document["types"].items():
        if one.get("subtypes"):
            types[name] = any_of(one["subtypes"])
            continue
        fields = one.get("fields", [])
        types[name] = {
            "type": "object",
            "properties": {each["name"]: any_of(each["types"]) for each in fields},
            "required": [each["name"] for each in fields if each["required"]],
            "additionalProperties": False,
        }
    operations = []
    for name, one in document["methods"].items():
        properties = {"ok": {"const": True}, "result": any_of(one["returns"]), "description": {"type": "string"}}
        answer = {
            "type": "object",
            "properties": properties,
            "required": ["ok", "result"],
            "additionalProperties": False,
        }
        operations += [Operation(method, f"/bot{{token}}/{name}", {"200": answer}) for method in ("GET", "POST")]
    return Document("telegram", {"types": types}, operations)


def _resolved(document: Schema, given: Schema) -> Schema:
    while "$ref" in given:
        found: Any = document
        for part in given["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        given = found
    return given
