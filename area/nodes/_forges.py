"""What GitHub and GitLab have in common: lists in pages, and how what an AREA wrote there is known again."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import many

MARK = "<!-- area -->"
"""Stands below what an AREA writes, where nobody sees it: by it actions keep an AREA from answering itself for ever."""
PER_PAGE = 100
"""The most that either lists at once."""
MOST_PAGES = 3
CLOCKS = timedelta(seconds=5)
"""How much earlier than our first attempt a thing may have been made, by the provider's clock, to be that attempt's."""


def from_areas_field() -> Any:
    """Whether what an AREA has written counts."""
    return Field(
        False,
        title="Those of AREAs too",
        description="Whether what an AREA has written fires as well. Two AREAs that answer each other never end.",
        examples=[False],
    )


async def pages(ctx: sdk.Context, path: str, **asked: str | int) -> list[dict[str, Any]]:
    """The objects of a list, from its first 300."""
    found: list[dict[str, Any]] = []
    for page in range(1, MOST_PAGES + 1):
        part = many(await ctx.http.get(path, params={**asked, "per_page": PER_PAGE, "page": page}))
        found += part
        if len(part) < PER_PAGE:
            break
    return found


def began(ctx: sdk.Context, answer: httpx.Response) -> datetime:
    """When the first attempt began, by the clock of who answered: what is older is somebody's earlier one of the same words."""
    since = ctx.tried_since or ctx.now()
    with suppress(KeyError, ValueError, TypeError):
        since += parsedate_to_datetime(answer.headers["date"]) - ctx.now()
    return since - CLOCKS


def made(found: dict[str, Any], provider: str) -> datetime:
    """When something was made at the provider of this name. Raises: Unavailable where it does not say."""
    try:
        moment = datetime.fromisoformat(str(found.get("created_at")))
    except ValueError:
        told = f"{provider} says {found.get('created_at')!r} of when something was made."
        raise sdk.Unavailable(told) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
