"""Gathers in which ways the boards know more than the database, and sums it up for the log: a backup was restored.

Nothing is decided or repaired here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable
from datetime import datetime, timedelta
from enum import Enum
from threading import Lock
from typing import NamedTuple

from workties.process_log import about

log = logging.getLogger(__name__)

#: A summary is made when nothing was added for so long.
QUIET = timedelta(seconds=15)
#: What was told once is not told again, as long as it is no more than this.
MOST_KEPT = 10_000


class Difference(Enum):
    """What can differ; the value says it for the log, and what is done about it."""

    FURTHER = "attempts that are further on their boards, with which the runs catch up"
    UNKNOWN_RUN = "attempts of runs that are unknown here, which their boards forget"
    UNUSED_LEASE = "leases that nobody used, which are freed"
    UNKNOWN_BOARD = "boards that are unknown here, which are refused"


#: What boards know only if the database has forgotten it.
_SIGNS = frozenset({Difference.FURTHER, Difference.UNKNOWN_RUN})


class BoardsAttempt(NamedTuple):
    """An attempt of a step of a run on a board."""

    board: str
    run: str
    instance: str
    attempt: int


class Differences:
    """Differences seen so far. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: set[tuple[Difference, Hashable]] = set()
        self._untold: Counter[Difference] = Counter()
        self._last: datetime | None = None

    def attempt(self, difference: Difference, attempt: BoardsAttempt, now: datetime) -> None:
        """Note that an attempt on a board is unknown or further; the first time, tell the log which one."""
        if self.add(difference, attempt, now):
            with about(board=attempt.board, run=attempt.run, step=attempt.instance, attempt=attempt.attempt):
                log.info("The board has an attempt of which the database does not know")

    def add(self, difference: Difference, what: Hashable, now: datetime) -> bool:
        """Note a difference; whether it is seen for the first time."""
        with self._lock:
            if (difference, what) in self._seen:
                return False
            if len(self._seen) >= MOST_KEPT:
                self._seen.clear()
            self._seen.add((difference, what))
            self._untold[difference] += 1
            self._last = now
            return True

    def summary(self, now: datetime) -> str | None:
        """What was added since the last summary, if nothing more seems to come and it says that the database is old."""
        with self._lock:
            if self._last is None or now - self._last < QUIET:
                return None
            untold, self._untold, self._last = self._untold, Counter(), None
        if not _SIGNS & untold.keys():
            return None
        found = "; ".join(f"{kind.value}: {untold[kind]}" for kind in Difference if untold[kind])
        return f"Boards know more than the database, as after the restore of a backup: {found}"
