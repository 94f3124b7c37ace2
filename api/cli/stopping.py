"""What all processes of the server do: wait for their end (SIGTERM or ctrl-c), and write their log."""

from __future__ import annotations

import signal
import sys
from threading import Event
from types import FrameType

from workties.process_log import log_to


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set. For the main thread."""
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def log_to_stderr(level: str, form: str = "auto") -> None:
    """One line an event on stderr; `form` is one of `workties.process_log.FORMATS`."""
    log_to(sys.stderr, level, form)
