"""Traces: what a process does and for how long, from a request to the state of a step on its board.

A trace goes on in another process by a text, the `traceparent` of W3C Trace Context. Nothing is recorded unless the
environment names a collector, by the names of OpenTelemetry (`OTEL_EXPORTER_OTLP_ENDPOINT`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from workties.errors import TracingMissing

#: Longest `traceparent` that is read, characters; today's have 55.
MAX_TRACE = 128
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span(Protocol):
    """Something that is under way."""

    def note(self, **facts: object) -> None:
        """Say something about it that was not known when it began."""

    def end(self) -> None:
        """It is over."""


class Tracing(Protocol):
    """Records spans. `about` are ids, e.g. `run`; a span without `parent` is part of the thread's present one."""

    def span(self, name: str, parent: str | None = None, **about: object) -> AbstractContextManager[Span]:
        """A span that lasts as long as the block, in which it is the thread's present one."""

    def begin(self, name: str, **about: object) -> Span:
        """A span inside the thread's present one, that lasts until its `end`."""

    def here(self) -> str | None:
        """The `traceparent` of the thread's present span; None without one."""

    def close(self) -> None:
        """Send what is not sent yet, within some seconds."""


class _NoSpan:
    def note(self, **facts: object) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class NoTracing:
    """Records nothing."""

    @contextmanager
    def span(self, name: str, parent: str | None = None, **about: object) -> Iterator[Span]:
        """Nothing."""
        yield _NoSpan()

    def begin(self, name: str, **about: object) -> Span:
        """Nothing."""
        return _NoSpan()

    def here(self) -> str | None:
        """None."""
        return None

    def close(self) -> None:
        """Nothing."""


NO_TRACING: Tracing = NoTracing()


def tracing_from(environ: Mapping[str, str], service: str) -> Tracing:
    """The tracing that the environment asks for; none is the default.

    Args:
        service: name of the process for whoever looks at traces, unless OTEL_SERVICE_NAME gives another one.

    Raises:
        TracingMissing: it is asked for, and OpenTelemetry is not installed.
    """
    wanted = any(environ.get(name) for name in _ENDPOINTS)
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NO_TRACING
    try:
        from workties.otel import OpenTelemetry  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TracingMissing(str(error.name)) from error
    return OpenTelemetry(environ.get("OTEL_SERVICE_NAME") or service)
