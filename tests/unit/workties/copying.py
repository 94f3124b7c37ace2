"""What a workty says that copies two files, in whichever language it is written."""

from __future__ import annotations

from workties.protocol import Line, OutputLine, ProgressLine, StateLine

_OUTPUT = {"listed": 2}
TWO_FILES: list[Line] = [
    StateLine("listing", {}),
    StateLine("copying", {"_output": _OUTPUT}),
    ProgressLine(0.5, "file 0"),
    StateLine("copying", {"copied": 1, "_output": _OUTPUT}),
    ProgressLine(1.0, "file 1"),
    StateLine("copying", {"copied": 2, "_output": _OUTPUT}),
    StateLine("verifying", {"copied": 2, "_output": _OUTPUT}),
    StateLine("finishing", {"copied": 2, "_output": _OUTPUT}),
    OutputLine({"listed": 2, "copied": 2}),
]
