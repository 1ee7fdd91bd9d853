"""The page docs/CATALOGUE.md: ``python -m area.nodes.catalogue > docs/CATALOGUE.md``."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from area.nodes import quality
from area.nodes.registry import load
from area.nodes.sdk import (
    Action,
    AppHeader,
    Choices,
    Condition,
    Delivery,
    NoTemplate,
    Reaction,
    Secret,
    Service,
    marked,
)

HEAD = """# Catalogue

<!-- Made by `python -m area.nodes.catalogue > docs/CATALOGUE.md`; edit the services in area/nodes, not this file. -->

Every service, what starts a run there (actions) and what a run does there (reactions). Keys are what the API takes as `action`
and `reaction`, inputs are what `config` holds, outputs what templates read: `{{ trigger.<name> }}`, `{{ steps.<key>.<name> }}`.
What the grades mean is told in [HOWTOCONTRIBUTE](HOWTOCONTRIBUTE.md#grades).

| Service | Actions | Reactions | Account | Grade |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole of docs/CATALOGUE.md."""
    services = load().services.values()
    rows = "\n".join(_row(service) for service in services)
    return HEAD + rows + "\n\n" + "\n".join(line for service in services for line in _service(service)) + "\n"


def _row(service: Service) -> str:
    ways = [("consent page", service.auth), ("typed-in credentials", service.key_auth)]
    account = " or ".join(way for way, there in ways if there) or "none"
    cells = (
        f"[{service.name}](#{_slug(service)})",
        len(service.actions),
        len(service.reactions),
        account,
        _grade(service),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _slug(service: Service) -> str:
    return "".join(letter for letter in service.name.lower() if letter.isalnum() or letter in "- ").replace(" ", "-")


def _grade(service: Service) -> str:
    root = quality.checkout()
    found = quality.evidence(service, root) if root else quality.Evidence()
    return quality.report(service, found).grade.name.lower()


def _service(service: Service) -> Iterator[str]:
    yield f"## {service.name}\n"
    yield (
        f"{service.description}" + (f" Its own documentation: <{service.docs_url}>." if service.docs_url else "") + "\n"
    )
    for told in _setting_up(service):
        yield f"- {told}"
    if service.auth or service.key_auth or service.needs:
        yield ""
    for action in service.actions.values():
        yield from _node(action)
    for reaction in service.reactions.values():
        yield from _node(reaction)


def _setting_up(service: Service) -> Iterator[str]:
    missing = service.missing({})
    if missing:
        yield f"The operator sets {_listed(missing)}."
    more = [service.entrance.secret] if service.entrance and service.entrance.secret else []
    more += [service.app_auth.setting] if isinstance(service.app_auth, AppHeader) else []
    names = [f"AREA_{service.key}_{name}".upper() for name in dict.fromkeys(more)]
    extra = [name for name in names if name not in missing]
    if extra:
        yield f"Some of it needs {_listed(extra)} too."
    if service.entrance:
        yield f"Deliveries come to `/webhooks/{service.key}`, one address for everybody; register it with the provider."
    if service.auth:
        asked = f" It always asks for {_listed(service.auth.scopes)}." if service.auth.scopes else ""
        yield f"Accounts are connected on {service.name}'s consent page.{asked}"
    if service.key_auth:
        fields = service.key_auth.fields
        secret = set(marked(fields, Secret))
        names = [f"`{name}`{' (kept sealed)' if name in secret else ''}" for name in fields.model_fields]
        yield f"Accounts are connected with {', '.join(names)}. {service.key_auth.help}".strip()


def _node(node: Action | Reaction) -> Iterator[str]:
    yield f"### {node.name}\n"
    yield f"`{node.key}` — {_kind(node)}. {node.description}\n"
    scopes = f" Scopes: {_listed(node.scopes)}." if node.scopes else ""
    if node.account != "none":
        yield f"{'Needs' if node.account == 'required' else 'May use'} a connected account.{scopes}\n"
    yield from _table("Input", _inputs(node.inputs))
    yield from _table("Output", _outputs(node.outputs))


def _kind(node: Action | Reaction) -> str:
    if isinstance(node, Reaction):
        blindly = "" if node.pure or node.idempotent is not False else ", never repeated blindly"
        return f"reaction{blindly}" + (f", {node.attempts} attempts" if node.attempts != 5 else "")
    if node.delivery is Delivery.POLL and node.every:
        return f"action, looked at every {_long(node.every)}"
    return {Delivery.WEBHOOK: "action, delivered", Delivery.SCHEDULE: "action, by the clock"}.get(
        node.delivery, "action"
    )


def _long(every: timedelta) -> str:
    seconds = int(every.total_seconds())
    number, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return unit if number == 1 else f"{number} {unit}s"


def _inputs(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    schema = model.model_json_schema()
    notes = (
        (Choices, "choices are offered"),
        (Secret, "masked"),
        (NoTemplate, "no templates"),
        (Condition, "a condition"),
    )
    marks = {mark: set(marked(model, mark)) for mark, _ in notes}
    for name, field in model.model_fields.items():
        told = [note for mark, note in notes if name in marks[mark]]
        needed = ["required"] if field.is_required() else []
        kind = _type(schema["properties"][name], schema)
        yield f"`{name}`", ", ".join([kind, *needed, *told]), field.description or "", _example(field.examples)


def _outputs(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    schema = model.model_json_schema(mode="serialization")
    for name, field in model.model_fields.items():
        kind = _type(schema["properties"][name], schema)
        yield f"`{name}`", kind, field.description or "", _example(field.examples)


def _type(given: dict[str, Any], root: dict[str, Any]) -> str:
    if "$ref" in given:
        return _type(root["$defs"][given["$ref"].rpartition("/")[2]], root)
    if "enum" in given:
        return "one of " + ", ".join(map(str, given["enum"]))
    options = [one for one in given.get("anyOf", given.get("allOf", [])) if one.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(_type(one, root) for one in options))
    if given.get("type") == "array":
        return f"list of {_type(given.get('items', {}), root)}"
    if given.get("format") == "date-time":
        return "moment"
    names = {
        "string": "text",
        "boolean": "yes or no",
        "object": "object",
        "integer": "whole number",
        "number": "number",
    }
    return names.get(given.get("type", ""), "anything")


def _example(examples: list[Any] | None) -> str:
    if not examples:
        return ""
    text = json.dumps(examples[0], ensure_ascii=False, default=str)
    return f"`{text if len(text) <= 80 else text[:77] + '...'}`"


def _table(what: str, rows: Iterator[tuple[str, str, str, str]]) -> Iterator[str]:
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    if lines:
        yield f"| {what} | Type | Meaning | Example |\n| --- | --- | --- | --- |"
        yield from lines
        yield ""


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(page())
