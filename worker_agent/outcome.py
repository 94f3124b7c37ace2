"""What the end of a program means. Pure: from how it ended and why it was ended, to one final event."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from worker_agent.process import Exit
from workties.messages import Limits, Reason

#: Last words of programs that had no memory left: Python, Node, Java, the C++ library.
_OUT_OF_MEMORY = (
    "MemoryError",
    "JavaScript heap out of memory",
    "java.lang.OutOfMemoryError",
    "insufficient memory for the Java Runtime",
    "std::bad_alloc",
)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the agent ended a program: a code of failures or interruptions, and words for people."""

    reason: Reason
    failed: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended. Without a `reason` it completed; `failed` tells failures from interruptions."""

    exit: Exit
    reason: Reason | None = None
    failed: bool = False
    output: dict[str, Any] = field(default_factory=dict)
    last_output: tuple[str, ...] = ()


def judge(
    found: Exit, ending: Ending | None, *, paused: bool, last_output: tuple[str, ...], limits: Limits
) -> Ending | None:
    """Why the program ended, None if it ended well.

    Args:
        found: how it ended.
        ending: why the agent ended it, if it did.
        paused: it was asked to pause and said that it did.
        last_output: its last lines.
        limits: what it ran under.
    """
    if ending:
        return ending
    if not found.watched:
        return _failure("crash", "the process that watches over the program was killed, and the program with it")
    code = found.return_code
    if code == 0:
        return Ending(Reason("paused", "paused at its last checkpoint"), failed=False) if paused else None
    if any(words in line for line in last_output for words in _OUT_OF_MEMORY):
        return _failure("memory", f"the program needed more than {limits.memory} bytes of memory")
    if code == -signal.SIGXCPU or (code == -signal.SIGKILL and found.usage.cpu >= limits.cpu):
        return _failure("timeout", f"the program used more than {limits.cpu:g} s of CPU time")
    signalled = _failure("signal", f"the program was ended by {_signal_name(-code)}")
    return signalled if code < 0 else _failure("exit", f"the program ended with exit code {code}")


def _failure(code: str, message: str) -> Ending:
    return Ending(Reason(code, message), failed=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
