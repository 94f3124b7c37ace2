"""Waits for the end of a process: SIGTERM or ctrl-c."""

from __future__ import annotations

import logging
import signal
from threading import Event
from types import FrameType


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set. For the main thread."""
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def log_to_stderr(level: str) -> None:
    """One line an event on stderr."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("werkzeug", "engineio", "socketio", "celery", "kombu", "amqp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
