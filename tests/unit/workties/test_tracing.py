"""Traces: nothing unless asked for, and one trace across processes."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from workties.errors import TracingMissing
from workties.otel import OpenTelemetry
from workties.tracing import NO_TRACING, tracing_from

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize("environ", [{}, {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}])
def test_nothing_is_recorded_unless_the_environment_asks_for_it(environ: dict[str, str]) -> None:
    tracing = tracing_from(environ, "a process")
    with tracing.span("something", run="r1") as span:
        span.note(status=200)
        assert tracing.here() is None
    assert tracing is NO_TRACING


def test_who_asks_for_traces_without_the_extra_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "workties.otel", None)
    with pytest.raises(TracingMissing, match=r"Install it: pip install 'workty\[tracing\]'"):
        tracing_from(ENDPOINT, "a process")


def test_a_trace_goes_on_in_another_process_by_its_text() -> None:
    sent_by_server, sent_by_board = InMemorySpanExporter(), InMemorySpanExporter()
    server, board = OpenTelemetry("server", sent_by_server), OpenTelemetry("board", sent_by_board)
    with server.span("dispatch", run="r1"):
        sent = server.here()
    with board.span("attempt", sent, attempt=2, nothing=None):
        state = board.begin("state a")
        state.end()
    server.close()
    board.close()
    spans = {span.name: span for span in sent_by_server.get_finished_spans() + sent_by_board.get_finished_spans()}
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert spans["attempt"].parent is not None
    assert spans["attempt"].parent.span_id == spans["dispatch"].context.span_id
    assert spans["state a"].parent is not None
    assert spans["state a"].parent.span_id == spans["attempt"].context.span_id
    assert dict(spans["attempt"].attributes or {}) == {"workty.attempt": 2}


def test_a_parent_that_makes_no_sense_begins_a_new_trace() -> None:
    tracing = OpenTelemetry("server", InMemorySpanExporter())
    with tracing.span("request", "nonsense"):
        assert tracing.here() is not None
    tracing.close()
