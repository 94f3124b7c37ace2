"""Jumps of a board's clock, as when it learns the time hours after it began to work, or is set wrong.

The clock of the system cannot be changed for one process, so that of its Python is shifted, which is all that an agent
asks for the time (`shifted/sitecustomize.py`). Clocks that only grow go on as they are, as on a real board; programs of
steps have the system's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

#: How far a clock jumps at most, and how long it stays wrong, seconds.
FARTHEST, WRONG_SECONDS = 12 * 3600, (2.0, 8.0)

_SHIFTED = Path(__file__).with_name("shifted")

Pause = Callable[[float], None]


class ShiftedClock:
    """A wall clock that processes started with `environ` have.

    Parameters:
        file: says how far it is off; made here.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift(0)
        #: Environment variables of those who have this clock.
        self.environ: Mapping[str, str] = {"PYTHONPATH": str(_SHIFTED), "CHAOS_CLOCK": str(file)}

    def shift(self, seconds: int) -> None:
        """From now on it is so many seconds ahead, or behind if that is negative."""
        new = self._file.with_name(f"{self._file.name}-new")
        new.write_text(str(seconds))
        new.replace(self._file)


class ClockJump:
    """The clock of a board jumps ahead and back, then behind and back."""

    kind = "clock jump"

    def __init__(self, name: str, clock: ShiftedClock, pause: Pause = time.sleep) -> None:
        self._name, self._clock, self._pause = name, clock, pause

    def strike(self, random: Random) -> str:
        """Let it jump and set it right; what was done."""
        ahead, behind = (random.randint(60, FARTHEST) for _ in range(2))
        try:
            for seconds in (ahead, -behind):
                self._clock.shift(seconds)
                self._pause(random.uniform(*WRONG_SECONDS) / 2)
        finally:
            self._clock.shift(0)
        return f"clock of {self._name} jumped {ahead} s ahead and {behind} s behind"
