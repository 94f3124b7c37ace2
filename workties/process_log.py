"""The log of a process: each line with the ids of what it is about; JSON unless a person reads it on a terminal.

Of the server's processes and the board's agent; what steps write goes another way (`workties.messages.Log`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TextIO

#: `auto`: text on a terminal, JSON elsewhere.
FORMATS = ("auto", "text", "json")
#: Loggers of libraries that tell of every message and request.
_CHATTY = ("werkzeug", "engineio", "socketio", "celery", "kombu", "amqp")

_NOTHING: Mapping[str, object] = MappingProxyType({})
_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=_NOTHING)


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Lines that this thread logs meanwhile say what they are about: `run`, `step`, `attempt`, `board`, `trace`.

    An id that is None is left out; one that is named again inside replaces the outer one.
    """
    known = {name: value for name, value in ids.items() if value is not None}
    token = _about.set({**_about.get(), **known})
    try:
        yield
    finally:
        _about.reset(token)


def log_to(stream: TextIO, level: str, form: str = "auto", **always: object) -> None:
    """Write all log lines of this process to `stream`.

    Args:
        level: lowest level that is written, e.g. `INFO`.
        form: one of `FORMATS`.
        always: ids that every line has, e.g. `board`.
    """
    logging.basicConfig(level=level, handlers=[writer(stream, form, **always)])
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def writer(stream: TextIO, form: str, **always: object) -> logging.Handler:
    """What writes the lines of loggers to `stream`; arguments as those of `log_to`."""
    text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter((TextLines if text else JsonLines)(always))
    return handler


class TextLines(logging.Formatter):
    """Lines for people: time, level, logger, message, and the ids in brackets."""

    def __init__(self, always: Mapping[str, object] = _NOTHING) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(ids)s")
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        ids = " ".join(f"{name}={value}" for name, value in {**self._always, **_about.get()}.items())
        record.ids = f" [{ids}]" if ids else ""
        return super().format(record)


class JsonLines(logging.Formatter):
    """Lines for programs: an object with `time` (UTC), `level`, `logger`, `message`, the ids, and `exception`."""

    def __init__(self, always: Mapping[str, object] = _NOTHING) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **_about.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
