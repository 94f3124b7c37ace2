"""Traces by OpenTelemetry, sent to a collector over OTLP/HTTP. Needs the extra `tracing`.

Everything else of it is set by OpenTelemetry's own variables: endpoint, headers, sampling, batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workties.process_log import about as log_about
from workties.tracing import Span

_HEADER = "traceparent"


class OpenTelemetry:
    """Spans of this process.

    Args:
        service: its name.
        exporter: takes what has ended; None sends it where the environment says.
    """

    def __init__(self, service: str, exporter: SpanExporter | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("workty")
        self._wire = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, parent: str | None = None, **about: object) -> Iterator[Span]:
        """A span that lasts as long as the block; log lines meanwhile say its trace."""
        context = self._wire.extract({_HEADER: parent}, Context()) if parent else None
        with (
            self._tracer.start_as_current_span(name, context, attributes=_attributes(about)) as span,
            log_about(trace=format(span.get_span_context().trace_id, "032x")),
        ):
            yield _Span(span)

    def begin(self, name: str, **about: object) -> Span:
        """A span inside the thread's present one, until its `end`."""
        return _Span(self._tracer.start_span(name, attributes=_attributes(about)))

    def here(self) -> str | None:
        """The `traceparent` of the thread's present span; None without one."""
        carrier: dict[str, str] = {}
        self._wire.inject(carrier)
        return carrier.get(_HEADER)

    def close(self) -> None:
        """Send what is not sent yet, within 2 s."""
        self._provider.force_flush(timeout_millis=2000)
        self._provider.shutdown()


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, **facts: object) -> None:
        """Say something more about it."""
        self._span.set_attributes(_attributes(facts))

    def end(self) -> None:
        """It is over."""
        self._span.end()


def _attributes(about: Mapping[str, object]) -> dict[str, str | int | float]:
    """Ids by names of our own, so that they meet none of other programs."""
    known = {name: value for name, value in about.items() if value is not None}
    return {f"workty.{name}": v if isinstance(v, str | int | float) else str(v) for name, v in known.items()}
