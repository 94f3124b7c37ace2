"""Does things later: one thread for all that live connections have to be looked after for."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from itertools import count
from threading import Condition, Thread

log = logging.getLogger("workty.api")


class Watch:
    """Calls functions when their time has come, in a thread that lives as long as there are any. They must be quick."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._running = False

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Have `call` called after this time."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), call))
            self._changed.notify()
            if not self._running:
                self._running = True
                Thread(target=self._run, name="live-watch", daemon=True).start()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:  # the others must be called all the same
                log.exception("Live connections were not looked after once")

    def _next(self) -> Callable[[], object] | None:
        with self._changed:
            while self._due:
                left = self._due[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(left)
            self._running = False
        return None
