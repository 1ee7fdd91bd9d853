"""Changes of the schema that break its clients: none, unless announced by a deprecation that is over, or recorded.

A deprecation's reason ends in "Removal YYYY-MM-DD.", at least three months ahead; after that day the element may go.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from graphql import BreakingChange, GraphQLSchema, build_schema, find_breaking_changes

RECORD = Path("schema.breaking")
"""Breaking changes that were decided on: a line each, as they are told, then " # " and why."""
NOTICE = timedelta(days=90)
_REMOVAL = re.compile(r"Removal (\d{4}-\d{2}-\d{2})\.?$")
_PLACE = re.compile(r"\w+\.\w+")


def problems(before: str, after: str, recorded: str, today: date) -> list[str]:
    """What is wrong with going from one schema to another, both as SDL."""
    old, new = build_schema(before), build_schema(after)
    excused = {line.partition(" # ")[0].strip() for line in recorded.splitlines()}
    found = []
    for change in find_breaking_changes(old, new):
        told = f"{change.type.name} {change.description}"
        if told not in excused and not _was_announced(old, change, today):
            found.append(told)
    known = dict(_deprecated(old))
    for place, reason in _deprecated(new):
        ends = _removal(reason)
        if ends is None:
            found.append(f"{place}: the reason of a deprecation ends in 'Removal YYYY-MM-DD.'")
        elif place not in known and ends < today + NOTICE:
            found.append(f"{place}: a removal is announced at least {NOTICE.days} days ahead; {ends} is too soon.")
    return found


def _was_announced(old: GraphQLSchema, change: BreakingChange, today: date) -> bool:
    place = _PLACE.search(change.description)
    if place is None or change.type.name not in ("FIELD_REMOVED", "VALUE_REMOVED_FROM_ENUM"):
        return False
    ends = _removal(dict(_deprecated(old)).get(place[0], ""))
    return ends is not None and ends <= today


def _removal(reason: str) -> date | None:
    found = _REMOVAL.search(reason.strip())
    return date.fromisoformat(found[1]) if found else None


def _deprecated(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Each deprecated field, input and enum value, as ``Type.name``, with its reason."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        for parts in (getattr(kind, "fields", {}), getattr(kind, "values", {})):
            for name, part in parts.items():
                if part.deprecation_reason is not None:
                    yield f"{kind.name}.{name}", part.deprecation_reason
