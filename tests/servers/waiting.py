"""Waiting with a deadline for what cannot be subscribed to, e.g. that a port answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two looks; short beside what is waited for, long beside the cost of a look.
PAUSE = 0.05


class Deadline:
    """A moment `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())


def until(look: Callable[[], T], *, seconds: float, what: str, tail: Callable[[], str] = str) -> T:
    """Call `look` until it returns something true, and return that.

    Raises:
        TimeoutError: nothing true within `seconds`; the message has `what` was waited for and what `tail` returns.
    """
    deadline = Deadline(seconds)
    while not (found := look()):
        if not deadline.left():
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}\n{tail()}")
        time.sleep(PAUSE)
    return found
