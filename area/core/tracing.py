"""Traces from delivery to last step, by OpenTelemetry; off unless ``AREA_OTEL_ENDPOINT`` names a collector.

Nothing is stored for it: an event's id is its trace's id, and the ids of spans follow from those of event, run and step, so that
processes that never meet write one trace. While it is off, its packages are not even imported.
"""

import hashlib
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from uuid import UUID

_MASK = (1 << 64) - 1
Attributes = Mapping[str, Any]
"""Text, numbers and truth values."""


def now_ns() -> int:
    """The present moment, in nanoseconds since 1970: what spans begin and end at."""
    return time.time_ns()


def span_id(*parts: object) -> int:
    """A span's id, the same wherever it is reckoned."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) or 1


class Tracing:
    """Writes finished spans; one a process."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._ids: Any = None
        self._provider: Any = None

    @property
    def on(self) -> bool:
        """Whether spans go anywhere: look before reckoning anything for them."""
        return self._tracer is not None

    def start(self, role: str, endpoint: str, ratio: float = 1.0, exporter: Any = None) -> None:
        """Send ``ratio`` of the traces to the collector at ``endpoint`` (OTLP over HTTP), in the background."""
        sdk = import_module("opentelemetry.sdk.trace")
        sampling = import_module("opentelemetry.sdk.trace.sampling")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        generator = import_module("opentelemetry.sdk.trace.id_generator")

        class Ids(generator.IdGenerator):  # type: ignore[misc, name-defined]
            """Gives the ids that `record` has just set."""

            trace = span = 0

            def generate_trace_id(self) -> int:
                return self.trace

            def generate_span_id(self) -> int:
                return self.span

        if exporter is None:
            otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            exporter = otlp.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._ids = Ids()
        self._provider = sdk.TracerProvider(
            # By the trace's id alone, so that every process keeps or drops the same traces.
            sampler=sampling.TraceIdRatioBased(ratio),
            resource=resources.Resource.create({"service.name": f"area-{role}"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("area")

    def record(
        self,
        name: str,
        trace: UUID,
        span: int,
        began: int,
        *,
        parent: int | None = None,
        attributes: Attributes | None = None,
        error: str | None = None,
    ) -> None:
        """Write a span that ends now. ``began`` is in nanoseconds since 1970; ``error`` marks it as failed."""
        api = import_module("opentelemetry.trace")
        self._ids.trace, self._ids.span = trace.int, span & _MASK
        context = import_module("opentelemetry.context").Context()
        if parent is not None:
            above = api.SpanContext(trace.int, parent & _MASK, is_remote=True, trace_flags=api.TraceFlags(1))
            context = api.set_span_in_context(api.NonRecordingSpan(above), context)
        made = self._tracer.start_span(name, context=context, start_time=began, attributes=dict(attributes or {}))
        if error is not None:
            made.set_status(api.StatusCode.ERROR, error)
        made.end(end_time=now_ns())

    def stop(self) -> None:
        """Send what is left, for at most a few seconds, and write no more."""
        if self._provider is not None:
            self._provider.shutdown()
            self._tracer = self._provider = None


tracing = Tracing()
"""This process's traces."""
