"""AREA itself: start a run when another one ends, or asks for it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, field_validator

from area.core.ids import uuid_of
from area.nodes import sdk

service = sdk.Service(key="area", name="AREA", description="Reacts to what the platform itself does.")


class Status(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Which(sdk.Inputs):
    """Whose runs."""

    area_id: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="AREA",
        description="The AREA to watch; empty for all of yours.",
        examples=["0198c9a5-7b1e-7c3a-9f00-5a1c2b3d4e5f"],
        json_schema_extra={"widget": "area"},
    )

    @field_validator("area_id")
    @classmethod
    def _row_id(cls, value: str | None) -> str | None:
        """The API shows opaque ids; events carry the row's own."""
        if value is None:
            return None
        try:
            return str(uuid_of(value, "Area") or UUID(value))
        except ValueError:
            raise ValueError(f"{value[:60]!r} is not the id of an AREA") from None


class Finished(sdk.Outputs):
    """A run that ended."""

    run_id: Annotated[str, sdk.Identity] = Field(
        title="Run", description="The run's id.", examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b"]
    )
    area_id: str = Field(title="AREA", description="Its AREA's id.", examples=["0198c9a5-7b1e-7c3a-9f00-5a1c2b3d4e5f"])
    area_name: str = Field(title="AREA name", description="Its AREA's name.", examples=["Orders to the log"])
    status: Status = Field(title="Status", description="How it ended.", examples=["failed"])
    error_code: str | None = Field(None, title="Error code", description="Set when it failed.", examples=["HTTP_422"])
    error_message: str | None = Field(
        None,
        title="Error message",
        description="What went wrong, in words.",
        examples=["example.com answered 422 Unprocessable Entity"],
    )
    failed_step: str | None = Field(None, title="Failed step", description="The step that failed.", examples=["notify"])
    finished_at: datetime = Field(
        title="Finished at", description="When it ended, in UTC.", examples=["2026-03-01T08:00:02Z"]
    )


@service.internal("Run failed")
def run_failed(where: Which, payload: Finished) -> bool:
    """Fires when a run of one of your AREAs fails for good."""
    return payload.status == Status.FAILED and where.area_id in (None, payload.area_id)


@service.internal("Run succeeded")
def run_succeeded(where: Which, payload: Finished) -> bool:
    """Fires when a run of one of your AREAs succeeds."""
    return payload.status == Status.SUCCEEDED and where.area_id in (None, payload.area_id)


class Called(sdk.Inputs):
    """Nothing to fill in: whoever calls says what with."""


class Call(sdk.Outputs):
    """A call by another AREA."""

    call_id: Annotated[str, sdk.Identity] = Field(
        title="Call", description="Id of the run that was started.", examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b"]
    )
    payload: Any = Field(None, title="Payload", description="What it was called with.", examples=[{"order": 42}])
    caller_run_id: str = Field(
        title="Calling run", description="Id of the run that calls.", examples=["0198c9a6-0f3e-7a21-b7a4-2f1e0d3c4b5a"]
    )
    caller_area_id: str = Field(
        title="Calling AREA", description="Id of its AREA.", examples=["0198c9a5-7b1e-7c3a-9f00-5a1c2b3d4e5f"]
    )


@service.internal("Called by another AREA", watched=False)
def called(where: Called, payload: Call) -> bool:
    """Fires when an AREA of yours runs this one by the reaction Run another AREA."""
    return True
