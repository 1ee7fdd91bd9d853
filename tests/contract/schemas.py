"""From the dialects of JSON Schema in OpenAPI 3.0, Swagger 2 and Google's discovery to 2020-12, and what its errors mean."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

Schema = dict[str, Any]
MAPS = ("properties", "definitions", "schemas", "types", "patternProperties", "$defs")
"""Keywords whose values map names to schemas, so that a property called "format" is no keyword."""
REFERRED = ("definitions", "schemas", "types", "$defs")
"""Maps of schemas that others refer to. Whoever refers to one closes it, unless it is a part of something that has more."""
PARTS = ("allOf", "anyOf", "oneOf", "not")
FORMATS = FormatChecker(["date", "date-time"])


def modern(schema: Any, root: Any, *, closed: bool) -> Any:
    """The schema, or a document of schemas, in 2020-12; ``root`` is what it refers to, as it was.

    With ``closed``, objects may have no property that is not described, where some are described; without it they may have more
    and fewer, and only types are looked at.
    """
    return _Modern(root, closed).convert(schema)


class _Modern:
    def __init__(self, root: Any, closed: bool) -> None:
        self.root, self.closed = root, closed

    def convert(self, schema: Any) -> Any:
        """Convert everything that looks like a schema, wherever it is."""
        return self._walk(schema, branch=False)

    def _walk(self, node: Any, *, branch: bool, named: bool = False) -> Any:
        if isinstance(node, list):
            return [self._walk(one, branch=branch) for one in node]
        if not isinstance(node, dict):
            return node
        if named:  # a map of names, not a schema
            return {name: self._walk(one, branch=branch) for name, one in node.items()}
        made = {
            key: self._walk(one, branch=key in (*PARTS, *REFERRED), named=key in MAPS)
            for key, one in node.items()
            if key not in ("example", "examples", "discriminator", "deprecated", "xml", "externalDocs", "default")
        }
        made = _retold(made, node)
        if not self.closed:
            made.pop("required", None)
            made = {key: one for key, one in made.items() if (key, one) != ("additionalProperties", False)}
        if self.closed and not branch and self._describes(node) and "additionalProperties" not in node:
            made = {**made, "unevaluatedProperties": False}
        return _or_null(made) if node.get("nullable") is True or node.get("x-nullable") is True else made

    def _describes(self, node: Any, seen: tuple[str, ...] = ()) -> bool:
        """Whether any property is described, by the schema or what it consists of."""
        if not isinstance(node, dict):
            return False
        if isinstance(node.get("properties"), dict):
            return True
        reference = node.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            return self._describes(self._find(reference), (*seen, reference))
        parts = [one for key in ("allOf", "anyOf", "oneOf") for one in node.get(key, ())]
        return any(self._describes(one, seen) for one in parts)

    def _find(self, reference: str) -> Any:
        found = self.root
        for part in _pointer(reference).removeprefix("#/").split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _pointer(reference: str) -> str:
    """Discovery says ``Message`` where others say ``#/schemas/Message``."""
    return reference if reference.startswith("#") else f"#/schemas/{reference}"


def _retold(made: Schema, node: Schema) -> Schema:
    if isinstance(node.get("$ref"), str):
        made["$ref"] = _pointer(node["$ref"])
    if isinstance(node.get("required"), bool):
        made.pop("required")
    if node.get("type") == "any":
        made.pop("type")
    if isinstance(node.get("items"), list):  # Slack's way to say "one of these"
        made["anyOf"] = made.pop("items")
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool):
            made.pop(exclusive)
            if node[exclusive]:
                made[exclusive] = made.pop(bound)
        elif isinstance(node.get(bound), str):  # discovery writes numbers as text
            made[bound] = float(node[bound])
    return made


def _or_null(made: Schema) -> Schema:
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if not any(key in made for key in ("allOf", "anyOf", "oneOf", "$ref")):
            return made
    made.pop("type", None)
    return {"anyOf": [made, {"type": "null"}]}


def errors(root: Schema, schema: Schema, value: Any) -> list[ValidationError]:
    """What is wrong with a value; ``schema`` may refer into ``root``. Both are `modern`."""
    whole = {**{key: one for key, one in root.items() if key not in ("$id", "id", "type")}, "allOf": [schema]}
    return list(Draft202012Validator(whole, format_checker=FORMATS).iter_errors(value))


def explain(found: Iterable[ValidationError]) -> Iterator[str]:
    """Each error with its place; of alternatives, only the one that came nearest."""
    for error in found:
        branches: dict[Any, list[ValidationError]] = {}
        for inner in error.context or ():
            branches.setdefault(inner.schema_path[0], []).append(inner)
        if branches:
            yield from explain(min(branches.values(), key=len))
        else:
            place = "/".join(map(str, error.absolute_path)) or "the body"
            yield f"{place}: {_short(error.message)}"


def _short(message: str) -> str:
    """Long values are cut, so that what is said of them is seen."""
    message = re.sub(r"(\S{40})\S{40,}", r"\1…", message)
    return message if len(message) <= 400 else f"{message[:200]} … {message[-180:]}"
