"""Traces: one for each event, from its coming in to its last step, whichever processes had a part in it."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from area.core.tracing import tracing
from tests.engine.conftest import Sink, World, http, log


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start("test", "", exporter=exporter)
    yield exporter
    tracing.stop()


def _told(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    tracing._provider.force_flush()
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_an_event_its_run_and_its_steps_are_one_trace(
    world: World, sink: Sink, spans: InMemorySpanExporter
) -> None:
    area = await world.area(log("note"), http("call", sink.url))
    run = await world.happen(area, {"a": 1})
    event: UUID = await world.pool.fetchval("SELECT event_id FROM runs WHERE id = $1", run)

    told = _told(spans)
    assert set(told) == {"event", "run", "flow.log", "http.request"}
    assert {span.context.trace_id for span in told.values() if span.context} == {event.int}
    assert told["event"].parent is None
    for child, above in (("run", "event"), ("flow.log", "run"), ("http.request", "run")):
        parent, context = told[child].parent, told[above].context
        assert parent is not None
        assert context is not None
        assert parent.span_id == context.span_id
    attributes = told["http.request"].attributes or {}
    assert (attributes["area.step"], attributes["area.status"]) == ("call", "succeeded")


async def test_a_failure_marks_its_step_and_run(world: World, sink: Sink, spans: InMemorySpanExporter) -> None:
    sink.answers = [(422, {})]
    await world.happen(await world.area(http("call", sink.url)), {})
    told = _told(spans)
    assert not told["http.request"].status.is_ok
    assert not told["run"].status.is_ok
    assert "422" in (told["run"].status.description or "")


def test_while_it_is_off_nothing_is_recorded() -> None:
    assert not tracing.on
