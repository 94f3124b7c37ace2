"""Shifts the wall clock of each Python process that has this folder on its path, by what a file says at each moment.

The interpreter imports this before anything else. The file is named by `CHAOS_CLOCK`; it holds seconds as a number.
"""

import datetime
import os
import time
from pathlib import Path

FILE = Path(os.environ["CHAOS_CLOCK"])
system_time_ns = time.time_ns


def time_ns() -> int:
    """As `time.time_ns`."""
    return system_time_ns() + int(FILE.read_text()) * 10**9


class Shifted(datetime.datetime):
    """`datetime.datetime` with the shifted clock."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
        """As `datetime.datetime.now`."""
        return cls.fromtimestamp(time.time(), tz)


time.time_ns = time_ns
time.time = lambda: time_ns() / 10**9
datetime.datetime = Shifted  # type: ignore[misc]
