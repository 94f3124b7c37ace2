"""A span for each request, as part of the trace that the client names in `traceparent` (W3C Trace Context)."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask, Response, g, request

from workties.tracing import MAX_TRACE, NO_TRACING, Tracing


def add_traces(app: Flask, tracing: Tracing) -> None:
    """Record requests to an application; nothing where nothing is recorded."""
    if tracing is NO_TRACING:
        return

    def begin() -> None:
        # The path as it is declared, not as it was asked for: names of spans are few.
        name = f"{request.method} {request.url_rule or 'of no path'}"
        parent = request.headers.get("traceparent", "")
        g.span_ends = ExitStack()
        g.span = g.span_ends.enter_context(tracing.span(name, parent if len(parent) <= MAX_TRACE else None))

    def note(response: Response) -> Response:
        g.span.note(status=response.status_code)
        return response

    def end(_error: BaseException | None) -> None:
        if "span_ends" in g:
            g.span_ends.close()

    app.before_request(begin)
    app.after_request(note)
    app.teardown_request(end)
