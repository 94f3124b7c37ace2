"""What a workty is: the SDK, the package format, the messages about a step, and the built-in workties.

Imported by the orchestrator and by the agent on a board; imports neither. Pure Python.
"""

from __future__ import annotations

from workties.errors import StepFailed

TYPE_CHECKING = False  # as in typing, whose import every step would pay for
if TYPE_CHECKING:
    from workties.sdk import Workty as Workty

__all__ = ["StepFailed", "Workty"]


def __getattr__(name: str) -> object:
    """`Workty` on first use: server and agent import this package for its messages and need no state machine."""
    if name == "Workty":
        from workties.sdk import Workty  # noqa: PLC0415

        return Workty
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
