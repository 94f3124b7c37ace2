"""The states of one attempt as spans: each lasts from when it is entered to when the next one is, or to the end."""

from __future__ import annotations

from workties.tracing import Span, Tracing


class StateSpans:
    """To be used in the thread whose present span is that of the attempt."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._state: str | None = None
        self._span: Span | None = None

    def entered(self, state: str) -> None:
        """The step is in this state now; a checkpoint within the same one changes nothing."""
        if state != self._state:
            self.end()
            self._state, self._span = state, self._tracing.begin(f"state {state}", state=state)

    def end(self) -> None:
        """It is in no state any more."""
        if self._span is not None:
            self._span.end()
        self._state = self._span = None
