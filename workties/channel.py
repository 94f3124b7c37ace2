"""The program's end of the step protocol: two descriptors and a file. What lines mean: see `workties.protocol`."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import time
from _thread import allocate_lock

from workties import plain
from workties.bounds import CONTROL_FD, EVENTS_FD, INPUT, MAX_LINE_BYTES, MAX_STATE_BYTES

TYPE_CHECKING = False  # as in typing, whose import every step would pay for
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


#: Seconds between two looks at whether the agent has read.
_LOOK = 0.01


class Channel:
    """Writes lines for the agent and hears when it asks to pause. Several threads may send at once.

    Args:
        events: descriptor to write to.
        control: descriptor to read from; None if nobody will ever ask.
    """

    def __init__(self, events: int, control: int | None) -> None:
        self._events = events
        self._control = control
        self._lock = allocate_lock()
        self._heard = b""
        self._pause = False

    def send(self, kind: str, **fields: object) -> None:
        """Write a line of this kind. Raises `BadMessage` as `encode_line` does, `BrokenPipeError` without an agent."""
        rest = memoryview(encode_line(kind, **fields))
        with self._lock:
            while rest:
                rest = rest[os.write(self._events, rest) :]

    def entering(self, state: str) -> None:
        """The checkpoint that comes next enters `state`. The agent need not know; tests tell it from others by this."""

    def pause_asked(self, seconds: float = 0.0) -> bool:
        """Whether a pause has been asked, waiting up to `seconds` for it to be.

        The agent's end also counts as asking: nobody would record what the program goes on to do.
        """
        deadline = time.monotonic() + seconds
        while not self._pause and self._readable(deadline - time.monotonic()):
            self._read()
        return self._pause

    def heard(self, seconds: float) -> bool:
        """Whether the agent has read all that was sent, waiting up to `seconds` for it.

        True as well where nobody reads through a pipe: the program was started by hand.
        """
        deadline = time.monotonic() + seconds
        while _unread(self._events):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK)
        return True

    def _readable(self, seconds: float) -> bool:
        """Whether there is something to read within `seconds`; without a descriptor, False when they are over."""
        descriptors = [] if self._control is None else [self._control]
        return bool(select.select(descriptors, [], [], max(0.0, seconds))[0])

    def _read(self) -> None:
        content = os.read(self._control, 4096) if self._control is not None else b""
        *lines, self._heard = (self._heard + content).split(b"\n")
        self._heard = self._heard[:MAX_LINE_BYTES]
        self._pause = not content or any(asks_pause(line) for line in lines)


def open_channel(environ: Mapping[str, str]) -> Channel:
    """The channel that the agent put into the environment. Started by hand, lines go to stderr and no pause comes."""
    events = int(environ.get(EVENTS_FD, "2"))
    control = int(environ[CONTROL_FD]) if CONTROL_FD in environ else None
    for descriptor in (events, control):
        # Programs started by the workty must not keep the pipes open when it has ended.
        if descriptor is not None and descriptor > 2:
            os.set_inheritable(descriptor, False)
    return Channel(events, control)


def read_input(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the step gets: `properties` by name, and the `checkpoint` to go on from. Nothing if started by hand."""
    if INPUT not in environ:
        return {}
    with open(environ[INPUT], "rb") as file:  # noqa: PTH123  (pathlib costs as much to import as all else here)
        found: dict[str, Any] = json.load(file)
    return found


def encode_line(kind: str, **fields: object) -> bytes:
    """A line with its newline.

    Raises:
        BadMessage: a value in it is no plain JSON, nests too deep or is too large; names the field.
    """
    for name, value in fields.items():
        plain.check(value, name, limit=MAX_STATE_BYTES)
    return json.dumps({"type": kind, **fields}, separators=(",", ":")).encode() + b"\n"


def asks_pause(line: bytes) -> bool:
    """Whether a control line asks to pause. Lines of a kind that this code does not know are no reason to fail."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("type") == "pause"


def _unread(descriptor: int) -> int:
    """Bytes in a pipe that its other end has not read; 0 if it is no pipe."""
    import fcntl  # noqa: PLC0415  (few steps need them)
    import termios  # noqa: PLC0415

    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return 0
    count = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder)
