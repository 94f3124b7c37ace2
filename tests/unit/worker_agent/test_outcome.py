"""What the end of a program means."""

from __future__ import annotations

import pytest

from worker_agent.outcome import Ending, judge
from worker_agent.process import Exit
from workties.messages import Limits, Reason, Usage

LIMITS = Limits(cpu=10.0)


def code(found: Exit, *, paused: bool = False, last: tuple[str, ...] = (), ending: Ending | None = None) -> str | None:
    judged = judge(found, ending, paused=paused, last_output=last, limits=LIMITS)
    return judged.reason.code if judged else None


@pytest.mark.parametrize(
    ("return_code", "last", "expected"),
    [
        (0, (), None),
        (3, (), "exit"),
        (-11, (), "signal"),
        (-24, (), "timeout"),
        (1, ("Traceback", "MemoryError"), "memory"),
        (-6, ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",), "memory"),
        (0, ("MemoryError",), None),
    ],
)
def test_how_a_program_ended_says_why(return_code: int, last: tuple[str, ...], expected: str | None) -> None:
    assert code(Exit(return_code, Usage()), last=last) == expected


def test_a_program_killed_for_its_cpu_time_timed_out() -> None:
    assert code(Exit(-9, Usage(wall=20, cpu=11))) == "timeout"
    assert code(Exit(-9, Usage(wall=20, cpu=1))) == "signal"


def test_a_program_that_paused_when_asked_is_interrupted() -> None:
    assert code(Exit(0, Usage()), paused=True) == "paused"
    assert code(Exit(1, Usage()), paused=True) == "exit"


def test_what_the_agent_ended_ended_for_that_reason() -> None:
    assert code(Exit(0, Usage()), ending=Ending(Reason("stopped", ""), failed=False)) == "stopped"
