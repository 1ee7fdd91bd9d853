"""Watched sources: start a run when one that your AREAs hang on breaks."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(
    key="hook", name="Watched sources", description="Reacts to what happens to the sources that your AREAs watch."
)


class Which(sdk.Inputs):
    """Whose source."""

    action: Annotated[str | None, sdk.NoTemplate, sdk.ActionKey] = Field(
        None,
        title="Action",
        description="The key of the action whose sources to watch; empty for all that your AREAs hang on.",
        examples=["rss.new_item"],
    )


class BrokenHook(sdk.Outputs):
    """A source that cannot be watched at present."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id",
        description="Names the source and the moment; the same source may break again.",
        examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b:1772352002123"],
    )
    hook_id: str = Field(
        title="Source", description="The source's id.", examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b"]
    )
    action: str = Field(title="Action", description="The action that watches it.", examples=["rss.new_item"])
    reason: str = Field(
        title="Reason",
        description="Why it cannot be watched, in words.",
        examples=["example.com answered 404 Not Found"],
    )
    code: str | None = Field(None, title="Code", description="The same for programs, if known.", examples=["HTTP_404"])
    failures_in_row: int = Field(title="Failures", description="How many looks in a row have failed.", examples=[5])
    next_try_at: datetime | None = Field(
        None,
        title="Next try",
        description="When it is looked at again, in UTC; a good look mends it.",
        examples=["2026-03-01T08:08:02Z"],
    )
    area_ids: list[str] = Field(
        title="AREA ids",
        description="Ids of your AREAs that hang on it, 100 at most.",
        examples=[["0198c9a5-7b1e-7c3a-9f00-5a1c2b3d4e5f"]],
    )
    areas: list[str] = Field(title="AREAs", description="Their names, in the same order.", examples=[["Tell the news"]])
    area_count: int = Field(title="Number of AREAs", description="How many of yours hang on it.", examples=[1])
    found_at: datetime = Field(
        title="Found at", description="When it was found broken, in UTC.", examples=["2026-03-01T08:00:02Z"]
    )


@service.internal("Source broke")
def broken(where: Which, payload: BrokenHook) -> bool:
    """Fires when a source that your AREAs watch cannot be looked at any more: refused, or failed five times in a row."""
    return where.action in (None, payload.action)
