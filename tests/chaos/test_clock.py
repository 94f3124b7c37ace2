"""What runs that are under way survive: jumps of the clock of their board."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import pytest

from tests.chaos.clock import ClockJump, ShiftedClock
from tests.chaos.held import HeldSteps
from tests.chaos.private import PrivateStack

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: Where the clock of the board stands while a step begins, hours.
HOURS = (0, 5, -5)


def test_jumps_of_a_clock_change_neither_a_run_nor_its_board(private: PrivateStack) -> None:
    clock = ShiftedClock(private.directory / "clock")
    board = {"name": "shifted", "slots": len(HOURS), "environ": clock.environ}
    with private.boards("clock", board), private.steps("clock", "clock") as steps:
        for hours in HOURS:
            clock.shift(hours * 3600)
            steps.begin(f"at {hours} h")
            steps.until_holding()
            # Lines of output are the one thing that carries the board's time, and wait for company before they go.
            steps.until(lambda: len(shifts(private, steps)) == len(steps.workflows), "its first line")
        print(ClockJump("shifted", clock).strike(Random(1)))
        steps.ledger.release()
        steps.until_completed()
        steps.assert_ran_once()
        assert shifts(private, steps) == list(HOURS), "the clock was where it was meant to be"


def shifts(private: PrivateStack, steps: HeldSteps) -> list[int]:
    """How many hours their board was ahead of the server when it told the first line of each of the steps."""
    wanted = {"seq": 1, "runId": {"$in": [run["_id"] for run in steps.runs()]}}
    first = private.database["run_logs"].find(wanted, sort=[("at", 1)])
    return [round((datetime.fromisoformat(log["lines"][0]["at"]) - log["at"]) / timedelta(hours=1)) for log in first]
