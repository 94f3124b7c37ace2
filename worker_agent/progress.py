"""How often progress is told: at most so many times a second per step, the newest wins. Knows no journal, no broker."""

from __future__ import annotations

import threading
from collections.abc import Callable

from worker_agent.records import Key

#: Least time between two progress events of a step, seconds.
INTERVAL = 0.2


class ProgressGate:
    """Holds the newest progress of each step until it may be told. Safe for threads.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: dict[Key, tuple[float, str]] = {}
        self._told: dict[Key, float] = {}

    def put(self, key: Key, progress: float, message: str) -> None:
        """The step is this far now."""
        with self._lock:
            self._newest[key] = (progress, message)

    def due(self) -> list[tuple[Key, float, str]]:
        """Take out what may be told now."""
        with self._lock:
            now = self._clock()
            ready = [key for key in self._newest if self._due_at(key) <= now]
            return [self._take(key, now) for key in ready]

    def next_due(self) -> float | None:
        """When (clock) something may be told next; None if nothing waits."""
        with self._lock:
            return min((self._due_at(key) for key in self._newest), default=None)

    def last(self, key: Key) -> tuple[Key, float, str] | None:
        """Take out what an ending step said last, due or not, and forget the step."""
        with self._lock:
            found = self._take(key, self._clock()) if key in self._newest else None
            self._told.pop(key, None)
            return found

    def _due_at(self, key: Key) -> float:
        return self._told.get(key, float("-inf")) + INTERVAL

    def _take(self, key: Key, now: float) -> tuple[Key, float, str]:
        self._told[key] = now
        progress, message = self._newest.pop(key)
        return key, progress, message
