"""What others want of a step that is being prepared or runs: a mailbox that wakes whoever waits for the step."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from workties.messages import Reason


@dataclass(frozen=True, slots=True)
class Stop:
    """End the step: SIGTERM, and SIGKILL after `grace_seconds`. None: as its limits say."""

    reason: Reason
    grace_seconds: float | None = None


class Orders:
    """Orders to one step. Safe for threads; to be closed.

    The file descriptor `fileno()` becomes readable with each order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._cancelled = threading.Event()
        #: The order to end, the first one stands; but a shorter grace counts.
        self.stop: Stop | None = None
        #: Whether a pause is wanted at the next checkpoint.
        self.pause = False
        #: Nothing about this attempt interests anybody: kill it and say nothing.
        self.forgotten = False

    def order_stop(self, stop: Stop) -> None:
        """End the step, or stop preparing it."""
        with self._lock:
            if self.stop is None:
                self.stop = stop
            elif stop.grace_seconds is not None and stop.grace_seconds < (self.stop.grace_seconds or float("inf")):
                self.stop = Stop(self.stop.reason, stop.grace_seconds)
            self._wake()

    def order_pause(self) -> None:
        """Ask the step to pause."""
        with self._lock:
            self.pause = True
            self._wake()

    def order_forget(self) -> None:
        """Kill the step at once."""
        with self._lock:
            self.forgotten = True
            self.stop = Stop(Reason("stopped", "forgotten"), 0.0)
            self._wake()

    def wait(self, seconds: float) -> bool:
        """Wait before the program begins, but not when it shall end or pause: then True at once."""
        return self._cancelled.wait(seconds)

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._fd

    def clear(self) -> None:
        """The orders were seen."""
        with self._lock:
            os.eventfd_read(self._fd)

    def close(self) -> None:
        """Nobody listens any more."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def _wake(self) -> None:
        self._cancelled.set()
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)
