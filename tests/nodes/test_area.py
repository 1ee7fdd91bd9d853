"""AREA: which ends of runs concern whom, and calls."""

import pytest
from pydantic import ValidationError

from area.core.ids import to_global
from area.nodes import area

FAILED = area.Finished.model_validate(area.run_failed.sample())
SUCCEEDED = FAILED.model_copy(update={"status": area.Status.SUCCEEDED})
OTHER = "0198c9a5-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("watched", "failed", "succeeded"),
    [(None, True, True), (FAILED.area_id, True, True), (OTHER, False, False)],
    ids=["all", "this", "another"],
)
def test_run_failed_and_run_succeeded_tell_apart_how_and_where(
    watched: str | None, failed: bool, succeeded: bool
) -> None:
    where = area.Which(area_id=watched)
    assert (area.run_failed.fn(where, FAILED), area.run_failed.fn(where, SUCCEEDED)) == (failed, False)
    assert (area.run_succeeded.fn(where, SUCCEEDED), area.run_succeeded.fn(where, FAILED)) == (succeeded, False)


def test_an_area_is_named_by_the_id_that_the_api_shows_or_the_row_s() -> None:
    assert area.Which(area_id=to_global("Area", FAILED.area_id)) == area.Which(area_id=FAILED.area_id)
    for wrong in ("mine", to_global("Run", FAILED.area_id), ""):
        with pytest.raises(ValidationError, match="is not the id of an AREA"):
            area.Which(area_id=wrong)


def test_whoever_calls_is_let_in() -> None:
    assert area.called.fn(area.Called(), area.Call.model_validate(area.called.sample()))
    with pytest.raises(ValidationError):
        area.Called.model_validate({"from": "anybody"})
